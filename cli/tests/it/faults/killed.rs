//! T17, T18: programs that are killed repeatedly under load. Requests may fail with an error; none hangs, none gets a wrong
//! response, and none is executed twice.

use std::time::Duration;

use futures_util::future::join_all;
use h8s_test_support::execution_log::ExecutionLog;
use h8s_test_support::http_client::get;
use h8s_test_support::websocket_client::{Event, WebSocketClient};
use h8s_test_support::{Bus, Tool, eventually, needs, within};
use serde_json::Value;

use super::load::{Load, REQUEST_TIMEOUT, Tally};
use super::work::{COMPONENTS, components, jobs};
use crate::programs::{Daemon, Gateway, Host};

/// The count of kills.
const ROUNDS: usize = 5;
/// Correct responses between two kills, until all clients work again.
const SETTLED: u64 = 40;
/// A gateway that vanishes is detected after three missed beats of 5 s.
const LEASE: Duration = Duration::from_secs(25);

/// Checks that all clients work again, and that their results match the execution log.
async fn check(load: Load, log: Option<&ExecutionLog>) -> Tally {
    load.more(SETTLED).await;
    let tally = load.stop().await;
    println!("{tally}");
    if let Some(log) = log {
        tally.check_against(log);
    }
    tally
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t17_hosts_are_killed_again_and_again() {
    needs!(Tool::NatsServer);
    let bus = Bus::real().await;
    let start = async || Host::start(&bus.url(), COMPONENTS, &[]).await;
    let (_staying, mut doomed) = (start().await, start().await);
    let gateway = Gateway::start(&bus.url(), &REQUEST_TIMEOUT).await;
    let load = Load::start(&[&gateway.url], components);

    for _ in 0..ROUNDS {
        load.more(SETTLED).await;
        doomed.process.kill().await;
        doomed = start().await;
    }

    check(load, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t17_t18_daemons_are_killed_again_and_again_and_nothing_is_executed_twice() {
    needs!(Tool::NatsServer);
    let bus = Bus::real().await;
    let log = ExecutionLog::start().await;
    let start = async || Daemon::start(&bus.url(), &log.url(), &[]).await;
    let (_staying, mut doomed) = (start().await, start().await);
    let gateway = Gateway::start(&bus.url(), &REQUEST_TIMEOUT).await;
    let load = Load::start(&[&gateway.url], jobs);

    for _ in 0..ROUNDS {
        load.more(SETTLED).await;
        doomed.process.kill().await;
        doomed = start().await;
    }

    check(load, Some(&log)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t17_t18_gateways_are_killed_again_and_again_and_nothing_is_executed_twice() {
    needs!(Tool::NatsServer);
    let bus = Bus::real().await;
    let log = ExecutionLog::start().await;
    let _daemon = Daemon::start(&bus.url(), &log.url(), &[]).await;
    let start = async || Gateway::start(&bus.url(), &REQUEST_TIMEOUT).await;
    let (staying, mut doomed) = (start().await, start().await);
    let load = Load::start(&[&staying.url, &doomed.url], jobs);

    for _ in 0..ROUNDS {
        load.more(SETTLED).await;
        doomed.process.kill().await;
        doomed = start().await;
        load.set_gateways(&[&staying.url, &doomed.url]);
    }

    let tally = check(load, Some(&log)).await;
    assert!(tally.cut + tally.unanswered > 0, "no request failed; {tally}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t17_t18_nats_is_killed_again_and_again_and_nothing_is_executed_twice() {
    needs!(Tool::NatsServer);
    let mut bus = Bus::real().await;
    let log = ExecutionLog::start().await;
    let _daemons =
        [Daemon::start(&bus.url(), &log.url(), &[]).await, Daemon::start(&bus.url(), &log.url(), &[]).await];
    let gateway = Gateway::start(&bus.url(), &REQUEST_TIMEOUT).await;
    let load = Load::start(&[&gateway.url], jobs);

    for _ in 0..ROUNDS {
        load.more(SETTLED).await;
        bus.stop().await;
        bus.restart().await;
    }

    let tally = check(load, Some(&log)).await;
    assert!(!tally.refused.is_empty(), "no request failed; {tally}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t17_no_phantom_connections_after_gateways_were_killed_again_and_again() {
    needs!(Tool::NatsServer);
    // given a component that lists connections, and a gateway that is not killed
    let bus = Bus::real().await;
    let _host = Host::start(&bus.url(), &[("/room/*", "websocket-echo"), ("/send", "sender")], &[]).await;
    let staying = Gateway::start(&bus.url(), &[]).await;
    let _kept = connect(&staying, 5).await;
    // when other gateways start, and are killed
    for _ in 0..ROUNDS {
        let mut doomed = Gateway::start(&bus.url(), &[]).await;
        let mut lost = connect(&doomed, 10).await;
        eventually("the component lists them", async || known(&staying).await >= 15).await;
        doomed.process.kill().await;
        for client in &mut lost {
            assert!(matches!(client.message().await, Event::End | Event::Reset));
        }
    }
    // then only the connections of the first are left
    within(LEASE, async {
        while known(&staying).await != 5 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

async fn connect(gateway: &Gateway, count: usize) -> Vec<WebSocketClient> {
    join_all((0..count).map(|number| {
        let url = format!("{}/room/{number}", gateway.url);
        async move { WebSocketClient::connect(&url).await }
    }))
    .await
}

/// The count of connections that the component lists.
async fn known(gateway: &Gateway) -> usize {
    let list = get(&format!("{}/send", gateway.url)).await.2;
    serde_json::from_slice::<Vec<Value>>(&list).unwrap().len()
}
