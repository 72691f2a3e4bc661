//! Sends every WebSocket message back, in the native dialect: `native-echo nats://127.0.0.1:4222 localhost`.

mod echo;

use anyhow::{Context as _, Result};
use h8s_nats::{Bus, ConnectOptions, Responder};
use h8s_wire::{Interest, MethodPattern};

use crate::echo::Echo;

/// The largest message of the suite has 16 MiB.
const MAX_MESSAGE_BYTES: usize = 32 * 1024 * 1024;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(host)) = (arguments.next(), arguments.next()) else {
        anyhow::bail!("what to connect to and what to answer for is missing: native-echo <NATS URL> <HOST>");
    };
    let link = Bus::connect(ConnectOptions::new(&url)?).await?;
    let interest = Interest {
        host: host.parse().with_context(|| format!("{host:?} is no host"))?,
        path: "/*".parse().expect("it is a pattern"),
        method: MethodPattern::WebSocket,
    };
    let builder = Responder::builder(link).serve(interest, Echo).max_message_bytes(MAX_MESSAGE_BYTES);
    let _responder = builder.start().await?;
    println!("ready");
    tokio::signal::ctrl_c().await?;
    Ok(())
}
