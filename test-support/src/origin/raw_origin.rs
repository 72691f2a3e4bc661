//! An HTTP/1.1 server as bytes: for the exact request, and for responses that no library sends.

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

/// A listening socket of `127.0.0.1`. A test accepts connections from it and plays the server itself,
/// or lets it [`serve`](Self::serve).
///
/// ```no_run
/// # use h8s_test_support::raw_origin::RawOrigin;
/// # async fn example() {
/// let origin = RawOrigin::bind().await;
/// // … a client connects to origin.url() …
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
    /// When the system has no free port.
    pub async fn bind() -> Self {
        Self::bind_to(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Listens at the address of an earlier one.
    ///
    /// # Panics
    ///
    /// When the address is in use.
    pub async fn bind_to(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("the port is free");
        let address = listener.local_addr().expect("a listener has an address");
        Self { listener, address }
    }

    /// Listens, and answers every request with these bytes.
    pub async fn answering(bytes: impl Into<Vec<u8>>) -> ServingOrigin {
        let bytes = bytes.into();
        Self::bind().await.serve(move |_| bytes.clone())
    }

    /// `http://127.0.0.1:…`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection that sends something. Probes that only connect are skipped.
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

    /// Answers every request with the bytes that `answer` returns, and closes the connection after a response with
    /// `Connection: close`. A request that is invalid or ambiguous under RFC 9112 is recorded as a fault, answered with
    /// 400, and ends the connection.
    pub fn serve(self, answer: impl Fn(&RawRequest) -> Vec<u8> + Send + Sync + 'static) -> ServingOrigin {
        ServingOrigin::start(self.listener, self.address, When::AllIsThere, answer)
    }

    /// [`serve`](Self::serve), but answers before the request's body, which is read afterwards. `answer` sees no body.
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
        // Sends writes at once; a failure only delays them.
        let _ = stream.set_nodelay(true);
        Self { client: RawClient::over(stream) }
    }

    /// The next request, complete.
    ///
    /// # Panics
    ///
    /// When there is none, it is truncated, or it is invalid or ambiguous under RFC 9112; with the bytes read.
    pub async fn request(&mut self) -> RawRequest {
        let head = self.head().await;
        self.body(head).await
    }

    /// The next request's head. [`body`](Self::body) reads the rest.
    ///
    /// # Panics
    ///
    /// As [`request`](Self::request).
    pub async fn head(&mut self) -> RequestHead {
        match request::read_head(&mut self.client).await {
            Ok(Some(head)) => head,
            Ok(None) => panic!("the connection ended without a request"),
            Err(fault) => panic!("invalid request: {fault}"),
        }
    }

    /// The body after a head, complete.
    ///
    /// # Panics
    ///
    /// As [`request`](Self::request).
    pub async fn body(&mut self, head: RequestHead) -> RawRequest {
        let body = request::read_body(&mut self.client, head).await;
        body.unwrap_or_else(|fault| panic!("invalid request: {fault}"))
    }

    /// The next chunk of a chunked body: an empty one is the last. `None` when the connection ended in it.
    ///
    /// # Panics
    ///
    /// When its size is invalid, or nothing is received within the deadline.
    pub async fn chunk(&mut self) -> Option<Vec<u8>> {
        self.client.chunk().await
    }

    /// Writes; returns whether the peer accepted it.
    ///
    /// # Panics
    ///
    /// When the peer accepts nothing within the deadline.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.client.send(bytes).await
    }

    /// Everything until the peer closes or resets the connection.
    ///
    /// # Panics
    ///
    /// When it stays open, and nothing is received within the deadline.
    pub async fn read_to_end(&mut self) -> Vec<u8> {
        self.client.read_to_end().await
    }

    /// Closes with a reset, as a server that is killed with unread data.
    ///
    /// # Panics
    ///
    /// When the system does not allow it.
    pub fn reset(self) {
        self.client.reset();
    }

    /// The connection, and the bytes that were read, but not returned.
    pub fn into_parts(self) -> (TcpStream, BytesMut) {
        self.client.into_parts()
    }
}

#[cfg(test)]
mod tests;
