//! HTTP/1.1 and HTTP/2 clients over one connection each. They add no headers, and every wait has a deadline.

mod request_body;

use bytes::Bytes;
use http::header::HOST;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use crate::soon;

pub use request_body::{BodySender, RequestBody, empty, full, streamed};

/// A complete response: status, headers, body.
pub type Answer = (StatusCode, HeaderMap, Bytes);

/// A client with one connection.
///
/// ```no_run
/// # use h8s_test_support::http_client::{self, HttpClient};
/// # async fn example() {
/// let (status, headers, body) = http_client::get("http://127.0.0.1:8080/hello").await;
///
/// let mut client = HttpClient::http2("http://127.0.0.1:8080").await;
/// let request = http::Request::put("/upload").body(http_client::full("text")).unwrap();
/// let response = client.send(request).await.unwrap();
/// let (status, headers, body) = http_client::whole(response).await.unwrap();
/// # }
/// ```
#[derive(Debug)]
pub struct HttpClient {
    sender: Sender,
    authority: Authority,
    connection: AbortHandle,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<RequestBody>),
    Http2(http2::SendRequest<RequestBody>),
}

impl HttpClient {
    /// Connects for HTTP/1.1 to the host and port of `url`, which is the `Host` of requests that have none.
    ///
    /// # Panics
    ///
    /// When the connection is refused.
    pub async fn http1(url: &str) -> Self {
        let (stream, authority) = connect(url).await;
        Self::http1_over(stream, authority.as_str()).await
    }

    /// The same for HTTP/2 in cleartext with prior knowledge.
    ///
    /// # Panics
    ///
    /// When the connection is refused.
    pub async fn http2(url: &str) -> Self {
        let (stream, authority) = connect(url).await;
        Self::http2_over(stream, authority.as_str()).await
    }

    /// HTTP/1.1 over an existing connection, for example with TLS.
    ///
    /// # Panics
    ///
    /// When `authority` is not a valid host.
    pub async fn http1_over<T>(stream: T, authority: &str) -> Self
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) =
            soon(http1::handshake(TokioIo::new(stream))).await.expect("nothing is sent yet");
        let connection = tokio::spawn(async move { drop(connection.with_upgrades().await) });
        Self::new(Sender::Http1(sender), authority, connection.abort_handle())
    }

    /// HTTP/2 over an existing connection.
    ///
    /// # Panics
    ///
    /// When the connection ends before its preface is written, or `authority` is not a valid host.
    pub async fn http2_over<T>(stream: T, authority: &str) -> Self
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Self::try_http2_over(stream, authority).await.expect("the HTTP/2 preface can be sent")
    }

    /// Connects to a server that may be down, or may close at once.
    ///
    /// # Errors
    ///
    /// The connection is refused, or has ended already.
    pub async fn reach(url: &str, version: Version) -> std::io::Result<Self> {
        let (stream, authority) = reach(url).await?;
        if version != Version::HTTP_2 {
            return Ok(Self::http1_over(stream, authority.as_str()).await);
        }
        Self::try_http2_over(stream, authority.as_str()).await.map_err(std::io::Error::other)
    }

    async fn try_http2_over<T>(stream: T, authority: &str) -> hyper::Result<Self>
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = soon(handshake).await?;
        let connection = tokio::spawn(async move { drop(connection.await) });
        Ok(Self::new(Sender::Http2(sender), authority, connection.abort_handle()))
    }

    fn new(sender: Sender, authority: &str, connection: AbortHandle) -> Self {
        let authority =
            authority.parse().unwrap_or_else(|error| panic!("{authority:?} is not a valid host: {error}"));
        Self { sender, authority, connection }
    }

    /// Sends a request; returns the response once its head is received. A relative URI is allowed.
    ///
    /// # Errors
    ///
    /// The connection ended, or the stream was reset, before there was a response.
    ///
    /// # Panics
    ///
    /// When no head is received within the deadline.
    pub async fn send(&mut self, request: Request<RequestBody>) -> hyper::Result<Response<Incoming>> {
        let request = self.addressed(request);
        soon(async {
            match &mut self.sender {
                Sender::Http1(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await
                }
                Sender::Http2(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await
                }
            }
        })
        .await
    }

    /// Sends a request, and reads the complete response.
    ///
    /// # Panics
    ///
    /// When there is none, it is truncated, or it exceeds the deadline.
    pub async fn exchange(&mut self, request: Request<RequestBody>) -> Answer {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let response = self.send(request).await;
        let response = response.unwrap_or_else(|error| panic!("{method} {uri} has no response: {error:?}"));
        whole(response)
            .await
            .unwrap_or_else(|error| panic!("the response to {method} {uri} is truncated: {error:?}"))
    }

    /// Closes the connection at once: the client disconnects. (Dropping the client lets a response that is being read
    /// continue.)
    pub fn disconnect(self) {
        self.connection.abort();
    }

    /// HTTP/1.1 needs a path and `Host`, HTTP/2 a complete URI.
    fn addressed(&self, mut request: Request<RequestBody>) -> Request<RequestBody> {
        let mut parts = request.uri().clone().into_parts();
        let authority = parts.authority.take().unwrap_or_else(|| self.authority.clone());
        // CONNECT has no path, and OPTIONS may have none.
        if request.method() == Method::CONNECT {
            return request;
        }
        if let Sender::Http1(_) = self.sender {
            if !request.headers().contains_key(HOST) {
                let host = HeaderValue::from_str(authority.as_str()).expect("a host is a header's value");
                request.headers_mut().insert(HOST, host);
            }
            parts.scheme = None;
        } else {
            parts.scheme = parts.scheme.or(Some(Scheme::HTTP));
            parts.authority = Some(authority);
            *request.version_mut() = Version::HTTP_2;
        }
        parts.path_and_query = parts.path_and_query.or(Some(PathAndQuery::from_static("/")));
        *request.uri_mut() = Uri::from_parts(parts).expect("a URI with all its parts");
        request
    }
}

