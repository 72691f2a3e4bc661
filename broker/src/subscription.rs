//! One client's subscription, and how many messages it may still get.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::peer::Peer;

/// "No limit" in `Subscription::limit`: no count of messages reaches it.
const UNLIMITED: u64 = u64::MAX;

/// What a SUB made.
pub(crate) struct Subscription {
    /// The client's own name for it, which comes back with every message.
    pub(crate) sid: Box<[u8]>,
    /// With wildcards.
    pub(crate) subject: Box<[u8]>,
    /// The queue group it belongs to.
    pub(crate) queue: Option<Box<[u8]>>,
    /// The client that gets the messages.
    pub(crate) owner: Arc<Peer>,
    delivered: AtomicU64,
    limit: AtomicU64,
}

/// Whether a subscription takes one more message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It has had all it may get, or was taken back.
    Over,
    Granted,
    /// This one, and then it is to be removed.
    Last,
}

impl Subscription {
    pub(crate) fn new(sid: &[u8], subject: &[u8], queue: Option<&[u8]>, owner: Arc<Peer>) -> Self {
        Self {
            sid: sid.into(),
            subject: subject.into(),
            queue: queue.map(Into::into),
            owner,
            delivered: AtomicU64::new(0),
            limit: AtomicU64::new(UNLIMITED),
        }
    }

    /// Counts one message. Several publishers may ask at once; never are more granted than the limit.
    /// (Sequentially consistent with [`limit_to`](Self::limit_to): one of the two always notices the other.)
    pub(crate) fn take_turn(&self) -> Turn {
        let count = self.delivered.fetch_add(1, Ordering::SeqCst) + 1;
        match count.cmp(&self.limit.load(Ordering::SeqCst)) {
            std::cmp::Ordering::Less => Turn::Granted,
            std::cmp::Ordering::Equal => Turn::Last,
            std::cmp::Ordering::Greater => Turn::Over,
        }
    }

    /// No more than `max` messages, counted from the beginning. Says whether that many have already been
    /// delivered, so that nothing more will come.
    pub(crate) fn limit_to(&self, max: u64) -> bool {
        self.limit.store(max, Ordering::SeqCst);
        self.delivered.load(Ordering::SeqCst) >= max
    }

    /// Nothing more, also for those who found it before it was removed.
    pub(crate) fn end(&self) {
        self.limit.store(0, Ordering::SeqCst);
    }
}
