//! The body of a component's response.
//!
//! The body owns the guest that writes it: the guest runs while the body is polled, waits while it is not, and is
//! dropped with the body. No task is spawned for an exchange. Data written before the head goes out is ready at once, so
//! that a short response can travel in one message.
//!
//! A body is never silently truncated: it ends when the guest has finished it, and with an error in every other case.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use tokio::task::unconstrained;
use wasmtime_wasi_http::Error;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use crate::http::request_run::RequestRun;
use crate::instance::Instantiated;
use crate::instance::fault::Fault;

/// Bytes that a guest may write ahead before its head goes out: as much as travels inline in the first message.
const PREFETCH_BYTES: u64 = 64 * 1024;

/// A response body, written by a guest while it is read.
pub struct ComponentBody {
    ready: VecDeque<Frame<Bytes>>,
    ready_bytes: u64,
    rest: Rest,
}

/// The component failed after the response head was sent. The cause is in the source, and has been logged.
#[derive(Debug, thiserror::Error)]
#[error("the component failed in the middle of its response")]
pub struct BrokenBody(#[source] Fault);

/// The rest of the body, after the ready frames.
enum Rest {
    Ended,
    Failed(Fault),
    Running(Box<Running>),
}

struct Running {
    run: RequestRun,
    body: HyperOutgoingBody,
    declared_bytes: Option<u64>,
    written_bytes: u64,
}

/// The result of one read.
enum Step {
    Frame(Frame<Bytes>),
    End,
    Wait,
}

impl ComponentBody {
    /// A complete body.
    pub(crate) fn whole(bytes: Bytes) -> Self {
        let ready_bytes = bytes.len() as u64;
        let ready = if bytes.is_empty() { VecDeque::new() } else { VecDeque::from([Frame::data(bytes)]) };
        Self { ready, ready_bytes, rest: Rest::Ended }
    }

    /// A body that the guest of `run` writes.
    pub(crate) fn running(run: RequestRun, body: HyperOutgoingBody, declared_bytes: Option<u64>) -> Self {
        let running = Running { run, body, declared_bytes, written_bytes: 0 };
        Self { ready: VecDeque::new(), ready_bytes: 0, rest: Rest::Running(Box::new(running)) }
    }

    /// The fault, once the body has failed.
    pub(crate) fn fault(&self) -> Option<&Fault> {
        if let Rest::Failed(fault) = &self.rest { Some(fault) } else { None }
    }

    /// Takes all that a guest has written that has returned. There is no more, so this ends its run.
    pub(crate) fn take_all(&mut self, instance: Instantiated) {
        self.take(&mut Context::from_waker(Waker::noop()), Some(instance));
        self.merge();
    }

    /// Lets the guest write up to [`PREFETCH_BYTES`], while it need not wait. Always ready.
    pub(crate) fn poll_prefetch(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // First the written frames; then run the guest again while it fills the freed space.
        self.take(cx, None);
        let mut before = 0;
        while self.ready_bytes > before && self.ready_bytes < PREFETCH_BYTES {
            before = self.ready_bytes;
            self.run(cx);
        }
        if matches!(self.rest, Rest::Ended) {
            self.merge();
        }
        Poll::Ready(())
    }

    /// Runs the guest, and takes what it wrote.
    fn run(&mut self, cx: &mut Context<'_>) {
        let Rest::Running(running) = &mut self.rest else { return };
        match running.run.poll(cx) {
            Poll::Pending => self.take(cx, None),
            Poll::Ready(Ok(returned)) => self.take(cx, Some(returned.instance)),
            Poll::Ready(Err(fault)) => self.fail(fault),
        }
    }

    /// Takes the written frames, bounded by the capacity of the channel between guest and host.
    ///
    /// The instance of a guest that has `returned` lives until all is taken: an unfinished body is pending as long as the
    /// instance lives.
    fn take(&mut self, cx: &mut Context<'_>, returned: Option<Instantiated>) {
        while let Rest::Running(running) = &mut self.rest {
            match running.next(cx, returned.is_some()) {
                Ok(Step::Frame(frame)) => self.push(frame),
                Ok(Step::End) => return self.end(returned),
                Ok(Step::Wait) => return,
                Err(fault) => {
                    // Before its slot in the pool is given back.
                    drop(returned);
                    return self.fail(fault);
                }
            }
        }
    }

    fn push(&mut self, frame: Frame<Bytes>) {
        let length = frame.data_ref().map_or(0, Bytes::len);
        if length > 0 || frame.is_trailers() {
            self.ready_bytes += length as u64;
            self.ready.push_back(frame);
        }
    }

    fn end(&mut self, returned: Option<Instantiated>) {
        let Rest::Running(running) = std::mem::replace(&mut self.rest, Rest::Ended) else { return };
        match returned {
            Some(instance) => running.run.end(instance),
            None => drop(tokio::spawn(running.run.run_to_completion(None))),
        }
    }

    fn fail(&mut self, fault: Fault) {
        if let Rest::Running(running) = &self.rest {
            running.run.log(&fault);
        }
        self.rest = Rest::Failed(fault);
    }

    /// Merges the data of a short body into one frame, so that it is sent as one.
    fn merge(&mut self) {
        let data = self.ready.iter().take_while(|frame| frame.is_data()).count();
        if data < 2 || self.ready_bytes > PREFETCH_BYTES {
            return;
        }
        let mut whole = BytesMut::with_capacity(self.ready_bytes as usize);
        for bytes in self.ready.drain(..data).filter_map(|frame| frame.into_data().ok()) {
            whole.extend_from_slice(&bytes);
        }
        self.ready.push_front(Frame::data(whole.freeze()));
    }

    fn pop(&mut self) -> Option<Frame<Bytes>> {
        let frame = self.ready.pop_front()?;
        self.ready_bytes -= frame.data_ref().map_or(0, Bytes::len) as u64;
        Some(frame)
    }
}

impl Running {
    /// The next frame that the guest wrote. Outside tokio's task budget: once that is used up, a channel reports that it is
    /// empty although it is not, and here empty can mean that the guest has failed.
    fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx));
        pin!(unconstrained(frame)).poll(cx)
    }

    fn next(&mut self, cx: &mut Context<'_>, returned: bool) -> Result<Step, Fault> {
        match self.poll_written(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.written_bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
                match self.declared_bytes {
                    Some(declared) if self.written_bytes > declared => Err(self.wrong_length(declared)),
                    _ => Ok(Step::Frame(frame)),
                }
            }
            Poll::Ready(None) => match self.declared_bytes {
                Some(declared) if self.written_bytes != declared => Err(self.wrong_length(declared)),
                _ => Ok(Step::End),
            },
            Poll::Ready(Some(Err(_))) => Err(self.unfinished()),
            Poll::Pending if returned => Err(self.unfinished()),
            Poll::Pending => Ok(Step::Wait),
        }
    }

    /// wasmtime reports a finished body of the wrong length as unfinished.
    fn unfinished(&self) -> Fault {
        match self.declared_bytes {
            Some(declared) if self.written_bytes != declared => self.wrong_length(declared),
            _ => Fault::Unfinished,
        }
    }

    fn wrong_length(&self, declared: u64) -> Fault {
        Fault::WrongLength { declared, written: self.written_bytes }
    }
}