/// `GET` over HTTP/1.1 on a new connection.
///
/// # Panics
///
/// When the connection is refused, or the response is not complete within the deadline.
pub async fn get(url: &str) -> Answer {
    exchange(Request::get(url).body(empty()).expect("a URL")).await
}

/// `POST` over HTTP/1.1 on a new connection.
///
/// # Panics
///
/// As [`get`].
pub async fn post(url: &str, body: impl Into<Bytes>) -> Answer {
    exchange(Request::post(url).body(full(body)).expect("a URL")).await
}

/// Any request with a complete URL, over HTTP/1.1 on a new connection.
///
/// # Panics
///
/// As [`get`].
pub async fn exchange(request: Request<RequestBody>) -> Answer {
    let url = request.uri().to_string();
    HttpClient::http1(&url).await.exchange(request).await
}

/// Reads the rest of a response.
///
/// # Errors
///
/// The body was truncated, or its stream reset.
///
/// # Panics
///
/// When it does not end within the deadline.
pub async fn whole(response: Response<Incoming>) -> hyper::Result<Answer> {
    let (head, body) = response.into_parts();
    Ok((head.status, head.headers, soon(body.collect()).await?.to_bytes()))
}

/// The next bytes of a body; `None` at its end. Trailers are skipped.
///
/// # Errors
///
/// The body was truncated, or its stream reset.
///
/// # Panics
///
/// When nothing is received within the deadline.
pub async fn next_piece(body: &mut Incoming) -> hyper::Result<Option<Bytes>> {
    loop {
        match soon(body.frame()).await.transpose()?.map(|frame| frame.into_data()) {
            Some(Ok(bytes)) if !bytes.is_empty() => return Ok(Some(bytes)),
            // Trailers, or the empty frame that ends an HTTP/2 stream.
            Some(_) => {}
            None => return Ok(None),
        }
    }
}

async fn connect(url: &str) -> (TcpStream, Authority) {
    reach(url).await.unwrap_or_else(|error| panic!("cannot connect to {url}: {error}"))
}

async fn reach(url: &str) -> std::io::Result<(TcpStream, Authority)> {
    let uri: Uri = url.parse().unwrap_or_else(|error| panic!("{url:?} is not a valid URL: {error}"));
    let authority = uri.authority().unwrap_or_else(|| panic!("{url:?} has no host")).clone();
    let host = authority.host().trim_matches(['[', ']']);
    let stream = soon(TcpStream::connect((host, authority.port_u16().unwrap_or(80)))).await?;
    // Sends small requests at once; a failure only delays them.
    let _ = stream.set_nodelay(true);
    Ok((stream, authority))
}

#[cfg(test)]
mod tests;
