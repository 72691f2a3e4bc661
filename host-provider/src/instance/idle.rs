//! Instances of one component that wait for their next call, where they may have one (`--reuse`).
//!
//! An instance is here or at work for one call, never both: taking it out makes it the call's. Back it comes only from
//! a call that has returned, with nothing of it left over. What trapped, was stopped, was dropped or still works is
//! never seen again.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::instance::Instantiated;
use crate::engine::slots::{Slot, Slots};

/// How long an instance waits for its next call. Long enough for the pauses of steady traffic; after a burst the memory
/// is soon free again.
const KEPT_FOR: Duration = Duration::from_secs(5);

/// The idle instances of one component: never more than it has had calls at a time.
#[derive(Debug)]
pub(crate) struct IdleInstances {
    component: Arc<str>,
    /// Calls of one instance. 1: none is kept.
    calls: u32,
    slots: Arc<Slots>,
    kept: Mutex<Kept>,
    has_said_why_not: AtomicBool,
}

#[derive(Debug, Default)]
struct Kept {
    /// The longest idle first. The last is taken first, so that those that are not needed grow old.
    instances: VecDeque<Idle>,
    is_swept: bool,
}

/// An instance that waits, in its place of the engine's.
#[derive(Debug)]
pub(crate) struct Idle {
    // Dropped before its place is given back.
    instance: Instantiated,
    _slot: Slot,
    until: Instant,
}

impl IdleInstances {
    /// For instances that answer `calls` each.
    pub(crate) fn new(component: Arc<str>, calls: u32, slots: Arc<Slots>) -> Arc<Self> {
        let (kept, has_said_why_not) = (Mutex::default(), AtomicBool::new(false));
        let idle = Arc::new(Self { component, calls, slots, kept, has_said_why_not });
        if calls > 1 {
            idle.slots.register(&idle);
        }
        idle
    }

    /// One that waits, if there is any. It runs in the caller's place from now on.
    pub(crate) fn take(&self) -> Option<Instantiated> {
        match self.calls {
            0 | 1 => None,
            _ => Some(self.kept().instances.pop_back()?.instance),
        }
    }

    /// Keeps an instance whose call has returned, and its place, if it may have another call.
    pub(crate) fn put(self: &Arc<Self>, instance: Instantiated, slot: Slot) {
        let mut idle = Idle { instance, _slot: slot, until: Instant::now() + KEPT_FOR };
        if idle.instance.calls() >= self.calls {
            return;
        }
        if let Err(why) = idle.instance.settle() {
            self.say_once(why);
            return;
        }
        let mut kept = self.kept();
        kept.instances.push_back(idle);
        let needs_sweeper = !std::mem::replace(&mut kept.is_swept, true);
        drop(kept);
        if needs_sweeper {
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
        // Whoever waits has seen none here, or this one. In either case it is free soon.
        if self.slots.is_wanted() {
            drop(self.take_oldest());
        }
    }

    /// The one that has waited longest, to be dropped where nobody waits for a lock.
    pub(crate) fn take_oldest(&self) -> Option<Idle> {
        self.kept().instances.pop_front()
    }

    pub(crate) fn count(&self) -> usize {
        self.kept().instances.len()
    }

    /// Drops those that have waited long enough. Gives back when to look again, unless there are no more.
    fn expire(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut kept = self.kept();
        let old = kept.instances.partition_point(|idle| idle.until <= now);
        let expired: Vec<Idle> = kept.instances.drain(..old).collect();
        let next = kept.instances.front().map(|idle| idle.until);
        kept.is_swept = next.is_some();
        drop(kept);
        drop(expired);
        next
    }

    fn say_once(&self, why: &'static str) {
        if !self.has_said_why_not.swap(true, Ordering::Relaxed) {
            tracing::warn!(component = &*self.component, why, "an instance cannot be used again; said once");
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs while there are idle instances, and holds none of them.
async fn sweep(idle: Weak<IdleInstances>) {
    while let Some(next) = idle.upgrade().and_then(|idle| idle.expire()) {
        sleep_until(next).await;
    }
}
