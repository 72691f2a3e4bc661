//! A backend that counts how often each request was executed: the only place where a duplicate execution shows.

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

use crate::clients::http_client::{BodySender, RequestBody, empty, streamed};

/// A piece of a response body. Several fill a frame; a job's pieces stay below the credit window.
const PIECE_BYTES: usize = 12 * 1024;

/// A job: the request that starts it, and the complete response to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    /// Unique per request.
    pub id: u64,
    /// The time until the response head.
    pub wait: Duration,
    /// Pieces at the beginning of the response body. The request's body follows.
    pub pieces: u32,
    /// The pause before each piece.
    pub pause: Duration,
}

impl Job {
    /// A job that is answered at once with the request's body.
    pub fn new(id: u64) -> Self {
        Self { id, wait: Duration::ZERO, pieces: 0, pause: Duration::ZERO }
    }

    /// `/job/ID/WAIT/PIECES/PAUSE`, durations in milliseconds.
    pub fn target(&self) -> String {
        let Self { id, wait, pieces, pause } = self;
        format!("/job/{id}/{}/{pieces}/{}", wait.as_millis(), pause.as_millis())
    }

    /// The complete response body for a request with this body.
    pub fn answer(&self, body: &[u8]) -> Vec<u8> {
        let mut answer: Vec<u8> = (0..self.pieces).flat_map(|number| self.piece(number)).collect();
        answer.extend_from_slice(body);
        answer
    }

    /// Unique among all pieces of all jobs.
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
pub struct ExecutionLog {
    address: SocketAddr,
    starts: Starts,
    accepting: AbortHandle,
}

/// How often each job was started.
type Starts = Arc<Mutex<HashMap<u64, u32>>>;

impl ExecutionLog {
    /// On a free port of loopback.
    ///
    /// # Panics
    ///
    /// When the system has no free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let starts = Starts::default();
        let accepting = tokio::spawn(accept(listener, Arc::clone(&starts)));
        Self { address, starts, accepting: accepting.abort_handle() }
    }

    /// `http://127.0.0.1:…`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often a job was started.
    pub fn times_started(&self, id: u64) -> u32 {
        lock(&self.starts).get(&id).copied().unwrap_or_default()
    }

    /// Jobs that were started more than once.
    pub fn repeated(&self) -> Vec<u64> {
        lock(&self.starts).iter().filter(|(_, times)| **times > 1).map(|(id, _)| *id).collect()
    }
}

impl Drop for ExecutionLog {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, starts: Starts) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        // Sends small responses at once. A failure only delays them.
        let _ = stream.set_nodelay(true);
        connections.spawn(converse(stream, Arc::clone(&starts)));
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(stream: TcpStream, starts: Starts) {
    let service = service_fn(|request| answer(request, Arc::clone(&starts)));
    // The tests disconnect in the middle of a response.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, starts: Starts) -> Result<Response<RequestBody>, Infallible> {
    let Some(job) = Job::of_target(request.uri().path()) else {
        let mut response = Response::new(empty());
        *response.status_mut() = http::StatusCode::NOT_FOUND;
        return Ok(response);
    };
    *lock(&starts).entry(job.id).or_default() += 1;
    sleep(job.wait).await;
    let (sender, body) = streamed();
    tokio::spawn(write(job, request.into_body(), sender));
    Ok(Response::new(body))
}

/// Until all is written, or the reader is gone.
async fn write(job: Job, mut request: Incoming, sender: BodySender) {
    for number in 0..job.pieces {
        sleep(job.pause).await;
        if !sender.try_send(job.piece(number)).await {
            return;
        }
    }
    while let Some(frame) = request.frame().await {
        // A truncated request gets a truncated response.
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

/// A poisoned lock means that another test panicked; the counts are still valid.
fn lock(starts: &Starts) -> MutexGuard<'_, HashMap<u64, u32>> {
    starts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::http_client::{get, post};

    #[tokio::test]
    async fn jobs_are_executed_and_counted() {
        let log = ExecutionLog::start().await;
        let job = Job { pieces: 3, pause: Duration::from_millis(1), ..Job::new(7) };

        let (_, _, first) = post(&format!("{}{}", log.url(), job.target()), "body").await;
        let (_, _, second) = get(&format!("{}{}", log.url(), job.target())).await;

        assert_eq!((first, second), (job.answer(b"body").into(), job.answer(b"").into()));
        assert_eq!((log.times_started(7), log.times_started(8)), (2, 0));
        assert_eq!(log.repeated(), [7]);
    }
}
