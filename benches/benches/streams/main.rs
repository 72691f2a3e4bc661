//! Measures large bodies: their cost, their effect on other requests, and memory. Gateway, NATS server, responder and host
//! are separate processes on loopback.
//!
//! See `README.md`.

mod beside;
mod responder;
mod setup;
mod slow;
mod speed;

use h8s_benches::{Report, runtime};

use setup::Setup;

/// The size of each large body.
const BODY_BYTES: u64 = 1_000_000_000;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let first = arguments.next();
    if first.as_deref() == Some(responder::ROLE) {
        return responder::run(&arguments.next().expect("the NATS URL follows the role"));
    }
    let chosen = |name: &str| first.as_deref().is_none_or(|filter| name.contains(filter));
    let (runtime, mut report) = (runtime(), Report::new("streams"));
    runtime.block_on(async {
        let mut setup = Setup::start().await;
        // The bench's own threads have no other work.
        tokio::task::block_in_place(|| {
            if chosen("speed") {
                speed::measure(&mut setup, &mut report);
            }
            if chosen("beside") {
                beside::measure(&setup, &mut report);
            }
            if chosen("slow") {
                slow::measure(&setup, &mut report);
            }
        });
    });
    report.write();
}
