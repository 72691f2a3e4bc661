//! Idle instances of one component, kept for further calls (`--reuse`).
//!
//! An instance is either idle here or at work for one call, never both: taking it out makes it the call's. It comes
//! back only from a call that has returned and left no resources open. An instance that trapped, was stopped, was
//! dropped or is still running is never reused.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use wasmtime::Store;
use wasmtime::component::Instance;

use crate::engine::slots::{Evict, Evicted, Slot, Slots};
use crate::instance::guest_state::GuestState;
use crate::push::guest_sender::GuestSender;

/// An instance is dropped when it has been idle for this long. Outlasts the pauses of steady traffic; after a burst
/// the memory is soon free again.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// An instance between two calls, or after its last.
pub(crate) struct Instantiated {
    pub(super) store: Store<GuestState>,
    pub(super) instance: Instance,
    /// Calls that it has had.
    pub(super) calls: u32,
    pub(super) home: Weak<IdleInstances>,
}

impl Instantiated {
    /// Takes what its last call sent, and leaves nothing of it here.
    pub(crate) fn take_sender(&mut self) -> GuestSender {
        std::mem::replace(&mut self.store.data_mut().sender, GuestSender::unconnected())
    }

    /// Keeps it for another call of its component, in its slot, if it may have one.
    pub(crate) fn rest(self, slot: Slot) {
        match self.home.upgrade() {
            Some(home) => home.put(self, slot),
            // Its component has been replaced. The store goes before the slot.
            None => drop((self, slot)),
        }
    }

    /// Prepares it for another call, or returns why there must be none.
    fn settle(&mut self) -> Result<(), &'static str> {
        self.take_sender();
        let state = self.store.data_mut();
        if state.memory.denied() {
            return Err("it reached its memory limit");
        }
        if !state.is_settled() {
            return Err("its last call left resources open");
        }
        Ok(())
    }
}

impl std::fmt::Debug for Instantiated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instantiated").field("calls", &self.calls).finish()
    }
}

/// The idle instances of one component: never more than it has had calls at a time.
#[derive(Debug)]
pub(crate) struct IdleInstances {
    component: Arc<str>,
    /// Calls of one instance. 1: no instance is kept.
    calls: u32,
    slots: Arc<Slots>,
    queue: Mutex<Queue>,
    has_logged_refusal: AtomicBool,
}

#[derive(Debug, Default)]
struct Queue {
    /// The longest idle first. The last is taken first, so that surplus instances grow old.
    instances: VecDeque<Idle>,
    is_swept: bool,
}

/// An idle instance and its slot.
#[derive(Debug)]
struct Idle {
    // Dropped before its slot is given back.
    instance: Instantiated,
    _slot: Slot,
    until: Instant,
}

impl IdleInstances {
    /// For instances that take `calls` calls each.
    pub(crate) fn new(component: Arc<str>, calls: u32, slots: Arc<Slots>) -> Arc<Self> {
        let (queue, has_logged_refusal) = (Mutex::default(), AtomicBool::new(false));
        let idle = Arc::new(Self { component, calls, slots, queue, has_logged_refusal });
        if calls > 1 {
            idle.slots.register(Box::new(Arc::downgrade(&idle)));
        }
        idle
    }

    /// Takes an idle instance, if there is any. It runs in the caller's slot from now on.
    pub(crate) fn take(&self) -> Option<Instantiated> {
        match self.calls {
            0 | 1 => None,
            _ => Some(self.queue().instances.pop_back()?.instance),
        }
    }

    /// Keeps an instance whose call has returned, and its slot, if it may take another call.
    pub(crate) fn put(self: &Arc<Self>, instance: Instantiated, slot: Slot) {
        let mut idle = Idle { instance, _slot: slot, until: Instant::now() + IDLE_TIMEOUT };
        if idle.instance.calls >= self.calls {
            return;
        }
        if let Err(why) = idle.instance.settle() {
            self.log_refusal(why);
            return;
        }
        let mut queue = self.queue();
        queue.instances.push_back(idle);
        let needs_sweeper = !std::mem::replace(&mut queue.is_swept, true);
        drop(queue);
        if needs_sweeper {
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
        // After the push: a call that began to wait before it has found this instance, and one after it is counted.
        if self.slots.is_wanted() {
            drop(self.take_oldest());
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.queue().instances.len()
    }

    /// The instance that has been idle for longest, to be dropped outside any lock.
    fn take_oldest(&self) -> Option<Idle> {
        self.queue().instances.pop_front()
    }

    /// Drops instances whose time is over. Returns when to look again, unless none is left.
    fn expire(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut queue = self.queue();
        let old = queue.instances.partition_point(|idle| idle.until <= now);
        let expired: Vec<Idle> = queue.instances.drain(..old).collect();
        let next = queue.instances.front().map(|idle| idle.until);
        queue.is_swept = next.is_some();
        drop(queue);
        drop(expired);
        next
    }

    fn log_refusal(&self, why: &'static str) {
        if !self.has_logged_refusal.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                component = &*self.component,
                why,
                "instance cannot be reused (further occurrences are not logged)"
            );
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Evict for Weak<IdleInstances> {
    fn is_gone(&self) -> bool {
        self.strong_count() == 0
    }

    fn evict(&self) -> Option<Evicted> {
        Some(Box::new(self.upgrade()?.take_oldest()?))
    }
}

/// Runs while there are idle instances, and keeps none of them alive.
async fn sweep(idle: Weak<IdleInstances>) {
    while let Some(next) = idle.upgrade().and_then(|idle| idle.expire()) {
        sleep_until(next).await;
    }
}
