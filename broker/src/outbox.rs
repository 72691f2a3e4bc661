//! The bounded queue of bytes in front of one client's socket.
//!
//! A publisher appends messages ([`Outbox::push`]) and, at the end of its batch, tries to write without waiting
//! ([`Outbox::flush`]). The client's own task writes the rest ([`Outbox::run`]). Only one of them writes at a time, and
//! both take from the front, so bytes stay in order. A client whose queue exceeds the limit is disconnected. No lock is
//! held while waiting.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Buffers up to this size are reused for the next batch; larger ones are freed.
const KEPT_BUFFER_BYTES: usize = 256 * 1024;

/// The queue of one client.
pub(crate) struct Outbox {
    state: Mutex<State>,
    /// Bytes queued or being written.
    pending: AtomicUsize,
    limit: usize,
    work: Notify,
    half_empty: Notify,
    force_close: CancellationToken,
}

struct State {
    /// A partly written batch. Written before `queued`.
    partial: Batch,
    queued: Vec<u8>,
    spare: Vec<u8>,
    /// A writer holds a batch.
    writing: bool,
    /// A flush is due, or the client's task has been notified.
    flush_due: bool,
    finishing: bool,
    overflowed: bool,
    /// `None` once the outbox is closed, so that the socket closes even while others hold the outbox.
    socket: Option<Arc<OwnedWriteHalf>>,
}

/// Bytes to write, and the number already written.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    written: usize,
}

impl Batch {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.written..]
    }
}

/// The state of the queue after a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pushed {
    /// No flush was due: the caller must flush.
    pub(crate) first: bool,
    /// The queue is more than three quarters full: the publisher should pause.
    pub(crate) pressed: bool,
}

/// Why writing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unwritable {
    /// The client read nothing within the write timeout.
    Stuck,
    /// The connection to the client is lost.
    Gone,
}

impl Outbox {
    /// Cancels `force_close` when more than `limit` bytes are queued.
    pub(crate) fn new(socket: OwnedWriteHalf, limit: usize, force_close: CancellationToken) -> Self {
        let state = State {
            partial: Batch::default(),
            queued: Vec::new(),
            spare: Vec::new(),
            writing: false,
            flush_due: false,
            finishing: false,
            overflowed: false,
            socket: Some(Arc::new(socket)),
        };
        Self {
            state: Mutex::new(state),
            pending: AtomicUsize::new(0),
            limit,
            work: Notify::new(),
            half_empty: Notify::new(),
            force_close,
        }
    }

    /// Appends the output of `write`. `None` if the client is disconnected, or the push exceeded the limit.
    pub(crate) fn push(&self, write: impl FnOnce(&mut Vec<u8>)) -> Option<Pushed> {
        self.push_if(|| true, write)
    }

