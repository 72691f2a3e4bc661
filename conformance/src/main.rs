//! Echoes every WebSocket message, in the native dialect: `native-echo nats://127.0.0.1:4222 localhost`.

mod echo;

use anyhow::{Context as _, Result};
use h8s_nats::{Bus, ConnectOptions, Responder};
use h8s_wire::{Interest, MethodPattern};

use crate::echo::Echo;

/// The suite's largest message has 16 MiB.
const MAX_MESSAGE_BYTES: usize = 32 * 1024 * 1024;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(host)) = (arguments.next(), arguments.next()) else {
        anyhow::bail!("usage: native-echo <NATS URL> <HOST>");
    };
    let link = Bus::connect(ConnectOptions::new(&url)?).await?;
    let interest = Interest {
        host: host.parse().with_context(|| format!("{host:?} is not a valid host"))?,
        path: "/*".parse().expect("the pattern is valid"),
        method: MethodPattern::WebSocket,
    };
    let builder = Responder::builder(link).serve(interest, Echo).max_message_bytes(MAX_MESSAGE_BYTES);
    let _responder = builder.start().await?;
    println!("ready");
    tokio::signal::ctrl_c().await?;
    Ok(())
}
