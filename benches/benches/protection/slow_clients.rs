//! Thousands of clients, in a separate process, that hold idle or slow connections. A client whose connection is closed
//! reconnects.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use h8s_benches::programs::role;
use h8s_benches::runtime;
use h8s_benches::usage::raise_descriptors;
use h8s_test_support::process::Process;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::sleep;

use crate::responder::{LARGE, SMALL};

/// The argument that selects the slow clients role; the gateway's address follows.
pub(crate) const ROLE: &str = "--slow-clients";
/// The number of clients, a quarter of each kind.
pub(crate) const COUNT: usize = 5_000;
/// The number of client addresses: each stays below the limit per address.
const ADDRESSES: usize = 100;
/// The pause between two connects, so that the start does not measure half a GB of responses.
const NEXT: Duration = Duration::from_millis(2);
/// The pause between two bytes of a slow client.
const BEAT: Duration = Duration::from_secs(1);
/// The pause before a reconnect.
const PAUSE: Duration = Duration::from_millis(250);
/// The smallest that Linux allows, so that slow reading takes effect soon.
const RECEIVE_BYTES: u32 = 4096;

/// The slow clients, all connected.
pub(crate) struct SlowClients(Process);

impl SlowClients {
    pub(crate) async fn start(gateway: SocketAddr) -> Self {
        let mut process = role(&[ROLE, &gateway.to_string()]);
        for thousand in 1..=COUNT / 1000 {
            process.wait_for_line(&format!("{} have come", thousand * 1000)).await;
        }
        Self(process)
    }

    /// Kills all clients at once.
    pub(crate) async fn end(mut self) {
        self.0.kill().await;
    }
}

/// Never returns.
pub(crate) fn run(gateway: &str) {
    raise_descriptors();
    let gateway = gateway.parse().expect("an address");
    runtime().block_on(async {
        let come = Arc::new(AtomicUsize::new(0));
        for number in 0..COUNT {
            tokio::spawn(stay(gateway, number, Arc::clone(&come)));
            sleep(NEXT).await;
        }
        std::future::pending::<()>().await;
    });
}

async fn stay(gateway: SocketAddr, number: usize, come: Arc<AtomicUsize>) {
    let mut is_new = true;
    loop {
        if let Ok(stream) = connect(gateway, number).await {
            if std::mem::take(&mut is_new) {
                let come = come.fetch_add(1, Ordering::Relaxed) + 1;
                if come.is_multiple_of(1000) {
                    println!("{come} have come");
                }
            }
            // The connection may end in any way.
            let _ = match number % 4 {
                0 => idle(stream).await,
                1 => slow_head(stream).await,
                2 => slow_body(stream).await,
                _ => slow_reader(stream).await,
            };
        }
        sleep(PAUSE).await;
    }
}

async fn connect(gateway: SocketAddr, number: usize) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(RECEIVE_BYTES)?;
    let last = u8::try_from(2 + number % ADDRESSES).unwrap_or(u8::MAX);
    socket.bind(([127, 0, 0, last], 0).into())?;
    socket.connect(gateway).await
}

async fn idle(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(format!("GET {SMALL} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").as_bytes()).await?;
    while stream.read(&mut [0; 1024]).await? > 0 {}
    Ok(())
}

async fn slow_head(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(format!("GET {SMALL} HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ").as_bytes()).await?;
    drip(stream).await
}

async fn slow_body(mut stream: TcpStream) -> std::io::Result<()> {
    let head = "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    drip(stream).await
}

/// Sends a byte per pause, until the server closes the connection.
async fn drip(mut stream: TcpStream) -> std::io::Result<()> {
    let mut answer = [0; 1024];
    loop {
        tokio::select! {
            read = stream.read(&mut answer) => if read? == 0 { return Ok(()) },
            () = sleep(BEAT) => stream.write_all(b"x").await?,
        }
    }
}

async fn slow_reader(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(format!("GET {LARGE} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").as_bytes()).await?;
    let mut sip = [0; 512];
    while stream.read(&mut sip).await? > 0 {
        sleep(BEAT).await;
    }
    Ok(())
}
