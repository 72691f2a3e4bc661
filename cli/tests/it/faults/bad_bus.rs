//! T16: a bus that drops, repeats and reorders one message in a hundred, between whole programs.

use h8s_test_support::Bus;
use h8s_test_support::execution_log::ExecutionLog;
use h8s_test_support::fault_proxy::{Direction, FaultProxy, Faults};
use h8s_test_support::{Tool, needs};

use super::load::{Load, REQUEST_TIMEOUT};
use super::work::jobs;
use crate::programs::{Daemon, Gateway};

/// Correct responses to wait for: meanwhile some hundreds of messages get faults.
const ENOUGH: u64 = 150;

/// Without faults for announcements: the test is about exchanges.
fn faults(seed: u64) -> Faults {
    let is_exchanges = |subject: &str| subject.starts_with("h8s.inbox.") || subject.starts_with("h8s.x.");
    let faults = Faults::none().dropping(0.01).duplicating(0.01).swapping(0.01).seed(seed);
    faults.on_subjects(is_exchanges).only(Direction::ToServer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t16_clients_get_exact_bytes_or_see_that_they_do_not() {
    needs!(Tool::NatsServer);
    // given a gateway and a daemon, each behind its own network
    let bus = Bus::real().await;
    let log = ExecutionLog::start().await;
    let near = FaultProxy::start(&bus.url(), Faults::none()).await;
    let far = FaultProxy::start(&bus.url(), Faults::none()).await;
    let _daemon = Daemon::start(&far.url(), &log.url(), &[]).await;
    let gateway = Gateway::start(&near.url(), &REQUEST_TIMEOUT).await;
    // when both networks have faults
    near.set_faults(faults(1));
    far.set_faults(faults(2));
    let load = Load::start(&[&gateway.url], jobs);
    load.more(ENOUGH).await;
    near.heal();
    far.heal();
    // then no complete response was wrong (the load checks each), some clients got errors, and all recovered
    load.more(ENOUGH).await;
    let tally = load.stop().await;
    let counts = [near.counts(), far.counts()];
    println!("{tally}; {counts:?}");
    assert!(counts.iter().all(|counts| counts.dropped > 0 && counts.duplicated > 0), "{counts:?}");
    assert!(tally.cut + tally.refused.values().sum::<u64>() > 0, "no fault had an effect; {tally}");
}
