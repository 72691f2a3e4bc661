//! Slots for instances in the engine's pool, shared by all components.
//!
//! An idle instance keeps its slot, and is evicted as soon as a call waits for one. No wakeup is lost between the two:
//! a waiting call counts itself before it looks for idle instances, and an instance is put where it can be evicted
//! before its owner looks at the count ([`Slots::is_wanted`]).
//!
//! This file depends on nothing but [`crate::sync`], so that a model checker can include it.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use crate::sync::{Arc, AtomicUsize, Mutex, Ordering, OwnedSemaphorePermit, PoisonError, Semaphore};

/// All slots of an engine.
pub(crate) struct Slots {
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// The owners of idle instances. The first is asked first.
    owners: Mutex<Vec<Box<dyn Evict>>>,
}

/// An owner of idle instances.
pub(crate) trait Evict: Send + Sync {
    /// Whether there is nothing left to evict, now or later.
    fn is_gone(&self) -> bool;

    /// Gives up the instance that has been idle for longest, together with its slot.
    fn evict(&self) -> Option<Evicted>;
}

/// An evicted instance, to be dropped outside any lock. Its slot is free afterwards.
pub(crate) type Evicted = Box<dyn Send>;

/// The slot of one instance, given back when dropped: not before the instance is.
#[derive(Debug)]
pub(crate) struct Slot {
    _permit: OwnedSemaphorePermit,
}

impl Slots {
    pub(crate) fn new(count: usize) -> Arc<Self> {
        let free = Arc::new(Semaphore::new(count));
        Arc::new(Self { free, waiting: AtomicUsize::new(0), owners: Mutex::new(Vec::new()) })
    }

    /// Adds an owner whose instances may be evicted from now on.
    pub(crate) fn register(&self, owner: Box<dyn Evict>) {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        // Components come and go where they are swapped.
        owners.retain(|owner| !owner.is_gone());
        owners.push(owner);
    }

    /// A slot that is free, or that an eviction frees at once.
    pub(crate) fn try_take(&self) -> Option<Slot> {
        self.try_free().or_else(|| if self.make_room() { self.try_free() } else { None })
    }

    /// Waits for a slot, in order of arrival. `None`: the pool is closed.
    pub(crate) async fn take(&self) -> Option<Slot> {
        let _waiting = Waiting::new(&self.waiting);
        let mut permit = pin!(Arc::clone(&self.free).acquire_owned());
        let mut has_made_room = false;
        let permit = poll_fn(|cx| match permit.as_mut().poll(cx) {
            // Only once this call is queued: a slot that is freed now goes to the first in the queue.
            Poll::Pending if !std::mem::replace(&mut has_made_room, true) => {
                // An instance that becomes idle after this sees the count of waiting calls.
                self.make_room();
                permit.as_mut().poll(cx)
            }
            ready_or_not => ready_or_not,
        });
        Some(Slot { _permit: permit.await.ok()? })
    }

    /// Whether a call waits for a slot. Calls go before idle instances.
    pub(crate) fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    fn try_free(&self) -> Option<Slot> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        Some(Slot { _permit: permit })
    }

    /// Drops one idle instance, if there is any.
    fn make_room(&self) -> bool {
        // Two steps: dropping an instance takes longer than other components should wait for the lock.
        let evicted = self.evict();
        evicted.is_some()
    }

    fn evict(&self) -> Option<Evicted> {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, evicted) = owners.iter().enumerate().find_map(|(at, owner)| Some((at, owner.evict()?)))?;
        // The next eviction begins with another component.
        owners.rotate_left(at + 1);
        Some(evicted)
    }
}

impl std::fmt::Debug for Slots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slots").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

/// Counts one waiting call.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