    /// Like [`push`](Self::push), if `wanted` returns `true`. It is called under the lock: the reply to an UNSUB follows
    /// every message granted before it.
    pub(crate) fn push_if(
        &self,
        wanted: impl FnOnce() -> bool,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Option<Pushed> {
        let mut state = self.state();
        state.socket.as_ref()?;
        if !wanted() {
            return None;
        }
        let before = state.queued.len();
        write(&mut state.queued);
        let added = state.queued.len() - before;
        let pending = self.pending.fetch_add(added, Ordering::Relaxed) + added;
        if pending > self.limit {
            state.overflowed = true;
            state.close();
            self.force_close.cancel();
            return None;
        }
        let first = !std::mem::replace(&mut state.flush_due, true);
        Some(Pushed { first, pressed: pending > self.limit / 4 * 3 })
    }

    /// Writes as much as the socket accepts without waiting, and leaves the rest to the client's task.
    pub(crate) fn flush(&self) {
        let Some((socket, mut batch)) = self.take() else { return };
        if let Ok(count) = socket.try_write(batch.rest()) {
            self.count_written(&mut batch, count);
        }
        // The client's task sees the error again and closes the connection.
        self.put_back(batch);
    }

    /// The client's task: writes the remaining bytes. Returns when the outbox is closed, or
    /// [finished](Self::finish) and empty.
    ///
    /// # Errors
    /// The socket accepts nothing within `timeout`, or fails.
    pub(crate) async fn run(&self, timeout: Duration) -> Result<(), Unwritable> {
        loop {
            while let Some((socket, mut batch)) = self.take() {
                self.write(&socket, &mut batch, timeout).await?;
                self.put_back(batch);
            }
            if self.is_finished() {
                return Ok(());
            }
            self.work.notified().await;
        }
    }

    async fn write(
        &self,
        socket: &OwnedWriteHalf,
        batch: &mut Batch,
        timeout: Duration,
    ) -> Result<(), Unwritable> {
        while !batch.rest().is_empty() {
            let writable = tokio::time::timeout(timeout, socket.writable()).await;
            writable.map_err(|_| Unwritable::Stuck)?.map_err(|_| Unwritable::Gone)?;
            match socket.try_write(batch.rest()) {
                Ok(count) => self.count_written(batch, count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return Err(Unwritable::Gone),
            }
        }
        Ok(())
    }

    /// Waits until the queue is half empty, for `at_most`.
    pub(crate) async fn wait_until_half_empty(&self, at_most: Duration) {
        let half_empty = self.half_empty.notified();
        if self.pending.load(Ordering::Relaxed) > self.limit / 2 {
            // The publisher continues in either case: the pause slows it down, the limit protects memory.
            let _ = tokio::time::timeout(at_most, half_empty).await;
        }
    }

    /// Lets [`run`](Self::run) return once all queued bytes are written.
    pub(crate) fn finish(&self) {
        self.state().finishing = true;
        self.work.notify_one();
    }

    /// Discards queued bytes and releases the socket.
    pub(crate) fn close(&self) {
        self.state().close();
        self.work.notify_one();
        self.half_empty.notify_waiters();
    }

    /// Whether the queue exceeded its limit.
    pub(crate) fn has_overflowed(&self) -> bool {
        self.state().overflowed
    }

    fn is_finished(&self) -> bool {
        let state = self.state();
        state.socket.is_none() || (state.finishing && !state.writing && !state.has_work())
    }

    /// The next batch. `None` if the queue is empty or another writer is active.
    fn take(&self) -> Option<(Arc<OwnedWriteHalf>, Batch)> {
        let mut state = self.state();
        if state.writing || !state.has_work() {
            return None;
        }
        let socket = Arc::clone(state.socket.as_ref()?);
        let batch = if state.partial.rest().is_empty() {
            let spare = std::mem::take(&mut state.spare);
            Batch { bytes: std::mem::replace(&mut state.queued, spare), written: 0 }
        } else {
            std::mem::take(&mut state.partial)
        };
        state.writing = true;
        state.flush_due = false;
        Some((socket, batch))
    }

    /// Returns a batch. The client's task writes any remaining bytes.
    fn put_back(&self, mut batch: Batch) {
        let mut state = self.state();
        state.writing = false;
        if state.socket.is_none() {
            return;
        }
        if !batch.rest().is_empty() {
            state.partial = batch;
        } else if batch.bytes.capacity() <= KEPT_BUFFER_BYTES {
            batch.bytes.clear();
            state.spare = batch.bytes;
        }
        if state.has_work() {
            state.flush_due = true;
        }
        if state.has_work() || state.finishing {
            self.work.notify_one();
        }
    }

    fn count_written(&self, batch: &mut Batch, count: usize) {
        batch.written += count;
        let before = self.pending.fetch_sub(count, Ordering::Relaxed);
        let half = self.limit / 2;
        if before > half && before - count <= half {
            self.half_empty.notify_waiters();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_work(&self) -> bool {
        !self.partial.rest().is_empty() || !self.queued.is_empty()
    }

    fn close(&mut self) {
        self.socket = None;
        self.partial = Batch::default();
        self.queued = Vec::new();
        self.spare = Vec::new();
    }
}
