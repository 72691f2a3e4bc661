//! The subscriptions of all clients, and the lookup of those that match a message.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use crate::subscription::Subscription;
use crate::trie::Trie;

/// The subscriptions that match one subject.
#[derive(Default)]
pub(crate) struct Matches {
    /// Each of these receives the message.
    pub(crate) plain: Vec<Arc<Subscription>>,
    /// One member of each group receives the message. Members with different subjects are in one group if its name is
    /// the same.
    pub(crate) groups: Vec<Vec<Arc<Subscription>>>,
}

impl Matches {
    fn add(&mut self, subscription: &Arc<Subscription>) {
        if subscription.queue.is_none() {
            return self.plain.push(Arc::clone(subscription));
        }
        let same = |group: &&mut Vec<Arc<Subscription>>| group[0].queue == subscription.queue;
        match self.groups.iter_mut().find(same) {
            Some(group) => group.push(Arc::clone(subscription)),
            None => self.groups.push(vec![Arc::clone(subscription)]),
        }
    }

    /// The number of subscriptions.
    pub(crate) fn count(&self) -> usize {
        self.plain.len() + self.groups.iter().map(Vec::len).sum::<usize>()
    }
}

/// The subscriptions of all clients. The lock is held for one lookup or one change.
pub(crate) struct Routes {
    trie: RwLock<Trie<Arc<Subscription>>>,
    generation: AtomicU64,
}

impl Routes {
    pub(crate) fn new() -> Self {
        Self { trie: RwLock::new(Trie::new()), generation: AtomicU64::new(0) }
    }

    /// Increases with every change. Matches looked up in the same generation are still valid.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(crate) fn insert(&self, subscription: &Arc<Subscription>) {
        let mut trie = self.change();
        trie.insert(&subscription.subject, Arc::clone(subscription));
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Ends a subscription and removes it, here and from its client's table.
    pub(crate) fn unsubscribe(&self, subscription: &Arc<Subscription>) {
        subscription.end();
        let mut trie = self.change();
        if trie.remove(&subscription.subject, |other| Arc::ptr_eq(other, subscription)) {
            self.generation.fetch_add(1, Ordering::Release);
        }
    }

    /// The subscriptions that match this literal subject.
    pub(crate) fn matches(&self, subject: &[u8]) -> Matches {
        let mut matches = Matches::default();
        let trie = self.trie.read().unwrap_or_else(PoisonError::into_inner);
        trie.matching(subject, &mut |subscription| matches.add(subscription));
        matches
    }

    fn change(&self) -> RwLockWriteGuard<'_, Trie<Arc<Subscription>>> {
        self.trie.write().unwrap_or_else(PoisonError::into_inner)
    }
}
