//! Places for instances in the engine's pool, shared by all components.
//!
//! An instance that waits for its next call has a place, too, and gives it up as soon as somebody else wants one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::idle::IdleInstances;

/// All places of an engine.
#[derive(Debug)]
pub(crate) struct Slots {
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// Whose instances may have to make room, in turn.
    idle: Mutex<Vec<Weak<IdleInstances>>>,
}

/// The place of one instance, given back when dropped: not before the instance is.
#[derive(Debug)]
pub(crate) struct Slot {
    _permit: OwnedSemaphorePermit,
}

impl Slots {
    pub(crate) fn new(count: usize) -> Arc<Self> {
        let free = Arc::new(Semaphore::new(count));
        Arc::new(Self { free, waiting: AtomicUsize::new(0), idle: Mutex::default() })
    }

    /// From now on, those are asked for room as well.
    pub(crate) fn register(&self, idle: &Arc<IdleInstances>) {
        let mut all = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // Components come and go where they are exchanged.
        all.retain(|idle| idle.strong_count() > 0);
        all.push(Arc::downgrade(idle));
    }

    /// A place, where one is free or can be made free at once.
    pub(crate) fn try_take(&self) -> Option<Slot> {
        self.try_free().or_else(|| if self.make_room() { self.try_free() } else { None })
    }

    /// A place, whenever there is one. `None`: never again.
    pub(crate) async fn take(&self) -> Option<Slot> {
        let _waiting = Waiting::one_of(&self.waiting);
        // Whoever becomes idle after this sees that somebody waits.
        self.make_room();
        let permit = Arc::clone(&self.free).acquire_owned().await.ok()?;
        Some(Slot { _permit: permit })
    }

    /// Whether somebody waits for a place, who goes before those that have nothing to do.
    pub(crate) fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    fn try_free(&self) -> Option<Slot> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        Some(Slot { _permit: permit })
    }

    /// Has one idle instance dropped, if there is any.
    fn make_room(&self) -> bool {
        let mut all = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let found = all.iter().position(|idle| idle.upgrade().is_some_and(|idle| idle.give_way()));
        // The next time it is another component's turn first.
        if let Some(at) = found {
            all.rotate_left(at + 1);
        }
        found.is_some()
    }
}

/// Somebody who waits.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn one_of(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
