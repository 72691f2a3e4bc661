//! The load: requests at a fixed rate, whatever becomes of those before. Times are from when each was due.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use h8s_benches::Spread;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// Requests a second, of all connections.
const RATE: u32 = 2_000;
/// They take turns, so that one late answer delays few requests.
const CONNECTIONS: u32 = 16;
/// An answer that takes longer counts as none.
const PATIENCE: Duration = Duration::from_secs(5);
/// After a failure; what is due meanwhile is late.
const PAUSE: Duration = Duration::from_millis(10);

/// With TLS, a connection is given up after so many requests: there are 80 handshakes a second.
const REQUESTS_A_HANDSHAKE: usize = 25;

/// What is asked.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) path: &'static str,
    /// Over TLS, with these certificates trusted.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

trait Stream: io::Read + io::Write {}

impl<S: io::Read + io::Write> Stream for S {}

/// Requests that are being sent.
pub(crate) struct Steady {
    is_over: Arc<AtomicBool>,
    lanes: Vec<JoinHandle<Lane>>,
}

/// What came of them.
pub(crate) struct Served {
    /// Of those that were answered with 200.
    pub(crate) times: Spread,
    pub(crate) answered: usize,
    pub(crate) failed: usize,
    /// The first of them.
    pub(crate) why: Option<String>,
}

#[derive(Default)]
struct Lane {
    times: Vec<Duration>,
    failed: usize,
    why: Option<String>,
}

impl Steady {
    /// Asks until it is stopped.
    pub(crate) fn start(target: &Target) -> Self {
        let (begin, is_over) = (Instant::now(), Arc::new(AtomicBool::new(false)));
        let lane = |number: u32| {
            let (target, is_over) = (target.clone(), Arc::clone(&is_over));
            let first = begin + Duration::from_secs(1) * number / RATE;
            thread::spawn(move || ask_on(&target, first, &is_over))
        };
        let lanes = (0..CONNECTIONS).map(lane).collect();
        Self { is_over, lanes }
    }

    /// So long, and then no longer.
    pub(crate) async fn run(target: &Target, time: Duration) -> Served {
        let steady = Self::start(target);
        tokio::time::sleep(time).await;
        steady.stop()
    }

    /// Waits for the answers to what has been sent.
    pub(crate) fn stop(self) -> Served {
        self.is_over.store(true, Ordering::Relaxed);
        let lanes = self.lanes.into_iter().map(|lane| lane.join().expect("a lane counts its failures"));
        let mut all = Lane::default();
        for lane in lanes {
            all.times.extend(lane.times);
            all.failed += lane.failed;
            all.why = all.why.or(lane.why);
        }
        let answered = all.times.len();
        Served { times: Spread::of(all.times), answered, failed: all.failed, why: all.why }
    }
}

fn ask_on(target: &Target, first: Instant, is_over: &AtomicBool) -> Lane {
    let Target { address, path, .. } = target;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: bench/1\r\n\r\n");
    let (mut lane, mut connection, mut due) = (Lane::default(), None, first);
    while !is_over.load(Ordering::Relaxed) {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        match ask(&mut connection, target, request.as_bytes()) {
            Ok(()) => lane.times.push(due.elapsed()),
            Err(error) => {
                connection = None;
                lane.failed += 1;
                lane.why.get_or_insert(error.to_string());
                thread::sleep(PAUSE);
            }
        }
        if target.tls.is_some() && lane.times.len().is_multiple_of(REQUESTS_A_HANDSHAKE) {
            connection = None;
        }
        due += Duration::from_secs(1) * CONNECTIONS / RATE;
    }
    lane
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
            0 => return Err(io::Error::other("the server has closed the connection")),
            count => got += count,
        }
        if is_whole(&buffer[..got])? {
            return Ok(());
        }
    }
}

fn connect(target: &Target) -> io::Result<Box<dyn Stream>> {
    let socket = TcpStream::connect_timeout(&target.address, PATIENCE)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let Some(trusted) = &target.tls else { return Ok(Box::new(socket)) };
    let name = ServerName::from(target.address.ip());
    let session = ClientConnection::new(Arc::clone(trusted), name).map_err(io::Error::other)?;
    Ok(Box::new(StreamOwned::new(session, socket)))
}

/// Whether it is all of an answer: the head says how long it is.
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
        // What a component answers has no length.
        None => Ok(answer.ends_with(b"\r\n0\r\n\r\n")),
    }
}
