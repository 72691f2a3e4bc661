//! Measures large bodies down and up, with every byte compared on arrival.

use std::net::SocketAddr;
use std::time::Duration;

use h8s_benches::transfer::{Download, timed, upload};
use h8s_benches::{Clock, Used};

use crate::backend;
use crate::setup::Chain;

pub(crate) const BODY_BYTES: u64 = 1_000_000_000;
/// The target rate, in bytes per second.
const TARGET_RATE: f64 = 200e6;

pub(crate) async fn measure() {
    let mut chain = Chain::start(backend::ROLE).await;
    chain.answers("/").await;
    println!("streams: {:.0} MB over HTTP/1.1, compared on arrival", BODY_BYTES as f64 / 1e6);
    let memory = chain.memory();
    let gateway = chain.gateway.address;
    for (name, transfer) in [("down", down as fn(SocketAddr)), ("up", up)] {
        let straight = tokio::task::block_in_place(|| timed(|| transfer(chain.backend)));
        let (clock, mut used) = (Clock::start(&chain.all()), Used::default());
        let chained = tokio::task::block_in_place(|| timed(|| transfer(gateway)));
        clock.stop(&mut used);
        println!(
            "  {name:4} {:5.0} MB/s   target {:.0}   straight to the backend {:5.0} MB/s   cpu for each MB {}",
            rate(chained) / 1e6,
            TARGET_RATE / 1e6,
            rate(straight) / 1e6,
            used.each(BODY_BYTES as usize / 1_000_000)
        );
    }
    memory.show();
}

fn rate(time: Duration) -> f64 {
    BODY_BYTES as f64 / time.as_secs_f64()
}

fn down(address: SocketAddr) {
    Download::start(address, &format!("/{BODY_BYTES}"), BODY_BYTES).finish();
}

fn up(address: SocketAddr) {
    upload(address, "/", BODY_BYTES);
}
