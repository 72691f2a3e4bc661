//! Measures the effect on well-behaved clients of hostile ones, of a reload and of a swap. Gateway, NATS server, responder,
//! slow clients and the bench are separate processes on loopback.
//!
//! The load is always the same: 2,000 requests per second, each sent when it is due, whether or not the previous one has
//! completed. See `README.md`.

mod elsewhere;
mod flood;
mod limited;
mod open_loop_load;
mod report;
mod responder;
mod setup;
mod slow_clients;
mod tls;
mod under_attack;
mod while_changing;

use h8s_benches::runtime;

use report::Report;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let first = arguments.next();
    let mut next = || arguments.next().expect("the role has an argument");
    match first.as_deref() {
        Some(responder::ROLE) => return responder::run(&next()),
        Some(elsewhere::ROLE) => return elsewhere::run(),
        Some(slow_clients::ROLE) => return slow_clients::run(&next()),
        _ => {}
    }
    let chosen = |name: &str| first.as_deref().is_none_or(|filter| name.contains(filter));
    let (runtime, mut report) = (runtime(), Report::new());
    if chosen("slow-clients") {
        runtime.block_on(under_attack::slow_clients(&mut report));
    }
    if chosen("resets") {
        runtime.block_on(under_attack::resets(&mut report));
    }
    if chosen("reload") {
        runtime.block_on(while_changing::reload(&mut report));
    }
    if chosen("certificate") {
        runtime.block_on(while_changing::certificate(&mut report));
    }
    if chosen("swap") {
        runtime.block_on(while_changing::swap(&mut report));
    }
    report.write();
}
