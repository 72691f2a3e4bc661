//! How long a body may stand still while somebody waits for more of it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// Time passes only while somebody asks; each piece begins it anew.
#[derive(Debug, Default)]
pub(crate) struct Silence(Option<Pin<Box<Sleep>>>);

impl Silence {
    /// A piece came, or the end.
    pub(crate) fn is_broken(&mut self) {
        self.0 = None;
    }

    /// Nothing is there. Ready once that has lasted for `most`.
    pub(crate) fn poll_too_long(&mut self, most: Duration, cx: &mut Context<'_>) -> Poll<()> {
        self.0.get_or_insert_with(|| Box::pin(sleep(most))).as_mut().poll(cx)
    }
}
