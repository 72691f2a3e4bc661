//! The accept loop of the servers that run as separate processes.

use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// Prints the address (`programs::listens` reads it), and serves each connection. Never returns.
///
/// # Panics
///
/// If loopback has no free port, or a connection cannot be accepted.
pub async fn accept_all<C>(serve: impl Fn(TokioIo<TcpStream>) -> C)
where
    C: Future<Output: Send> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    println!("listening on {}", listener.local_addr().expect("a listener has an address"));
    loop {
        let (stream, _) = listener.accept().await.expect("a listener accepts");
        stream.set_nodelay(true).expect("a socket");
        let connection = serve(TokioIo::new(stream));
        // Clients may disconnect at any time.
        tokio::spawn(async { drop(connection.await) });
    }
}
