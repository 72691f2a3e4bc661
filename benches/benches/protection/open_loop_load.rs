//! The load: requests at a fixed rate, independent of previous responses. Times count from when each was due.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use h8s_benches::Spread;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// Requests per second, over all connections.
const RATE: u32 = 2_000;
/// Connections take turns, so that one late response delays few requests.
const CONNECTIONS: u32 = 16;
/// A response that takes longer counts as failed.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause after a failure. Requests due meanwhile are late.
const PAUSE: Duration = Duration::from_millis(10);

/// With TLS, the number of requests per connection, which makes 80 handshakes per second.
const REQUESTS_A_HANDSHAKE: usize = 25;

/// The requested resource.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) path: &'static str,
    /// Uses TLS with these trusted certificates.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

trait Stream: io::Read + io::Write {}

impl<S: io::Read + io::Write> Stream for S {}

/// A running load.
pub(crate) struct OpenLoopLoad {
    is_over: Arc<AtomicBool>,
    connections: Vec<JoinHandle<ConnectionResult>>,
}

/// The result of a load.
pub(crate) struct Served {
    /// The times of requests with a 200.
    pub(crate) times: Spread,
    pub(crate) answered: usize,
    pub(crate) failed: usize,
    /// The first error.
    pub(crate) why: Option<String>,
}

#[derive(Default)]
struct ConnectionResult {
    times: Vec<Duration>,
    failed: usize,
    why: Option<String>,
}

impl OpenLoopLoad {
    /// Sends requests until it is stopped.
    pub(crate) fn start(target: &Target) -> Self {
        let (begin, is_over) = (Instant::now(), Arc::new(AtomicBool::new(false)));
        let connection = |number: u32| {
            let (target, is_over) = (target.clone(), Arc::clone(&is_over));
            let first = begin + Duration::from_secs(1) * number / RATE;
            thread::spawn(move || ask_on(&target, first, &is_over))
        };
        let connections = (0..CONNECTIONS).map(connection).collect();
        Self { is_over, connections }
    }

    /// Sends requests for this duration.
    pub(crate) async fn run(target: &Target, time: Duration) -> Served {
        let steady = Self::start(target);
        tokio::time::sleep(time).await;
        steady.stop()
    }

    /// Stops, and waits for outstanding responses.
    pub(crate) fn stop(self) -> Served {
        self.is_over.store(true, Ordering::Relaxed);
        let results = self
            .connections
            .into_iter()
            .map(|thread| thread.join().expect("a connection counts its failures"));
        let mut all = ConnectionResult::default();
        for result in results {
            all.times.extend(result.times);
            all.failed += result.failed;
            all.why = all.why.or(result.why);
        }
        let answered = all.times.len();
        Served { times: Spread::of(all.times), answered, failed: all.failed, why: all.why }
    }
}

fn ask_on(target: &Target, first: Instant, is_over: &AtomicBool) -> ConnectionResult {
    let Target { address, path, .. } = target;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: bench/1\r\n\r\n");
    let (mut result, mut connection, mut due) = (ConnectionResult::default(), None, first);
    while !is_over.load(Ordering::Relaxed) {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        match ask(&mut connection, target, request.as_bytes()) {
            Ok(()) => result.times.push(due.elapsed()),
            Err(error) => {
                connection = None;
                result.failed += 1;
                result.why.get_or_insert(error.to_string());
                thread::sleep(PAUSE);
            }
        }
        if target.tls.is_some() && result.times.len().is_multiple_of(REQUESTS_A_HANDSHAKE) {
            connection = None;
        }
        due += Duration::from_secs(1) * CONNECTIONS / RATE;
    }
    result
}

fn ask(connection: &mut Option<Box<dyn Stream>>, target: &Target, request: &[u8]) -> io::Result<()> {
    let stream = match connection {
        Some(stream) => stream,
        None => connection.insert(connect(target)?),
    };
    stream.write_all(request)?;
    stream.flush()?;
    let (mut buffer, mut got) = ([0; 8192], 0);
    loop {
        match stream.read(&mut buffer[got..])? {
            0 => return Err(io::Error::other("the server closed the connection")),
            count => got += count,
        }
        if is_whole(&buffer[..got])? {
            return Ok(());
        }
    }
}

fn connect(target: &Target) -> io::Result<Box<dyn Stream>> {
    let socket = TcpStream::connect_timeout(&target.address, RESPONSE_TIMEOUT)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(RESPONSE_TIMEOUT))?;
    let Some(trusted) = &target.tls else { return Ok(Box::new(socket)) };
    let name = ServerName::from(target.address.ip());
    let session = ClientConnection::new(Arc::clone(trusted), name).map_err(io::Error::other)?;
    Ok(Box::new(StreamOwned::new(session, socket)))
}

/// Whether the response is complete, by its declared length.
fn is_whole(answer: &[u8]) -> io::Result<bool> {
    let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(false) };
    let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
    let status = text.lines().next().unwrap_or_default();
    if !status.starts_with("http/1.1 200") {
        return Err(io::Error::other(status));
    }
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    match length.and_then(|length| length.trim().parse::<usize>().ok()) {
        Some(length) => Ok(answer.len() >= head + 4 + length),
        // A component's response has no declared length.
        None => Ok(answer.ends_with(b"\r\n0\r\n\r\n")),
    }
}
