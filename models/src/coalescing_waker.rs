//! A backend's connection, driven by the task that waits for its response, while the socket's driver wakes it.

#[allow(dead_code, unreachable_pub, reason = "a model needs less than production")]
#[path = "../../reverse/src/backend/coalescing_waker.rs"]
mod production;

use std::future::poll_fn;
use std::task::{Context, Poll};

use loom::sync::Arc;
use loom::thread;

use self::production::CoalescingWaker;
use crate::check;
use crate::sync::{AtomicBool, AtomicWaker, Ordering};

/// A connection that is ready once its socket says so.
#[derive(Default)]
struct Socket {
    is_ready: AtomicBool,
    waker: AtomicWaker,
}

impl Socket {
    fn become_ready(&self) {
        self.is_ready.store(true, Ordering::SeqCst);
        self.waker.wake();
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        self.waker.register(cx.waker());
        if self.is_ready.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// The socket becomes ready before, during or after a poll: the owner polls again.
pub fn a_wake_up_during_a_poll_is_not_lost() {
    check(|| {
        let socket = Arc::new(Socket::default());
        let driver = thread::spawn({
            let socket = Arc::clone(&socket);
            move || socket.become_ready()
        });

        let connection = CoalescingWaker::default();
        loom::future::block_on(poll_fn(|cx| connection.poll(cx, |cx| socket.poll(cx))));

        driver.join().expect("it does not panic");
    });
}

/// The socket becomes ready while the owner does something else that holds the wake-ups: the poll after it sees it.
pub fn a_wake_up_while_held_is_not_lost() {
    check(|| {
        let socket = Arc::new(Socket::default());
        let driver = thread::spawn({
            let socket = Arc::clone(&socket);
            move || socket.become_ready()
        });

        let connection = CoalescingWaker::default();
        let mut is_first = true;
        loom::future::block_on(poll_fn(|cx| {
            if std::mem::take(&mut is_first) {
                let _ = connection.poll(cx, |cx| socket.poll(cx));
                connection.hold(thread::yield_now);
            }
            connection.poll(cx, |cx| socket.poll(cx))
        }));

        driver.join().expect("it does not panic");
    });
}
