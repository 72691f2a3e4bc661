//! What WebSockets cost: memory of idle connections, broadcasts, echo. Gateway, host, NATS server and the clients that count
//! are processes of their own, on loopback.
//!
//! Everything that is compared is measured in the same run: `README.md` says what is beside what.

mod broadcast;
mod client;
mod echo;
mod memory;
mod quiet;
mod raw;
mod readers;
mod stand;

use std::time::Duration;

use h8s_benches::runtime;

/// Whoever is too loaded to open some connections in this time measures nothing useful.
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
