//! Loom models of the waker protocols that are written by hand. Each includes the production source, so that it is that
//! source which is checked: it takes its primitives from `crate::sync`, which is loom's here, and the standard library's
//! and tokio's at home. What else a source names of its crate is at the same path here, or a stand-in that the model
//! has no use for.
//!
//! A model runs in every order of its threads, with at most [`PREEMPTIONS`] switches at places where a thread could go
//! on. A wake-up that is lost is a deadlock, which loom reports; `LOOM_LOG=trace` shows the order that leads to it.

mod ack_delay;
mod coalescing_waker;
mod error;
mod exchange;
mod mailbox;
mod slots;
mod sync;

pub use ack_delay::every_request_gets_its_ticks;
pub use coalescing_waker::{a_wake_up_during_a_poll_is_not_lost, a_wake_up_while_held_is_not_lost};
pub use mailbox::{
    a_delivered_frame_wakes_the_reader, a_failure_wakes_reader_and_writer,
    a_suspended_reader_goes_on_after_a_sync, granted_credit_wakes_the_writer,
    reader_and_writer_are_woken_apart,
};
pub use slots::{
    a_call_gets_the_slot_of_an_instance_that_becomes_idle, calls_that_wait_get_their_slots_in_turn,
};

/// Two find nearly every bug of such protocols (CHESS, PLDI 2007).
const PREEMPTIONS: usize = 2;

/// Checks a model in every order.
fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(model);
}
