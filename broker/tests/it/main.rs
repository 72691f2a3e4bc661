//! The broker as clients see it: real sockets, port 0, no sleeps.

#![allow(clippy::unwrap_used, reason = "what a test sets up may fail it")]

mod client_library;
mod fan_out;
mod limits;
mod protocol;
mod raw;

use std::future::Future;
use std::time::Duration;

use h8s_broker::{Broker, Config};

/// No step of any test takes this long unless something hangs.
const DEADLINE: Duration = Duration::from_secs(20);

fn start() -> Broker {
    Broker::start(Config::default()).unwrap()
}

async fn connect(broker: &Broker) -> async_nats::Client {
    async_nats::connect(broker.url()).await.unwrap()
}

/// Waits for `event`, with a timeout.
async fn soon<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, event).await.expect("it should have happened by now")
}

/// Waits until the broker has executed all previous commands of `client`. (A flush only sends them.)
async fn settled(client: &async_nats::Client) {
    let inbox = client.new_inbox();
    let mut echo = client.subscribe(inbox.clone()).await.unwrap();
    client.publish(inbox, "".into()).await.unwrap();
    next(&mut echo).await;
}

async fn next(subscriber: &mut async_nats::Subscriber) -> async_nats::Message {
    use futures_util::StreamExt as _;
    soon(subscriber.next()).await.expect("the subscription goes on")
}
