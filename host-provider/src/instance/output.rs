//! Standard output and error of guests, logged line by line under the component's name.
//!
//! A guest cannot flood the log: long lines are cut, control characters are replaced, and lines beyond the component's
//! limit are only counted.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError};

/// Longer lines are cut here. Room for a stack trace in JSON, not for a dump of memory.
const LINE_BYTES: usize = 8 * 1024;

/// Lines of one component that are logged per [`PERIOD`]. A guest in a loop writes millions.
const LINES_PER_PERIOD: u32 = 1000;

const PERIOD: Duration = Duration::from_secs(1);

/// Bytes that a guest may write in one call.
const WRITE_BYTES: usize = 64 * 1024;

/// Which of the two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    Output,
    Error,
}

/// The log of one component, shared by its instances.
#[derive(Debug)]
pub(crate) struct GuestLog {
    component: Arc<str>,
    allowance: Mutex<Allowance>,
}

#[derive(Debug)]
struct Allowance {
    since: Instant,
    written: u32,
    dropped: u64,
}

impl GuestLog {
    pub(crate) fn new(component: Arc<str>) -> Arc<Self> {
        let allowance = Mutex::new(Allowance { since: Instant::now(), written: 0, dropped: 0 });
        Arc::new(Self { component, allowance })
    }

    fn line(&self, channel: Channel, line: &str) {
        if !self.may_write() {
            return;
        }
        let component = &*self.component;
        match channel {
            Channel::Output => tracing::info!(target: "h8s::guest", component, stream = "stdout", "{line}"),
            Channel::Error => tracing::warn!(target: "h8s::guest", component, stream = "stderr", "{line}"),
        }
    }

    fn may_write(&self) -> bool {
        let mut allowance = lock(&self.allowance);
        if allowance.since.elapsed() >= PERIOD {
            let dropped = std::mem::take(&mut allowance.dropped);
            *allowance = Allowance { since: Instant::now(), written: 0, dropped: 0 };
            if dropped > 0 {
                tracing::warn!(target: "h8s::guest", component = &*self.component, dropped, "guest output exceeded its limit; lines were dropped");
            }
        }
        allowance.written += u32::from(allowance.written <= LINES_PER_PERIOD);
        let may_write = allowance.written <= LINES_PER_PERIOD;
        allowance.dropped += u64::from(!may_write);
        may_write
    }
}

impl Drop for GuestLog {
    fn drop(&mut self) {
        let dropped = lock(&self.allowance).dropped;
        if dropped > 0 {
            tracing::warn!(target: "h8s::guest", component = &*self.component, dropped, "guest output exceeded its limit; lines were dropped");
        }
    }
}

/// One of the two streams of one instance. All streams that the guest opens share its unfinished line.
pub(crate) struct GuestOutput(Arc<Mutex<Line>>);

impl GuestOutput {
    pub(crate) fn new(log: Arc<GuestLog>, channel: Channel) -> Self {
        Self(Arc::new(Mutex::new(Line { log, channel, text: Vec::new(), cut: false })))
    }
}

/// The unfinished line.
struct Line {
    log: Arc<GuestLog>,
    channel: Channel,
    text: Vec<u8>,
    cut: bool,
}

impl Line {
    fn write(&mut self, bytes: &[u8]) {
        let mut pieces = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            self.push(piece);
            if pieces.peek().is_some() {
                self.end();
            }
        }
    }

    fn push(&mut self, piece: &[u8]) {
        let room = LINE_BYTES - self.text.len();
        self.cut |= piece.len() > room;
        self.text.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    fn end(&mut self) {
        let text = String::from_utf8_lossy(&self.text);
        let mut text = text.trim_end_matches('\r').replace(|c: char| c.is_control() && c != '\t', "\u{fffd}");
        if self.cut {
            text.push_str(" … (cut)");
        }
        self.log.line(self.channel, &text);
        self.text.clear();
        self.cut = false;
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.text.is_empty() {
            self.end();
        }
    }
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestOutput {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(GuestStream(Arc::clone(&self.0)))
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(GuestStream(Arc::clone(&self.0)))
    }
}

struct GuestStream(Arc<Mutex<Line>>);

impl OutputStream for GuestStream {
    fn write(&mut self, bytes: Bytes) -> Result<(), StreamError> {
        lock(&self.0).write(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        Ok(())
    }

    fn check_write(&mut self) -> Result<usize, StreamError> {
        Ok(WRITE_BYTES)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for GuestStream {
    async fn ready(&mut self) {}
}

impl AsyncWrite for GuestStream {
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        lock(&self.0).write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Ignores poisoning: a panic elsewhere leaves a usable line or count.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
