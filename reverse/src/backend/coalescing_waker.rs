//! A waker that keeps a connection's wake-ups of its own driver to the driver's task.
//!
//! The task that waits for a response drives the connection itself, and sending a request wakes the connection. On a
//! runtime with several threads such a wake-up moves the task to another thread, at the cost of a system call or two.
//!
//! The protocol has two flags, all accesses `SeqCst`:
//!
//! - The owner sets `is_polling`, polls, clears `is_polling`, and then reads `is_woken`.
//! - A wake-up sets `is_woken`, and then reads `is_polling`: while it is set, the owner reads `is_woken` later; otherwise
//!   the wake-up wakes the owner's task.
//!
//! So a wake-up is either seen by the owner or wakes it: none is lost.
//!
//! At one client connection this and the shared ticker of `h8s-nats` saved two futex calls and one eventfd write per
//! request: the daemon adds 1.3 times the latency of a direct request to p50 instead of 2.2 (`docs/performance.md`). The
//! bench is `cargo bench -p h8s-benches --bench reverse -- requests` (`benches/README.md`).

use std::task::{Context, Poll};

use crate::sync::{Arc, AtomicBool, AtomicWaker, Ordering, Wake, Waker};

/// Polls in a row before other tasks of the thread run: hyper also wakes itself to yield.
const ROUNDS: usize = 8;

/// The waker of a connection that its owner drives.
#[derive(Debug)]
pub(crate) struct CoalescingWaker {
    state: Arc<State>,
    /// Wakes `state`.
    waker: Waker,
}

#[derive(Debug, Default)]
struct State {
    /// The owner polls, and reads `is_woken` afterwards.
    is_polling: AtomicBool,
    /// The connection asked for another poll.
    is_woken: AtomicBool,
    owner: AtomicWaker,
}

impl Wake for State {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // In this order: the owner clears `is_polling` first and reads `is_woken` then.
        self.is_woken.store(true, Ordering::SeqCst);
        if !self.is_polling.load(Ordering::SeqCst) {
            self.owner.wake();
        }
    }
}

impl Default for CoalescingWaker {
    fn default() -> Self {
        let state = Arc::<State>::default();
        Self { waker: Waker::from(Arc::clone(&state)), state }
    }
}

impl CoalescingWaker {
    /// Runs `work`, which may wake the connection. Call [`poll`](Self::poll) afterwards.
    pub(crate) fn hold<T>(&self, work: impl FnOnce() -> T) -> T {
        self.state.is_polling.store(true, Ordering::SeqCst);
        let done = work();
        self.state.is_polling.store(false, Ordering::SeqCst);
        done
    }

    /// Polls until the result is ready or no wake-up is left. Registers the task of `cx` for later wake-ups.
    pub(crate) fn poll<T>(
        &self,
        cx: &Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let State { is_woken, owner, .. } = &*self.state;
        owner.register(cx.waker());
        for _ in 0..ROUNDS {
            is_woken.store(false, Ordering::SeqCst);
            let polled = self.hold(|| poll(&mut Context::from_waker(&self.waker)));
            if polled.is_ready() || !is_woken.load(Ordering::SeqCst) {
                return polled;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Counted(AtomicUsize);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn owner() -> (Arc<Counted>, Waker) {
        let counted = Arc::<Counted>::default();
        (Arc::clone(&counted), Waker::from(counted))
    }

    #[test]
    fn a_self_wake_is_polled_again_without_waking_the_task() {
        let ((woken, waker), coalescing, mut rounds) = (owner(), CoalescingWaker::default(), 0);

        let polled = coalescing.poll(&Context::from_waker(&waker), |cx| {
            rounds += 1;
            if rounds < 3 {
                cx.waker().wake_by_ref();
            }
            Poll::<()>::Pending
        });

        assert_eq!((polled, rounds, woken.0.load(Ordering::SeqCst)), (Poll::Pending, 3, 0));
    }

    #[test]
    fn a_wake_from_elsewhere_wakes_the_owner() {
        let ((woken, waker), coalescing, mut kept) = (owner(), CoalescingWaker::default(), None);
        let _ = coalescing.poll(&Context::from_waker(&waker), |cx| {
            kept = Some(cx.waker().clone());
            Poll::<()>::Pending
        });

        kept.unwrap().wake();

        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn endless_self_wakes_yield_and_poll_again_later() {
        let ((woken, waker), coalescing, mut rounds) = (owner(), CoalescingWaker::default(), 0);

        let polled = coalescing.poll(&Context::from_waker(&waker), |cx| {
            rounds += 1;
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        });

        assert_eq!((polled, rounds, woken.0.load(Ordering::SeqCst)), (Poll::Pending, ROUNDS, 1));
    }
}