impl Body for ComponentBody {
    type Data = Bytes;
    type Error = BrokenBody;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
        if self.ready.is_empty() {
            self.run(cx);
        }
        if let Some(frame) = self.pop() {
            return Poll::Ready(Some(Ok(frame)));
        }
        match std::mem::replace(&mut self.rest, Rest::Ended) {
            Rest::Ended => Poll::Ready(None),
            Rest::Failed(fault) => Poll::Ready(Some(Err(BrokenBody(fault)))),
            running @ Rest::Running(_) => {
                self.rest = running;
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ready.is_empty() && matches!(self.rest, Rest::Ended)
    }

    fn size_hint(&self) -> SizeHint {
        let rest = match &self.rest {
            Rest::Ended if self.ready.iter().all(Frame::is_data) => Some(0),
            Rest::Running(running) => running.declared_bytes.map(|declared| declared - running.written_bytes),
            Rest::Ended | Rest::Failed(_) => None,
        };
        let mut hint = SizeHint::new();
        match rest {
            Some(rest) => hint.set_exact(self.ready_bytes + rest),
            None => hint.set_lower(self.ready_bytes),
        }
        hint
    }
}

impl std::fmt::Debug for ComponentBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rest = match &self.rest {
            Rest::Ended => "ended",
            Rest::Failed(_) => "failed",
            Rest::Running(_) => "running",
        };
        f.debug_struct("ComponentBody").field("ready_bytes", &self.ready_bytes).field("rest", &rest).finish()
    }
}
