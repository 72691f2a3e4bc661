//! Rolling restarts under load: no request fails.

use std::collections::VecDeque;

use h8s_test_support::Bus;
use h8s_test_support::execution_log::ExecutionLog;
use h8s_test_support::process::Process;
use h8s_test_support::{Tool, needs};

use super::load::Load;
use super::work::{COMPONENTS, components, jobs};
use crate::programs::{Daemon, Gateway, Host};

/// Every program is restarted twice.
const ROUNDS: usize = 6;
/// Correct responses after each restart: more than clients, so that each has used the new process.
const SETTLED: u64 = 40;

/// Ends it with SIGTERM, as a service manager does.
async fn end(process: &mut Process) {
    process.terminate();
    assert!(process.wait_for_exit().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t17_hosts_are_restarted_in_turn_and_no_request_is_lost() {
    needs!(Tool::NatsServer);
    // given three hosts under load
    let bus = Bus::real().await;
    let start = async || Host::start(&bus.url(), COMPONENTS, &[]).await;
    let mut hosts = VecDeque::from([start().await, start().await, start().await]);
    let gateway = Gateway::start(&bus.url(), &[]).await;
    let load = Load::start(&[&gateway.url], components);
    load.more(SETTLED).await;
    // when each is restarted in turn, the new one starting before or after the old one ends
    for round in 0..ROUNDS {
        if round.is_multiple_of(2) {
            hosts.push_back(start().await);
        }
        end(&mut hosts.pop_front().unwrap().process).await;
        if !round.is_multiple_of(2) {
            hosts.push_back(start().await);
        }
        load.more(SETTLED).await;
    }
    // then every request got its response
    let tally = load.stop().await;
    println!("{tally}");
    tally.check_nothing_lost();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t17_daemons_are_restarted_in_turn_and_no_request_is_lost() {
    needs!(Tool::NatsServer);
    let bus = Bus::real().await;
    let log = ExecutionLog::start().await;
    let start = async || Daemon::start(&bus.url(), &log.url(), &[]).await;
    let mut daemons = VecDeque::from([start().await, start().await]);
    let gateway = Gateway::start(&bus.url(), &[]).await;
    let load = Load::start(&[&gateway.url], jobs);
    load.more(SETTLED).await;

    for round in 0..ROUNDS {
        if round.is_multiple_of(2) {
            daemons.push_back(start().await);
        }
        end(&mut daemons.pop_front().unwrap().process).await;
        if !round.is_multiple_of(2) {
            daemons.push_back(start().await);
        }
        load.more(SETTLED).await;
    }

    let tally = load.stop().await;
    println!("{tally}");
    tally.check_nothing_lost();
    tally.check_against(&log);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t17_gateways_are_restarted_in_turn_and_clients_that_repeat_lose_nothing() {
    needs!(Tool::NatsServer);
    // given two gateways under load, and clients that repeat requests without a response
    let bus = Bus::real().await;
    let log = ExecutionLog::start().await;
    let _daemon = Daemon::start(&bus.url(), &log.url(), &[]).await;
    let start = async || Gateway::start(&bus.url(), &[]).await;
    let mut gateways = VecDeque::from([start().await, start().await]);
    let load = Load::repeating(&[&gateways[0].url, &gateways[1].url], jobs);
    load.more(SETTLED).await;
    // when they are restarted in turn
    for _ in 0..ROUNDS {
        gateways.push_back(start().await);
        let mut leaving = gateways.pop_front().unwrap();
        load.set_gateways(&[&gateways[0].url, &gateways[1].url]);
        end(&mut leaving.process).await;
        load.more(SETTLED).await;
    }
    // then every started response was complete, and no repeated request had been executed
    let tally = load.stop().await;
    println!("{tally}");
    tally.check_nothing_lost();
    tally.check_against(&log);
}
