//! A timeout between two pieces of a body, which counts only while the body is read.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// The timer runs only while a read is pending; each piece resets it.
#[derive(Debug, Default)]
pub(crate) struct IdleTimeout(Option<Pin<Box<Sleep>>>);

impl IdleTimeout {
    /// A piece arrived, or the end.
    pub(crate) fn reset(&mut self) {
        self.0 = None;
    }

    /// No piece is ready. Ready once that has lasted for `limit`.
    pub(crate) fn poll_elapsed(&mut self, limit: Duration, cx: &mut Context<'_>) -> Poll<()> {
        self.0.get_or_insert_with(|| Box::pin(sleep(limit))).as_mut().poll(cx)
    }
}
