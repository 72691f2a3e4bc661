//! The load beside clients that mean no good.

use std::net::SocketAddr;

use h8s_benches::usage::{forget_peak, peak_bytes, resident_bytes};

use crate::crowd::{self, Crowd};
use crate::elsewhere::Elsewhere;
use crate::flood::{self, Flooded, flood};
use crate::limited::Limited;
use crate::report::Report;
use crate::stand::{SETTLED, Stand, TIME};
use crate::steady::{Served, Steady, Target};

/// Beside thousands of connections that are idle, or slow in one way or another.
pub(crate) async fn crowd(report: &mut Report) {
    println!("crowd: 2,000 requests a second beside {} slow or idle connections", crowd::COUNT);
    let stand = Stand::start(&[]).await;
    let (target, id) = (stand.target(), stand.gateway_id());
    let alone = Steady::run(&target, TIME).await;
    report.load("alone", &alone, None);
    let (before, counted) = (resident_bytes(id), Limited::of(&stand.gateway).await);
    forget_peak(id);

    let steady = Steady::start(&target);
    let crowd = Crowd::start(target.address).await;
    tokio::time::sleep(SETTLED).await;
    report.load("while they come", &steady.stop(), Some(&alone));
    // Long enough for limits to be hit, and for who was closed to come again.
    let beside = Steady::run(&target, 3 * TIME).await;
    report.load("beside the crowd", &beside, Some(&alone));
    crowd.end().await;
    tokio::time::sleep(SETTLED).await;
    let after = Steady::run(&target, TIME).await;
    report.load("when they have gone", &after, Some(&alone));
    report.memory("gateway", before, peak_bytes(id), resident_bytes(id));
    report.note("limits hit", &Limited::of(&stand.gateway).await.since(&counted));
}

/// Beside somebody who opens streams and resets them.
pub(crate) async fn resets(report: &mut Report) {
    println!("resets: 2,000 requests a second beside {} HTTP/2 stream resets", flood::RESETS);
    let stand = Stand::start(&[]).await;
    let (target, id) = (stand.target(), stand.gateway_id());
    let alone = Steady::run(&target, TIME).await;
    report.load("alone", &alone, None);
    let elsewhere = Elsewhere::start().await;
    let (beside, flooded) = beside_a_flood(&target, elsewhere.address).await;
    report.load("beside resets elsewhere", &beside, Some(&alone));
    report.note("taken by another server", &flooded.in_words());
    drop(elsewhere);
    let (before, counted) = (resident_bytes(id), Limited::of(&stand.gateway).await);
    forget_peak(id);

    let (beside, flooded) = beside_a_flood(&target, target.address).await;
    report.load("beside the resets", &beside, Some(&alone));
    report.note("taken", &flooded.in_words());
    tokio::time::sleep(SETTLED).await;
    report.memory("gateway", before, peak_bytes(id), resident_bytes(id));
    report.note("limits hit", &Limited::of(&stand.gateway).await.since(&counted));
}

/// The load while `flooded` is flooded.
async fn beside_a_flood(target: &Target, flooded: SocketAddr) -> (Served, Flooded) {
    let steady = Steady::start(target);
    let flooding = tokio::task::spawn_blocking(move || flood(flooded));
    let flooded = flooding.await.expect("a flood ends");
    (steady.stop(), flooded)
}
