//! Measures the effect of a slow reader on other clients.

use std::net::SocketAddr;
use std::time::Duration;

use h8s_benches::transfer::{Download, slow_time, timed};
use h8s_benches::{OpenLoopLoad, Spread};

use crate::backend;
use crate::setup::Chain;
use crate::streams::BODY_BYTES;

const USUAL: Duration = Duration::from_secs(10);
/// The rate of small requests, per second.
const REQUESTS: u32 = 400;

pub(crate) async fn measure() {
    let time = slow_time(USUAL);
    let chain = Chain::start(backend::ROLE).await;
    chain.answers("/").await;
    let address = chain.gateway.address;
    println!("slow: a client reads 1 MB/s for {time:?}, then at full speed; next to {REQUESTS} requests/s");
    let memory = chain.memory();
    tokio::task::block_in_place(|| {
        let alone = OpenLoopLoad::run(address, "/hello", REQUESTS, time);
        let beside = OpenLoopLoad::start(address, "/hello", REQUESTS);
        let slow = Slow::run(address, time);
        let beside = beside.stop();
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

/// The bytes that the slow client read slowly, and the time of the rest.
struct Slow {
    sipped: u64,
    rest: Duration,
}

impl Slow {
    fn run(address: SocketAddr, time: Duration) -> Self {
        let mut download = Download::start(address, &format!("/{BODY_BYTES}"), BODY_BYTES);
        download.sip(time);
        Self { sipped: download.bytes(), rest: timed(|| download.finish()) }
    }
}
