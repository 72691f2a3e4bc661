//! Activity of a client connection, and since when it is idle.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use tokio::time::Instant;

/// Exchanges and WebSockets in flight, uploads that outlast their responses, a head being received, and pending writes.
#[derive(Debug)]
pub(crate) struct Activity {
    begun: AtomicU64,
    under_way: AtomicUsize,
    uploads: AtomicUsize,
    is_in_head: AtomicBool,
    is_writing: AtomicBool,
    last: Mutex<Instant>,
}

impl Activity {
    pub(crate) fn new() -> Self {
        Self {
            begun: AtomicU64::new(0),
            under_way: AtomicUsize::new(0),
            uploads: AtomicUsize::new(0),
            is_in_head: AtomicBool::new(false),
            is_writing: AtomicBool::new(false),
            last: Mutex::new(Instant::now()),
        }
    }

    /// Starts an activity that lasts until [`end`](Self::end). Returns the current count, including this one.
    pub(crate) fn begin(&self) -> usize {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.under_way.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn end(&self) {
        // First, so that the connection never looks idle since long ago.
        self.touch();
        self.under_way.fetch_sub(1, Ordering::Relaxed);
    }

    /// A request body may still arrive, even after the response has ended.
    pub(crate) fn upload_begins(&self) {
        self.uploads.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn upload_ends(&self) {
        self.touch();
        self.uploads.fetch_sub(1, Ordering::Relaxed);
    }

    /// The total number of activities started.
    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.under_way.load(Ordering::Relaxed) > 0 || self.uploads.load(Ordering::Relaxed) > 0
    }

    /// A request head is partly received.
    pub(crate) fn in_head(&self, is_in_head: bool) {
        self.is_in_head.store(is_in_head, Ordering::Relaxed);
    }

    /// A write is pending.
    pub(crate) fn writing(&self, is_writing: bool) {
        if self.is_writing.swap(is_writing, Ordering::Relaxed) && !is_writing {
            self.touch();
        }
    }

    /// Since when the connection is idle. `None`: it is active.
    pub(crate) fn quiet_since(&self) -> Option<Instant> {
        let is_quiet = !self.is_busy()
            && !self.is_in_head.load(Ordering::Relaxed)
            && !self.is_writing.load(Ordering::Relaxed);
        is_quiet.then(|| *self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn touch(&self) {
        *self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_quiet_since_the_last_thing_ended() {
        let activity = Activity::new();
        let opened = activity.quiet_since().unwrap();

        assert_eq!((activity.begin(), activity.begin()), (1, 2));
        activity.end();
        assert_eq!((activity.quiet_since(), activity.begun()), (None, 2));
        activity.end();

        assert!(activity.quiet_since().unwrap() > opened);
        activity.in_head(true);
        assert_eq!(activity.quiet_since(), None);
    }

    #[test]
    fn what_waits_for_the_client_is_not_quiet() {
        let activity = Activity::new();
        let opened = activity.quiet_since().unwrap();

        activity.writing(true);
        assert_eq!(activity.quiet_since(), None);
        activity.writing(false);

        assert!(activity.quiet_since().unwrap() > opened);
    }
}
