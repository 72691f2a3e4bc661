//! An HTTP/1.1 server as bytes: what exactly arrives, and answers that no library gives.

mod request;
mod serving;

use std::net::SocketAddr;

use bytes::BytesMut;
use tokio::net::{TcpListener, TcpStream};

use crate::raw_client::RawClient;
use crate::soon;

pub use request::{RawRequest, RequestHead};
pub use serving::ServingOrigin;
use serving::When;

/// A listening socket of `127.0.0.1`. A test accepts connections from it one by one and plays the server's part itself,
/// or lets it [`serve`](Self::serve).
///
/// ```no_run
/// # use h8s_test_support::raw_origin::RawOrigin;
/// # async fn example() {
/// let origin = RawOrigin::bind().await;
/// // … somebody is told of origin.url() …
/// let mut connection = origin.accept().await;
/// let request = connection.request().await;
/// assert_eq!((request.head.method.as_str(), &request.body[..]), ("POST", &b"hello"[..]));
/// connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of").await;
/// connection.reset();
/// # }
/// ```
#[derive(Debug)]
pub struct RawOrigin {
    listener: TcpListener,
    address: SocketAddr,
}

impl RawOrigin {
    /// Listens on a free port.
    ///
    /// # Panics
    ///
    /// When the system has none.
    pub async fn bind() -> Self {
        Self::bind_to(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Listens where another one did.
    ///
    /// # Panics
    ///
    /// When somebody does.
    pub async fn bind_to(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("the port is free");
        let address = listener.local_addr().expect("a listener has an address");
        Self { listener, address }
    }

    /// Binds, and answers every request with these bytes.
    pub async fn answering(bytes: impl Into<Vec<u8>>) -> ServingOrigin {
        let bytes = bytes.into();
        Self::bind().await.serve(move |_| bytes.clone())
    }

    /// `http://127.0.0.1:…`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection on which something comes. Those that only look whether somebody listens are passed over.
    ///
    /// # Panics
    ///
    /// When there is none within the deadline.
    pub async fn accept(&self) -> RawConnection {
        soon(async {
            loop {
                let (stream, _) = self.listener.accept().await.expect("a listener accepts");
                if matches!(stream.peek(&mut [0]).await, Ok(1..)) {
                    return RawConnection::over(stream);
                }
            }
        })
        .await
    }

    /// Answers every request on every connection with what `answer` says to it, as bytes, and closes the connection
    /// after an answer that says `Connection: close`. What it could not read as a request of RFC 9112, strictly taken,
    /// is kept as a fault, answered with 400, and ends the connection.
    pub fn serve(self, answer: impl Fn(&RawRequest) -> Vec<u8> + Send + Sync + 'static) -> ServingOrigin {
        ServingOrigin::start(self.listener, self.address, When::AllIsThere, answer)
    }

    /// The same, but for an answer that does not wait for the request's body, which is read afterwards. What `answer`
    /// sees has none.
    pub fn serve_early(
        self,
        answer: impl Fn(&RawRequest) -> Vec<u8> + Send + Sync + 'static,
    ) -> ServingOrigin {
        ServingOrigin::start(self.listener, self.address, When::HeadIsThere, answer)
    }
}

/// The server's side of one connection.
#[derive(Debug)]
pub struct RawConnection {
    client: RawClient,
}

impl RawConnection {
    fn over(stream: TcpStream) -> Self {
        // Bytes go out as they are written; without it they still go out, only later.
        let _ = stream.set_nodelay(true);
        Self { client: RawClient::over(stream) }
    }

    /// The next request, whole.
    ///
    /// # Panics
    ///
    /// When there is none, it is cut, or it is none of RFC 9112, strictly taken; with what was read.
    pub async fn request(&mut self) -> RawRequest {
        let head = self.head().await;
        self.body(head).await
    }

    /// The next request's head: what follows it is [`body`](Self::body).
    ///
    /// # Panics
    ///
    /// As [`request`](Self::request).
    pub async fn head(&mut self) -> RequestHead {
        match request::read_head(&mut self.client).await {
            Ok(Some(head)) => head,
            Ok(None) => panic!("the connection ended without a request"),
            Err(fault) => panic!("this is no request: {fault}"),
        }
    }

    /// What follows a head, whole.
    ///
    /// # Panics
    ///
    /// As [`request`](Self::request).
    pub async fn body(&mut self, head: RequestHead) -> RawRequest {
        let body = request::read_body(&mut self.client, head).await;
        body.unwrap_or_else(|fault| panic!("this is no request: {fault}"))
    }

    /// The next chunk of a chunked body: an empty one is the last. `None` when the connection ended in it.
    ///
    /// # Panics
    ///
    /// When its size makes no sense, or nothing comes for the whole deadline.
    pub async fn chunk(&mut self) -> Option<Vec<u8>> {
        self.client.chunk().await
    }

    /// Writes, and says whether the other side still took it.
    ///
    /// # Panics
    ///
    /// When it takes nothing for the whole deadline.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.client.send(bytes).await
    }

    /// Everything until the other side closes the connection, or resets it.
    ///
    /// # Panics
    ///
    /// When it stays open, and nothing comes for the whole deadline.
    pub async fn read_to_end(&mut self) -> Vec<u8> {
        self.client.read_to_end().await
    }

    /// Closes with a reset, as a server does that is killed with data unread.
    ///
    /// # Panics
    ///
    /// When the system does not allow it.
    pub fn reset(self) {
        self.client.reset();
    }

    /// The connection, and what was read of it and not given away.
    pub fn into_parts(self) -> (TcpStream, BytesMut) {
        self.client.into_parts()
    }
}

#[cfg(test)]
mod tests;
