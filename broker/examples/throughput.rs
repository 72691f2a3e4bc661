//! Measures the throughput of the broker, or of the server at `NATS_URL`, with async-nats clients.
//!
//! `cargo run -p h8s-broker --example throughput`. Clients and broker share the machine's cores, and the clients cost
//! more than the broker: compare the figures with each other, not with other benchmarks.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::StreamExt as _;
use h8s_broker::{Broker, Config};

const MESSAGES: usize = 1_000_000;
const PAYLOAD_BYTES: usize = 128;
const LARGE_MESSAGES: usize = 20_000;
const LARGE_PAYLOAD_BYTES: usize = 128 * 1024;
const REQUESTS: usize = 200_000;
/// async-nats drops what does not fit into a subscription's channel, so it must hold everything.
const CHANNEL: usize = MESSAGES + 1;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (_broker, url) = match std::env::var("NATS_URL") {
        Ok(url) => (None, url),
        Err(_) => {
            let broker = Broker::start(Config::default())?;
            let url = broker.url();
            (Some(broker), url)
        }
    };
    for _ in 0..3 {
        let took = stream(&url, MESSAGES, PAYLOAD_BYTES).await?;
        println!("{PAYLOAD_BYTES} B:     {:>9.0} msg/s", MESSAGES as f64 / took.as_secs_f64());
    }
    let took = stream(&url, LARGE_MESSAGES, LARGE_PAYLOAD_BYTES).await?;
    let bytes = (LARGE_MESSAGES * LARGE_PAYLOAD_BYTES) as f64;
    println!("128 KiB:   {:>9.0} MiB/s", bytes / took.as_secs_f64() / 1024.0 / 1024.0);
    for at_once in [1, 64, 256] {
        let took = requests(&url, REQUESTS / if at_once == 1 { 10 } else { 1 }, at_once).await?;
        let count = REQUESTS / if at_once == 1 { 10 } else { 1 };
        println!("requests, {at_once:>3} at once: {:>7.0}/s", count as f64 / took.as_secs_f64());
    }
    Ok(())
}

async fn connect(url: &str) -> anyhow::Result<async_nats::Client> {
    let options = async_nats::ConnectOptions::new().subscription_capacity(CHANNEL).client_capacity(4096);
    options.connect(url).await.with_context(|| format!("cannot connect to {url}"))
}

/// From the first publish until the last message has arrived.
async fn stream(url: &str, count: usize, bytes: usize) -> anyhow::Result<Duration> {
    let (publisher, subscriber) = (connect(url).await?, connect(url).await?);
    let mut messages = subscriber.subscribe("throughput.stream").await?;
    until_subscribed(&subscriber).await?;
    let payload = bytes::Bytes::from(vec![7; bytes]);
    let started = Instant::now();
    let publishing = tokio::spawn(async move {
        for _ in 0..count {
            publisher.publish("throughput.stream", payload.clone()).await?;
        }
        publisher.flush().await?;
        anyhow::Ok(())
    });
    for arrived in 0..count {
        let message = tokio::time::timeout(Duration::from_secs(20), messages.next()).await;
        message.with_context(|| format!("only {arrived} of {count} arrived"))?.context("disconnected")?;
    }
    publishing.await??;
    Ok(started.elapsed())
}

/// `count` requests, `at_once` of them in flight.
async fn requests(url: &str, count: usize, at_once: usize) -> anyhow::Result<Duration> {
    let (requester, responder) = (connect(url).await?, connect(url).await?);
    let mut incoming = responder.subscribe("throughput.request").await?;
    until_subscribed(&responder).await?;
    let responding = tokio::spawn(async move {
        while let Some(request) = incoming.next().await {
            let Some(reply) = request.reply else { continue };
            if responder.publish(reply, request.payload).await.is_err() {
                break;
            }
        }
    });
    let payload = bytes::Bytes::from(vec![7; PAYLOAD_BYTES]);
    let started = Instant::now();
    let answers = futures_util::stream::iter(0..count)
        .map(|_| requester.request("throughput.request", payload.clone()))
        .buffer_unordered(at_once);
    let failed = answers.filter(|answer| std::future::ready(answer.is_err())).count().await;
    anyhow::ensure!(failed == 0, "{failed} of {count} requests failed");
    responding.abort();
    Ok(started.elapsed())
}

/// Waits until the server has the subscriptions: it processes the lines of a connection in order.
async fn until_subscribed(client: &async_nats::Client) -> anyhow::Result<()> {
    let inbox = client.new_inbox();
    let mut echo = client.subscribe(inbox.clone()).await?;
    client.publish(inbox, "".into()).await?;
    echo.next().await.context("disconnected")?;
    Ok(())
}
