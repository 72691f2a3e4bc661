//! The exchanges that are open at one end, by id.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use h8s_wire::ExchangeId;
use tokio::sync::Notify;

/// What an inbox subscription looks its messages' receivers up in. Entries are removed by whoever put them there.
pub(crate) struct Registry<T> {
    open: Mutex<Open<T>>,
    emptied: Notify,
}

type Open<T> = HashMap<ExchangeId, Arc<T>, BuildHasherDefault<IdHasher>>;

impl<T> Default for Registry<T> {
    fn default() -> Self {
        Self { open: Mutex::default(), emptied: Notify::new() }
    }
}

impl<T> Registry<T> {
    fn lock(&self) -> MutexGuard<'_, Open<T>> {
        // Nothing that holds this lock can panic half-way.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `false` when there is such an exchange already: ids are random, so somebody made that one up.
    pub(crate) fn insert(&self, id: ExchangeId, entry: Arc<T>) -> bool {
        match self.lock().entry(id) {
            std::collections::hash_map::Entry::Occupied(_) => false,
            std::collections::hash_map::Entry::Vacant(vacant) => {
                vacant.insert(entry);
                true
            }
        }
    }

    pub(crate) fn get(&self, id: ExchangeId) -> Option<Arc<T>> {
        self.lock().get(&id).cloned()
    }

    pub(crate) fn remove(&self, id: ExchangeId) {
        let mut open = self.lock();
        open.remove(&id);
        let emptied = open.is_empty();
        drop(open);
        if emptied {
            self.emptied.notify_waiters();
        }
    }

    /// Waits until no exchange is open.
    pub(crate) async fn empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.len() == 0 {
                return;
            }
            emptied.await;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Every entry at this moment.
    pub(crate) fn all(&self) -> Vec<(ExchangeId, Arc<T>)> {
        self.lock().iter().map(|(id, entry)| (*id, entry.clone())).collect()
    }
}

/// A fresh id: 128 bits of the thread's cryptographic generator.
pub(crate) fn random_id() -> [u8; 16] {
    rand::random()
}

/// Ids that we made are random already; ids that others made are at worst slow for those who made them alike,
/// since each end accepts only what it can hold.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = (self.0 ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}
