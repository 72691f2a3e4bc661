//! Runs the broker alone, for any NATS client: `cargo run -p h8s-broker --example serve -- 127.0.0.1:4222`

use anyhow::Context as _;
use h8s_broker::{Broker, Config};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut config = Config::default();
    if let Some(address) = std::env::args().nth(1) {
        config.listen = address.parse().context("give an address such as 127.0.0.1:4222")?;
    }
    let broker = Broker::start(config)?;
    println!("{}", broker.url());
    tokio::signal::ctrl_c().await?;
    broker.shutdown().await;
    Ok(())
}
