//! Subscriptions: one of a client, with its message limit, and the table of all of a client's subscriptions.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::peer::Peer;

/// "No limit" in `Subscription::limit`: no message count reaches it.
const UNLIMITED: u64 = u64::MAX;

/// One subscription of a client.
pub(crate) struct Subscription {
    /// The client's id for the subscription, which every message carries.
    pub(crate) sid: Box<[u8]>,
    /// The subject, possibly with wildcards.
    pub(crate) subject: Box<[u8]>,
    /// The queue group.
    pub(crate) queue: Option<Box<[u8]>>,
    /// The client that receives the messages.
    pub(crate) owner: Arc<Peer>,
    table: Weak<SubscriptionTable>,
    delivered: AtomicU64,
    limit: AtomicU64,
}

/// Whether a subscription accepts one more message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grant {
    /// The limit is reached, or the subscription has ended.
    Exhausted,
    Granted,
    /// Granted. The limit is now reached, and the subscription must be removed.
    Last,
}

impl Subscription {
    pub(crate) fn new(
        sid: &[u8],
        subject: &[u8],
        queue: Option<&[u8]>,
        owner: Arc<Peer>,
        table: &Arc<SubscriptionTable>,
    ) -> Self {
        Self {
            sid: sid.into(),
            subject: subject.into(),
            queue: queue.map(Into::into),
            owner,
            table: Arc::downgrade(table),
            delivered: AtomicU64::new(0),
            limit: AtomicU64::new(UNLIMITED),
        }
    }

    /// Counts one message. Concurrent publishers are never granted more than the limit. (Sequentially consistent with
    /// [`limit_to`](Self::limit_to): one of the two always sees the other.)
    pub(crate) fn take(&self) -> Grant {
        let count = self.delivered.fetch_add(1, Ordering::SeqCst) + 1;
        match count.cmp(&self.limit.load(Ordering::SeqCst)) {
            std::cmp::Ordering::Less => Grant::Granted,
            std::cmp::Ordering::Equal => Grant::Last,
            std::cmp::Ordering::Greater => Grant::Exhausted,
        }
    }

    /// Limits the subscription to `max` messages, counted from its start. Returns whether that limit is already
    /// reached.
    pub(crate) fn limit_to(&self, max: u64) -> bool {
        self.limit.store(max, Ordering::SeqCst);
        self.delivered.load(Ordering::SeqCst) >= max
    }

    /// Ends the subscription, also for publishers that still hold it, and removes it from its client's table.
    pub(crate) fn end(&self) {
        self.limit.store(0, Ordering::SeqCst);
        if let Some(table) = self.table.upgrade() {
            table.lock().remove(&self.sid);
        }
    }
}

/// The subscriptions of one client, by `sid`.
#[derive(Default)]
pub(crate) struct SubscriptionTable {
    by_sid: Mutex<HashMap<Box<[u8]>, Arc<Subscription>>>,
}

impl SubscriptionTable {
    /// Adds a subscription and returns `Some(true)`. `Some(false)` if its `sid` exists: the first one stays, as in
    /// nats-server. `None` if the client already has `max` subscriptions.
    pub(crate) fn add(&self, subscription: &Arc<Subscription>, max: usize) -> Option<bool> {
        let mut by_sid = self.lock();
        let is_full = by_sid.len() >= max;
        match by_sid.entry(subscription.sid.clone()) {
            Entry::Occupied(_) => Some(false),
            Entry::Vacant(_) if is_full => None,
            Entry::Vacant(entry) => {
                entry.insert(Arc::clone(subscription));
                Some(true)
            }
        }
    }

    pub(crate) fn get(&self, sid: &[u8]) -> Option<Arc<Subscription>> {
        self.lock().get(sid).cloned()
    }

    /// Removes and returns all subscriptions.
    pub(crate) fn take_all(&self) -> Vec<Arc<Subscription>> {
        std::mem::take(&mut *self.lock()).into_values().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<[u8]>, Arc<Subscription>>> {
        self.by_sid.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
