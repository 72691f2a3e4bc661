//! A task that drives a connection by itself is woken by what it does: sending a request wakes the connection, which is
//! driven by the sender. On a runtime with several threads such a wake-up hands the task to another one, at the cost of a
//! system call or two. A [`Turn`] keeps them to itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Rounds of one turn, after which others of the thread have theirs: hyper wakes itself to give way, too.
const ROUNDS: usize = 8;

/// What a connection's wake-ups go through.
#[derive(Debug)]
pub(crate) struct Turn {
    shared: Arc<Shared>,
    /// Of `shared`.
    waker: Waker,
}

#[derive(Debug, Default)]
struct Shared {
    /// Its owner is at work, and looks at `again` before it leaves.
    is_held: AtomicBool,
    again: AtomicBool,
    owner: AtomicWaker,
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // In this order: the owner lets go first, and looks then.
        self.again.store(true, Ordering::SeqCst);
        if !self.is_held.load(Ordering::SeqCst) {
            self.owner.wake();
        }
    }
}

impl Default for Turn {
    fn default() -> Self {
        let shared = Arc::<Shared>::default();
        Self { waker: Waker::from(Arc::clone(&shared)), shared }
    }
}

impl Turn {
    /// Does something that may wake the connection. Poll it then.
    pub(crate) fn hold<T>(&self, work: impl FnOnce() -> T) -> T {
        self.shared.is_held.store(true, Ordering::SeqCst);
        let done = work();
        self.shared.is_held.store(false, Ordering::SeqCst);
        done
    }

    /// Polls until nothing that was polled asks to be polled again, or it is ready.
    pub(crate) fn poll<T>(
        &self,
        cx: &Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let Shared { again, owner, .. } = &*self.shared;
        owner.register(cx.waker());
        for _ in 0..ROUNDS {
            again.store(false, Ordering::SeqCst);
            let polled = self.hold(|| poll(&mut Context::from_waker(&self.waker)));
            if polled.is_ready() || !again.load(Ordering::SeqCst) {
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
    fn what_wakes_itself_is_polled_again_and_nobody_is_woken() {
        let ((woken, waker), turn, mut rounds) = (owner(), Turn::default(), 0);

        let polled = turn.poll(&Context::from_waker(&waker), |cx| {
            rounds += 1;
            if rounds < 3 {
                cx.waker().wake_by_ref();
            }
            Poll::<()>::Pending
        });

        assert_eq!((polled, rounds, woken.0.load(Ordering::SeqCst)), (Poll::Pending, 3, 0));
    }

    #[test]
    fn others_wake_the_owner() {
        let ((woken, waker), turn, mut kept) = (owner(), Turn::default(), None);
        let _ = turn.poll(&Context::from_waker(&waker), |cx| {
            kept = Some(cx.waker().clone());
            Poll::<()>::Pending
        });

        kept.unwrap().wake();

        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn what_never_rests_gives_way_and_comes_again() {
        let ((woken, waker), turn, mut rounds) = (owner(), Turn::default(), 0);

        let polled = turn.poll(&Context::from_waker(&waker), |cx| {
            rounds += 1;
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        });

        assert_eq!((polled, rounds, woken.0.load(Ordering::SeqCst)), (Poll::Pending, ROUNDS, 1));
    }
}
