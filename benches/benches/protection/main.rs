//! What well-behaved clients notice of the others, of a reload and of a swap: gateway, NATS server, responder, the crowd
//! and the bench are processes of their own, on loopback.
//!
//! The load is the same everywhere: 2,000 requests a second, sent when they are due and not when the one before has been
//! answered. `README.md` says what is beside what.

mod crowd;
mod elsewhere;
mod flood;
mod limited;
mod report;
mod responder;
mod stand;
mod steady;
mod tls;
mod under_attack;
mod while_changing;

use h8s_benches::runtime;

use report::Report;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let first = arguments.next();
    let mut next = || arguments.next().expect("a role is told what it needs");
    match first.as_deref() {
        Some(responder::ROLE) => return responder::run(&next()),
        Some(elsewhere::ROLE) => return elsewhere::run(),
        Some(crowd::ROLE) => return crowd::run(&next()),
        _ => {}
    }
    let chosen = |name: &str| first.as_deref().is_none_or(|filter| name.contains(filter));
    let (runtime, mut report) = (runtime(), Report::new());
    if chosen("crowd") {
        runtime.block_on(under_attack::crowd(&mut report));
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
