//! Places for instances in the engine's pool, shared by all components.
//!
//! An instance that waits for its next call has a place, too, and gives it up as soon as somebody else wants one.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::Poll;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::instance::idle::{Idle, IdleInstances};

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
        let mut permit = pin!(Arc::clone(&self.free).acquire_owned());
        let mut has_made_room = false;
        let permit = poll_fn(|cx| match permit.as_mut().poll(cx) {
            // In the queue by now: the room is for who is longest in it, and for nobody who comes after.
            Poll::Pending if !std::mem::replace(&mut has_made_room, true) => {
                // Whoever becomes idle after this sees that somebody waits.
                self.make_room();
                permit.as_mut().poll(cx)
            }
            ready_or_not => ready_or_not,
        });
        Some(Slot { _permit: permit.await.ok()? })
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
        // Two steps: dropping an instance takes longer than all components should wait for the lock.
        let evicted = self.evicted();
        evicted.is_some()
    }

    fn evicted(&self) -> Option<Idle> {
        let mut all = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, evicted) =
            all.iter().enumerate().find_map(|(at, idle)| Some((at, idle.upgrade()?.take_oldest()?)))?;
        // The next time it is another component's turn first.
        all.rotate_left(at + 1);
        Some(evicted)
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
