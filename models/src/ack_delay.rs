//! Requests that wait for the delay of their acknowledgement, and the one ticker that they share and start.

#[allow(dead_code, unreachable_pub, reason = "a model needs less than production")]
#[path = "../../nats/src/exchange/ack_delay.rs"]
mod production;

use std::sync::Arc;

use loom::thread;

use self::production::Quiet as AckDelay;
use crate::check;

/// However a request arrives while the ticker runs, ends or starts: its delay passes.
pub fn every_request_gets_its_ticks() {
    check(|| {
        let delay = Arc::<AckDelay>::default();
        let other = thread::spawn({
            let delay = Arc::clone(&delay);
            move || loom::future::block_on(delay.pass())
        });

        loom::future::block_on(delay.pass());

        other.join().expect("it does not panic");
    });
}
