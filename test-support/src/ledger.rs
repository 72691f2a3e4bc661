//! A backend that takes its time, and remembers what it was asked to do: whether something was done twice is known here
//! and nowhere else.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use crate::http_client::{BodySender, RequestBody, empty, streamed};

/// A piece of an answer: many of them fill more than one frame, and less than a window.
const PIECE_BYTES: usize = 12 * 1024;

/// A job: what a request asks for, by its target, and the whole answer to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    /// By which it is found again; each request has its own.
    pub id: u64,
    /// How long there is no answer.
    pub wait: Duration,
    /// Pieces that the answer begins with. The request's body follows.
    pub pieces: u32,
    /// Before each piece.
    pub pause: Duration,
}

impl Job {
    /// What is answered at once, with nothing but the request's body.
    pub fn new(id: u64) -> Self {
        Self { id, wait: Duration::ZERO, pieces: 0, pause: Duration::ZERO }
    }

    /// `/job/ID/WAIT/PIECES/PAUSE`, durations in milliseconds.
    pub fn target(&self) -> String {
        let Self { id, wait, pieces, pause } = self;
        format!("/job/{id}/{}/{pieces}/{}", wait.as_millis(), pause.as_millis())
    }

    /// All of the answer to a request with this body.
    pub fn answer(&self, body: &[u8]) -> Vec<u8> {
        let mut answer: Vec<u8> = (0..self.pieces).flat_map(|number| self.piece(number)).collect();
        answer.extend_from_slice(body);
        answer
    }

    /// No two pieces of any answers are alike.
    fn piece(&self, number: u32) -> Bytes {
        let line = format!("{} {number}\n", self.id);
        line.bytes().cycle().take(PIECE_BYTES).collect()
    }

    fn of_target(target: &str) -> Option<Self> {
        let mut parts = target.strip_prefix("/job/")?.split('/').map(str::parse);
        let mut next = || parts.next()?.ok();
        let id = next()?;
        let wait = Duration::from_millis(next()?);
        Some(Self { id, wait, pieces: u32::try_from(next()?).ok()?, pause: Duration::from_millis(next()?) })
    }
}

/// The backend. Its connections end with it.
#[derive(Debug)]
pub struct Ledger {
    address: SocketAddr,
    begun: Begun,
    accepting: AbortHandle,
}

/// How often each job was begun.
type Begun = Arc<Mutex<HashMap<u64, u32>>>;

impl Ledger {
    /// On a free port of loopback.
    ///
    /// # Panics
    ///
    /// When the system has none.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let begun = Begun::default();
        let accepting = tokio::spawn(accept(listener, Arc::clone(&begun)));
        Self { address, begun, accepting: accepting.abort_handle() }
    }

    /// `http://127.0.0.1:…`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often a job was begun.
    pub fn times_begun(&self, id: u64) -> u32 {
        lock(&self.begun).get(&id).copied().unwrap_or_default()
    }

    /// Jobs that were begun more than once.
    pub fn repeated(&self) -> Vec<u64> {
        lock(&self.begun).iter().filter(|(_, times)| **times > 1).map(|(id, _)| *id).collect()
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, begun: Begun) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        // Small answers go out at once; without it they still go out, only later.
        let _ = stream.set_nodelay(true);
        connections.spawn(converse(stream, Arc::clone(&begun)));
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(stream: TcpStream, begun: Begun) {
    let service = service_fn(|request| answer(request, Arc::clone(&begun)));
    // Who leaves in the midst of an answer is who is tested.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, begun: Begun) -> Result<Response<RequestBody>, Infallible> {
    let Some(job) = Job::of_target(request.uri().path()) else {
        let mut response = Response::new(empty());
        *response.status_mut() = http::StatusCode::NOT_FOUND;
        return Ok(response);
    };
    *lock(&begun).entry(job.id).or_default() += 1;
    sleep(job.wait).await;
    let (sender, body) = streamed();
    tokio::spawn(write(job, request.into_body(), sender));
    Ok(Response::new(body))
}

/// Until all is written, or nobody reads.
async fn write(job: Job, mut request: Incoming, sender: BodySender) {
    for number in 0..job.pieces {
        sleep(job.pause).await;
        if !sender.try_send(job.piece(number)).await {
            return;
        }
    }
    while let Some(frame) = request.frame().await {
        // A cut request has no whole answer.
        let Ok(frame) = frame else {
            sender.abort().await;
            return;
        };
        if let Ok(bytes) = frame.into_data()
            && !sender.try_send(bytes).await
        {
            return;
        }
    }
}

/// A test that panicked elsewhere is no reason to panic here.
fn lock(begun: &Begun) -> MutexGuard<'_, HashMap<u64, u32>> {
    begun.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http_client::{get, post};

    #[tokio::test]
    async fn jobs_are_done_and_counted() {
        let ledger = Ledger::start().await;
        let job = Job { pieces: 3, pause: Duration::from_millis(1), ..Job::new(7) };

        let (_, _, first) = post(&format!("{}{}", ledger.url(), job.target()), "body").await;
        let (_, _, second) = get(&format!("{}{}", ledger.url(), job.target())).await;

        assert_eq!((first, second), (job.answer(b"body").into(), job.answer(b"").into()));
        assert_eq!((ledger.times_begun(7), ledger.times_begun(8)), (2, 0));
        assert_eq!(ledger.repeated(), [7]);
    }
}
