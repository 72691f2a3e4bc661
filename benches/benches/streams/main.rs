//! What large bodies cost, what others notice of them, and what is kept of them: gateway, NATS server, responder and host
//! are processes of their own, on loopback.
//!
//! `README.md` says what is beside what.

mod beside;
mod responder;
mod slow;
mod speed;
mod stand;

use h8s_benches::{Report, runtime};

use stand::Stand;

/// Of each large body.
const BODY_BYTES: u64 = 1_000_000_000;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let first = arguments.next();
    if first.as_deref() == Some(responder::ROLE) {
        return responder::run(&arguments.next().expect("a responder is told where NATS is"));
    }
    let chosen = |name: &str| first.as_deref().is_none_or(|filter| name.contains(filter));
    let (runtime, mut report) = (runtime(), Report::new("streams"));
    runtime.block_on(async {
        let mut stand = Stand::start().await;
        // The bench's own threads have nothing else to do.
        tokio::task::block_in_place(|| {
            if chosen("speed") {
                speed::measure(&mut stand, &mut report);
            }
            if chosen("beside") {
                beside::measure(&stand, &mut report);
            }
            if chosen("slow") {
                slow::measure(&stand, &mut report);
            }
        });
    });
    report.write();
}
