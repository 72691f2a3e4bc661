//! Measures a small request with many open connections, patterns or components, and the time to the first response.
//! Gateways, NATS servers, responders and hosts are separate processes on loopback.
//!
//! Compared figures are measured in turns; see `README.md`.

mod components;
mod connections;
mod patterns;
mod range;
mod responder;
mod start;

use h8s_benches::{Report, runtime};

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let first = arguments.next();
    if first.as_deref() == Some(responder::ROLE) {
        let nats_url = arguments.next().expect("the NATS URL follows the role");
        return responder::run(
            &nats_url,
            &arguments.next().expect("the number of patterns follows the NATS URL"),
        );
    }
    let chosen = |name: &str| first.as_deref().is_none_or(|filter| name.contains(filter));
    let (runtime, mut report) = (runtime(), Report::new("growth"));
    if chosen("connections") {
        runtime.block_on(connections::measure(&mut report));
    }
    if chosen("patterns") {
        runtime.block_on(patterns::measure(&mut report));
    }
    if chosen("components") {
        runtime.block_on(components::measure(&mut report));
    }
    if chosen("start") {
        runtime.block_on(start::measure(&mut report));
    }
    report.write();
}
