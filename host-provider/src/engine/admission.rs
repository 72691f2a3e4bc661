//! Admission of calls to a component: run, wait, or be refused before any work is done.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use h8s_nats::Refused;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::engine::slots::{Slot, Slots};

/// How long an exchange may wait for an instance. Waiting smooths bursts; under lasting load it only adds delay, and the
/// gateway can try another host.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Admits the calls of one component.
#[derive(Debug)]
pub(crate) struct Admission {
    own: Arc<Semaphore>,
    engine: Arc<Slots>,
    concurrency: usize,
    waiting: AtomicUsize,
    queue: usize,
}

/// The right to run one instance, released on drop.
#[derive(Debug)]
pub(crate) struct Permit {
    _own: OwnedSemaphorePermit,
    slot: Slot,
}

impl Permit {
    /// The slot, which the instance keeps while it is idle.
    pub(crate) fn into_slot(self) -> Slot {
        self.slot
    }
}

impl Admission {
    /// At most `concurrency` permits at a time and `queue` waiting exchanges, within the slots of the engine.
    pub(crate) fn new(concurrency: usize, queue: usize, engine: Arc<Slots>) -> Self {
        let own = Arc::new(Semaphore::new(concurrency));
        Self { own, engine, concurrency, waiting: AtomicUsize::new(0), queue }
    }

    /// Permits in use.
    pub(crate) fn running(&self) -> usize {
        self.concurrency.saturating_sub(self.own.available_permits())
    }

    /// Waits until no permit is in use.
    pub(crate) async fn idle(&self) {
        // No engine has more instances than a `u32` can count.
        let all = u32::try_from(self.concurrency).unwrap_or(u32::MAX);
        let _ = self.own.acquire_many(all).await;
    }

    /// A permit, within [`LONGEST_WAIT`] and `deadline`.
    pub(crate) async fn admit(&self, deadline: Instant) -> Result<Permit, Refused> {
        if let Some(permit) = self.try_admit() {
            return Ok(permit);
        }
        let _queued = self.queue_up()?;
        let until = deadline.min(Instant::now() + LONGEST_WAIT);
        timeout_at(until, self.wait()).await.map_err(|_| Refused::Busy)?
    }

    /// A permit, however long that takes. For WebSockets, which are bounded otherwise: each connection has one message under
    /// way, and its client waits with it.
    pub(crate) async fn admit_patiently(&self) -> Result<Permit, Refused> {
        self.wait().await
    }

    fn try_admit(&self) -> Option<Permit> {
        let own = Arc::clone(&self.own).try_acquire_owned().ok()?;
        let slot = self.engine.try_take()?;
        Some(Permit { _own: own, slot })
    }

    async fn wait(&self) -> Result<Permit, Refused> {
        // Neither semaphore is closed while the component is served.
        let own = Arc::clone(&self.own).acquire_owned().await.map_err(|_| Refused::Draining)?;
        let slot = self.engine.take().await.ok_or(Refused::Draining)?;
        Ok(Permit { _own: own, slot })
    }

    fn queue_up(&self) -> Result<Queued<'_>, Refused> {
        let queued = Queued(&self.waiting);
        // Where the queue is full, `queued` is dropped, which decrements the count.
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.queue {
            Err(Refused::Busy)
        } else {
            Ok(queued)
        }
    }
}

/// A position in the queue.
struct Queued<'a>(&'a AtomicUsize);

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[tokio::test]
    async fn a_call_beyond_the_queue_is_refused_at_once() {
        let admission = Admission::new(1, 0, Slots::new(10));
        let first = admission.admit(soon()).await.unwrap();
        assert_eq!(admission.admit(soon()).await.unwrap_err(), Refused::Busy);
        drop(first);
        admission.admit(soon()).await.unwrap();
        assert_eq!(admission.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_queued_call_gets_a_permit() {
        let admission = Arc::new(Admission::new(1, 1, Slots::new(10)));
        let first = admission.admit(soon()).await.unwrap();
        let mut second = Box::pin(admission.admit(soon()));
        assert!(futures_util::poll!(&mut second).is_pending());
        assert_eq!(admission.admit(soon()).await.unwrap_err(), Refused::Busy);
        drop(first);
        second.await.unwrap();
    }

    #[tokio::test]
    async fn the_engines_slots_are_shared() {
        let slots = Slots::new(1);
        let (one, other) = (Admission::new(5, 0, Arc::clone(&slots)), Admission::new(5, 0, slots));
        let permit = one.admit(soon()).await.unwrap();
        assert_eq!(other.admit(soon()).await.unwrap_err(), Refused::Busy);
        assert_eq!((one.running(), other.running()), (1, 0));
        drop(permit);
        other.admit(soon()).await.unwrap();
    }

    #[tokio::test]
    async fn a_deadline_ends_the_wait() {
        let admission = Admission::new(1, 1, Slots::new(1));
        let _held = admission.admit(soon()).await.unwrap();
        let wait = admission.admit(Instant::now() + Duration::from_millis(5));
        assert_eq!(wait.await.unwrap_err(), Refused::Busy);
    }
}
