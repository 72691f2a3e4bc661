//! loom's primitives under the names that production sources import from their own `crate::sync`.

#![allow(unused_imports, reason = "each source takes some of them")]

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

pub(crate) use std::sync::{Arc, PoisonError};
pub(crate) use std::task::{Wake, Waker};

pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
pub(crate) use loom::sync::{Mutex, MutexGuard};

/// With the interface of futures-util's.
#[derive(Debug, Default)]
pub(crate) struct AtomicWaker(loom::future::AtomicWaker);

impl AtomicWaker {
    pub(crate) fn register(&self, waker: &Waker) {
        self.0.register_by_ref(waker);
    }

    pub(crate) fn wake(&self) {
        self.0.wake();
    }
}

/// With the interface of tokio's, for [`notify_waiters`](Self::notify_waiters) alone.
#[derive(Debug, Default)]
pub(crate) struct Notify(Mutex<Waiters>);

#[derive(Debug, Default)]
struct Waiters {
    notifications: usize,
    wakers: Vec<Waker>,
}

impl Notify {
    pub(crate) fn notify_waiters(&self) {
        let mut waiters = self.0.lock().expect("no thread panics");
        waiters.notifications += 1;
        let wakers = std::mem::take(&mut waiters.wakers);
        drop(waiters);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// A notification counts from this call on, as tokio documents, and not from the first poll.
    pub(crate) fn notified(&self) -> impl Future<Output = ()> {
        let seen = self.0.lock().expect("no thread panics").notifications;
        poll_fn(move |cx| {
            let mut waiters = self.0.lock().expect("no thread panics");
            if waiters.notifications > seen {
                return Poll::Ready(());
            }
            waiters.wakers.push(cx.waker().clone());
            Poll::Pending
        })
    }
}

/// A task is a thread.
pub(crate) fn spawn(task: impl Future<Output = ()> + 'static) {
    loom::thread::spawn(move || loom::future::block_on(task));
}

/// Time passes at once, or after any step of another thread.
pub(crate) async fn sleep(_: Duration) {
    loom::thread::yield_now();
}

/// With the interface of tokio's: permits go to waiters in the order of their arrival.
#[derive(Debug)]
pub(crate) struct Semaphore(Mutex<Permits>);

#[derive(Debug, Default)]
struct Permits {
    free: usize,
    arrivals: usize,
    /// Waiters without a permit, by their arrival.
    queue: VecDeque<(usize, Waker)>,
    /// Waiters that were given one and have not been polled since.
    granted: Vec<usize>,
}

/// Given back when dropped.
#[derive(Debug)]
pub(crate) struct OwnedSemaphorePermit(Arc<Semaphore>);

/// Never: a model closes no semaphore.
#[derive(Debug)]
pub(crate) struct Closed;

impl Semaphore {
    pub(crate) fn new(permits: usize) -> Self {
        Self(Mutex::new(Permits { free: permits, ..Permits::default() }))
    }

    pub(crate) fn try_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, Closed> {
        let mut permits = self.0.lock().expect("no thread panics");
        permits.free = permits.free.checked_sub(1).ok_or(Closed)?;
        drop(permits);
        Ok(OwnedSemaphorePermit(self))
    }

    pub(crate) fn acquire_owned(self: Arc<Self>) -> Acquire {
        Acquire { semaphore: self, arrival: None }
    }
}

impl Drop for OwnedSemaphorePermit {
    fn drop(&mut self) {
        let mut permits = self.0.0.lock().expect("no thread panics");
        match permits.queue.pop_front() {
            Some((arrival, waker)) => {
                permits.granted.push(arrival);
                drop(permits);
                waker.wake();
            }
            None => permits.free += 1,
        }
    }
}

/// One waiter. A model drops none that waits.
pub(crate) struct Acquire {
    semaphore: Arc<Semaphore>,
    arrival: Option<usize>,
}

impl Future for Acquire {
    type Output = Result<OwnedSemaphorePermit, Closed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let semaphore = Arc::clone(&self.semaphore);
        let mut permits = semaphore.0.lock().expect("no thread panics");
        match self.arrival {
            None if permits.free > 0 => permits.free -= 1,
            None => {
                let arrival = permits.arrivals;
                permits.arrivals += 1;
                permits.queue.push_back((arrival, cx.waker().clone()));
                self.arrival = Some(arrival);
                return Poll::Pending;
            }
            Some(arrival) => {
                let Some(at) = permits.granted.iter().position(|granted| *granted == arrival) else {
                    let waiter = permits.queue.iter_mut().find(|(waiting, _)| *waiting == arrival);
                    waiter.expect("it waits").1.clone_from(cx.waker());
                    return Poll::Pending;
                };
                permits.granted.swap_remove(at);
            }
        }
        drop(permits);
        Poll::Ready(Ok(OwnedSemaphorePermit(semaphore)))
    }
}
