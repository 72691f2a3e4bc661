//! Measures the load next to hostile clients.

use std::net::SocketAddr;

use h8s_benches::usage::{forget_peak, peak_bytes, resident_bytes};

use crate::elsewhere::Elsewhere;
use crate::flood::{self, Flooded, flood};
use crate::limited::Limited;
use crate::open_loop_load::{OpenLoopLoad, Served, Target};
use crate::report::Report;
use crate::setup::{SETTLED, Setup, TIME};
use crate::slow_clients::{self, SlowClients};

/// Next to thousands of idle or slow connections.
pub(crate) async fn slow_clients(report: &mut Report) {
    println!(
        "slow-clients: 2,000 requests a second next to {} slow or idle connections",
        slow_clients::COUNT
    );
    let setup = Setup::start(&[]).await;
    let (target, id) = (setup.target(), setup.gateway_id());
    let alone = OpenLoopLoad::run(&target, TIME).await;
    report.load("alone", &alone, None);
    let (before, counted) = (resident_bytes(id), Limited::of(&setup.gateway).await);
    forget_peak(id);

    let steady = OpenLoopLoad::start(&target);
    let slow_clients = SlowClients::start(target.address).await;
    tokio::time::sleep(SETTLED).await;
    report.load("while they come", &steady.stop(), Some(&alone));
    // Long enough to reach limits, and for closed clients to reconnect.
    let beside = OpenLoopLoad::run(&target, 3 * TIME).await;
    report.load("beside the slow clients", &beside, Some(&alone));
    slow_clients.end().await;
    tokio::time::sleep(SETTLED).await;
    let after = OpenLoopLoad::run(&target, TIME).await;
    report.load("when they have gone", &after, Some(&alone));
    report.memory("gateway", before, peak_bytes(id), resident_bytes(id));
    report.note("limits hit", &Limited::of(&setup.gateway).await.since(&counted));
}

/// Next to a client that opens streams and resets them.
pub(crate) async fn resets(report: &mut Report) {
    println!("resets: 2,000 requests a second next to {} HTTP/2 stream resets", flood::RESETS);
    let setup = Setup::start(&[]).await;
    let (target, id) = (setup.target(), setup.gateway_id());
    let alone = OpenLoopLoad::run(&target, TIME).await;
    report.load("alone", &alone, None);
    let elsewhere = Elsewhere::start().await;
    let (beside, flooded) = beside_a_flood(&target, elsewhere.address).await;
    report.load("beside resets elsewhere", &beside, Some(&alone));
    report.note("taken by another server", &flooded.in_words());
    drop(elsewhere);
    let (before, counted) = (resident_bytes(id), Limited::of(&setup.gateway).await);
    forget_peak(id);

    let (beside, flooded) = beside_a_flood(&target, target.address).await;
    report.load("beside the resets", &beside, Some(&alone));
    report.note("taken", &flooded.in_words());
    tokio::time::sleep(SETTLED).await;
    report.memory("gateway", before, peak_bytes(id), resident_bytes(id));
    report.note("limits hit", &Limited::of(&setup.gateway).await.since(&counted));
}

/// Measures the load while `flooded` is flooded.
async fn beside_a_flood(target: &Target, flooded: SocketAddr) -> (Served, Flooded) {
    let steady = OpenLoopLoad::start(target);
    let flooding = tokio::task::spawn_blocking(move || flood(flooded));
    let flooded = flooding.await.expect("a flood ends");
    (steady.stop(), flooded)
}
