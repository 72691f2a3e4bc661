//! A client that reads slowly, and whether anybody else notices.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use h8s_benches::Spread;

use crate::backend;
use crate::stand::Chain;
use crate::steady::Steady;
use crate::streams::{BODY_BYTES, Download};

/// Seconds for which it is slow, where that is not the usual.
const SECONDS: &str = "H8S_BENCH_SLOW_SECONDS";
const USUAL_SECONDS: u64 = 10;
/// Bytes a second, and bytes at once.
const RATE: usize = 1_000_000;
const SIP: usize = 50_000;
/// Small requests a second meanwhile.
const REQUESTS: u32 = 400;

pub(crate) async fn measure() {
    let seconds =
        std::env::var(SECONDS).ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(USUAL_SECONDS);
    let time = Duration::from_secs(seconds);
    let chain = Chain::start(backend::ROLE).await;
    chain.answers("/").await;
    let address = chain.gateway.address;
    println!("slow: a client reads 1 MB/s for {time:?}, then at full speed; beside it {REQUESTS} requests/s");
    let memory = chain.memory();
    tokio::task::block_in_place(|| {
        let alone = Steady::start(address, "/hello", REQUESTS, time).join();
        let beside = Steady::start(address, "/hello", REQUESTS, time);
        let slow = Slow::run(address, time);
        let beside = beside.join();
        show("without it", &alone);
        show("beside it", &beside);
        let rest = (BODY_BYTES - slow.sipped) as f64 / 1e6;
        println!(
            "  it had {:.1} MB, and then {rest:.0} MB at {:.0} MB/s, whole",
            slow.sipped as f64 / 1e6,
            rest / slow.rest.as_secs_f64()
        );
    });
    memory.show();
}

fn show(name: &str, times: &Spread) {
    println!(
        "  requests {name:11} {:8.1?} p50, {:8.1?} p99, {:8.1?} at most",
        times.median(),
        times.at(99),
        times.at(100)
    );
}

/// What the slow one had slowly, and how long the rest took.
struct Slow {
    sipped: u64,
    rest: Duration,
}

impl Slow {
    fn run(address: SocketAddr, time: Duration) -> Self {
        let mut download = Download::start(address, BODY_BYTES);
        let begin = Instant::now();
        let mut sipped = 0;
        while begin.elapsed() < time {
            sipped += download.read(SIP);
            let due = Duration::from_secs_f64(sipped as f64 / RATE as f64);
            thread::sleep(due.saturating_sub(begin.elapsed()));
        }
        let begin = Instant::now();
        while !download.is_whole() {
            download.read(usize::MAX);
        }
        Self { sipped: sipped as u64, rest: begin.elapsed() }
    }
}
