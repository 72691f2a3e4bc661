//! Measures WebSockets: memory of idle connections, broadcasts, echo. Gateway, host, NATS server and clients are separate
//! processes on loopback.
//!
//! Compared figures are measured in the same run; see `README.md`.

mod broadcast;
mod client;
mod echo;
mod memory;
mod quiet;
mod raw;
mod readers;
mod setup;

use std::time::Duration;

use h8s_benches::runtime;

/// A machine that cannot open the connections within this time is too loaded for useful figures.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let first = arguments.next();
    if first.as_deref() == Some(readers::ROLE) {
        return readers::run(&readers::Order::from_arguments(arguments));
    }
    let chosen = |name: &str| first.as_deref().is_none_or(|filter| name.contains(filter));
    let runtime = runtime();
    if chosen("memory") {
        runtime.block_on(memory::measure());
    }
    if chosen("broadcast") {
        runtime.block_on(broadcast::measure());
    }
    if chosen("echo") {
        runtime.block_on(echo::measure());
    }
}
