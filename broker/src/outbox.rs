//! What is on its way to one client: a bounded queue of bytes in front of its socket.
//!
//! Whoever has something for the client appends it ([`Outbox::push`]) and, once done with its batch, tries to
//! write without waiting ([`Outbox::flush`]). What the socket does not take at once is left to the client's own
//! task ([`Outbox::run`]). One of them writes at a time and both take from the front, so bytes stay in order.
//! A client that lets too much pile up is cut off; no lock is held while waiting.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Buffers up to this size are kept for the next batch; larger ones are given back.
const KEPT_BUFFER_BYTES: usize = 256 * 1024;

/// The queue of one client.
pub(crate) struct Outbox {
    state: Mutex<State>,
    /// Bytes queued or being written.
    pending: AtomicUsize,
    limit: usize,
    work: Notify,
    relieved: Notify,
    cut: CancellationToken,
}

struct State {
    /// What a writer could not finish. Goes out before `queued`.
    started: Batch,
    queued: Vec<u8>,
    spare: Vec<u8>,
    /// Someone holds a batch and will bring it back.
    writing: bool,
    /// Someone will flush or has told the client's task.
    announced: bool,
    finishing: bool,
    overflowed: bool,
    /// Gone once the outbox is closed, so that the socket closes even while others still know the client.
    socket: Option<Arc<OwnedWriteHalf>>,
}

/// Bytes taken out to be written, and how many of them have been.
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

/// What became of something pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pushed {
    /// Nobody has promised to flush yet: the one who pushed has to.
    pub(crate) first: bool,
    /// The queue is more than three quarters full: go slower.
    pub(crate) pressed: bool,
}

/// Why nothing can be written any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unwritable {
    /// The client did not take a single byte within the write timeout.
    Stuck,
    /// The client, or the way to it, is gone.
    Gone,
}

impl Outbox {
    /// `cut` is cancelled when more than `limit` bytes pile up.
    pub(crate) fn new(socket: OwnedWriteHalf, limit: usize, cut: CancellationToken) -> Self {
        let state = State {
            started: Batch::default(),
            queued: Vec::new(),
            spare: Vec::new(),
            writing: false,
            announced: false,
            finishing: false,
            overflowed: false,
            socket: Some(Arc::new(socket)),
        };
        Self {
            state: Mutex::new(state),
            pending: AtomicUsize::new(0),
            limit,
            work: Notify::new(),
            relieved: Notify::new(),
            cut,
        }
    }

    /// Appends what `write` writes. `None` if the client is gone, or is cut off because of it.
    pub(crate) fn push(&self, write: impl FnOnce(&mut Vec<u8>)) -> Option<Pushed> {
        self.push_if(|| true, write)
    }

    /// The same, unless `wanted` says no. It is asked where nothing else can be appended in between: an answer to
    /// UNSUB follows every message that was granted before it.
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
            self.cut.cancel();
            return None;
        }
        let first = !std::mem::replace(&mut state.announced, true);
        Some(Pushed { first, pressed: pending > self.limit / 4 * 3 })
    }

    /// Writes what the socket takes at once, and leaves the rest to the client's task.
    pub(crate) fn flush(&self) {
        let Some((socket, mut batch)) = self.take() else { return };
        if let Ok(count) = socket.try_write(batch.rest()) {
            self.count_written(&mut batch, count);
        }
        // An error shows up again in the client's task, which is the one to end the connection.
        self.bring_back(batch);
    }

    /// The client's task: writes what others left. Ends when the outbox is [finished](Self::finish) and empty,
    /// or closed.
    ///
    /// # Errors
    /// The socket takes nothing for as long as `timeout`, or fails.
    pub(crate) async fn run(&self, timeout: Duration) -> Result<(), Unwritable> {
        loop {
            while let Some((socket, mut batch)) = self.take() {
                self.write(&socket, &mut batch, timeout).await?;
                self.bring_back(batch);
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

    /// Waits until the queue is half empty again, but no longer than `at_most`.
    pub(crate) async fn relieved(&self, at_most: Duration) {
        let relieved = self.relieved.notified();
        if self.pending.load(Ordering::Relaxed) > self.limit / 2 {
            // Whether relieved or not, whoever waited goes on: this slows down, the limit protects.
            let _ = tokio::time::timeout(at_most, relieved).await;
        }
    }

    /// Nothing more will be pushed: lets [`run`](Self::run) end once all is written.
    pub(crate) fn finish(&self) {
        self.state().finishing = true;
        self.work.notify_one();
    }

    /// Throws away what is left, and lets go of the socket.
    pub(crate) fn close(&self) {
        self.state().close();
        self.work.notify_one();
        self.relieved.notify_waiters();
    }

    /// Was the client cut off because too much piled up?
    pub(crate) fn has_overflowed(&self) -> bool {
        self.state().overflowed
    }

    fn is_finished(&self) -> bool {
        let state = self.state();
        state.socket.is_none() || (state.finishing && !state.writing && !state.has_work())
    }

    /// The next batch, unless there is none or someone else is writing.
    fn take(&self) -> Option<(Arc<OwnedWriteHalf>, Batch)> {
        let mut state = self.state();
        if state.writing || !state.has_work() {
            return None;
        }
        let socket = Arc::clone(state.socket.as_ref()?);
        let batch = if state.started.rest().is_empty() {
            let spare = std::mem::take(&mut state.spare);
            Batch { bytes: std::mem::replace(&mut state.queued, spare), written: 0 }
        } else {
            std::mem::take(&mut state.started)
        };
        state.writing = true;
        state.announced = false;
        Some((socket, batch))
    }

    /// Gives back a batch. If there is more to write, that is now the client's task's affair.
    fn bring_back(&self, mut batch: Batch) {
        let mut state = self.state();
        state.writing = false;
        if state.socket.is_none() {
            return;
        }
        if !batch.rest().is_empty() {
            state.started = batch;
        } else if batch.bytes.capacity() <= KEPT_BUFFER_BYTES {
            batch.bytes.clear();
            state.spare = batch.bytes;
        }
        if state.has_work() {
            state.announced = true;
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
            self.relieved.notify_waiters();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_work(&self) -> bool {
        !self.started.rest().is_empty() || !self.queued.is_empty()
    }

    fn close(&mut self) {
        self.socket = None;
        self.started = Batch::default();
        self.queued = Vec::new();
        self.spare = Vec::new();
    }
}
