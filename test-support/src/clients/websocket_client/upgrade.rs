//! The opening handshake (RFC 6455 §4.1, RFC 8441).

use http::{HeaderMap, Method, Request, StatusCode};
use hyper::ext::Protocol;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::WebSocketClient;
use crate::eventually;
use crate::http_client::{Answer, HttpClient, RequestBody, empty, whole};
use crate::raw_client::{RawClient, RawHead, RawResponse};

/// The key of RFC 6455 §1.3, and its accept value. Tests need no random key.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A request for a WebSocket, valid by default.
#[derive(Debug, Clone)]
pub struct Upgrade {
    authority: String,
    target: String,
    headers: Vec<(String, String)>,
}

impl Upgrade {
    pub(super) fn to(url: &str) -> Self {
        let address =
            url.strip_prefix("http://").unwrap_or_else(|| panic!("{url:?} does not begin with http://"));
        let (authority, target) = address.split_once('/').unwrap_or((address, ""));
        let headers = [
            ("Host", authority),
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", KEY),
        ];
        Self {
            authority: authority.to_owned(),
            target: format!("/{target}"),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        }
    }

    /// Adds a header, even if one of that name exists.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Removes a default header: `Host`, `Connection`, `Upgrade`, `Sec-WebSocket-Version`,
    /// `Sec-WebSocket-Key`.
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self
    }

    /// Replaces all headers of that name.
    pub fn set(self, name: &str, value: &str) -> Self {
        self.without(name).header(name, value)
    }

    /// Sets `Host`, independent of the connection's address.
    pub fn host(self, host: &str) -> Self {
        self.set("Host", host)
    }

    /// Sets `Origin`: `https://app.example`.
    pub fn origin(self, origin: &str) -> Self {
        self.header("Origin", origin)
    }

    /// Offers these subprotocols: `chat, superchat`.
    pub fn protocols(self, protocols: &str) -> Self {
        self.header("Sec-WebSocket-Protocol", protocols)
    }

    /// Sends it over a new TCP connection.
    ///
    /// # Errors
    ///
    /// The response, if it is not 101.
    ///
    /// # Panics
    ///
    /// When the connection is refused, nothing is received, or a 101 violates RFC 6455.
    pub async fn send(self) -> Result<WebSocketClient, RawResponse> {
        let client = RawClient::connect(&self.authority).await;
        self.through(client).await
    }

    /// Sends it over an existing connection, for example with TLS.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Panics
    ///
    /// As [`send`](Self::send).
    pub async fn over<S>(self, stream: S) -> Result<WebSocketClient<S>, RawResponse>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.through(RawClient::over(stream)).await
    }

    async fn through<S>(self, mut client: RawClient<S>) -> Result<WebSocketClient<S>, RawResponse>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let fields: String =
            self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        client.send(format!("GET {} HTTP/1.1\r\n{fields}\r\n", self.target)).await;
        let head = client.head().await;
        if head.status != 101 {
            return Err(client.body(head).await);
        }
        self.check(&head);
        let (stream, bytes) = client.into_parts();
        Ok(WebSocketClient::with_bytes(stream, head.headers, bytes))
    }

    /// RFC 6455 §4.2.2.
    fn check(&self, head: &RawHead) {
        let says = |name, value: &str| head.header(name).is_some_and(|says| says.eq_ignore_ascii_case(value));
        assert!(says("upgrade", "websocket") && says("connection", "upgrade"), "{head:?}");
        let key = self.headers.iter().find(|(name, _)| name == "Sec-WebSocket-Key");
        if key.is_some_and(|(_, key)| key == KEY) {
            assert_eq!(head.all("sec-websocket-accept"), [ACCEPT]);
        }
    }

    /// Sends it as an extended CONNECT over a shared connection. Headers that HTTP/2 does not have are omitted, and `Host`
    /// becomes `:authority`.
    ///
    /// # Errors
    ///
    /// The response, if it is not 200.
    ///
    /// # Panics
    ///
    /// When no response is received within the deadline, or the server does not offer extended CONNECT.
    pub async fn over_http2(
        self,
        client: &mut HttpClient,
    ) -> Result<WebSocketClient<TokioIo<Upgraded>>, Answer> {
        let mut response = None;
        // Extended CONNECT is not allowed, and fails here, before the server's SETTINGS arrive.
        eventually("the server offers extended CONNECT, and answers", async || {
            response = client.send(self.connect()).await.ok();
            response.is_some()
        })
        .await;
        let response = response.expect("a response was received");
        if response.status() != StatusCode::OK {
            return Err(whole(response).await.expect("a refusal is complete"));
        }
        let headers = listed(response.headers());
        let upgraded = hyper::upgrade::on(response).await.expect("a 200 to CONNECT is a tunnel");
        Ok(WebSocketClient::over(TokioIo::new(upgraded), headers))
    }

    fn connect(&self) -> Request<RequestBody> {
        let host =
            self.headers.iter().find(|(name, _)| name == "Host").map_or(&self.authority, |(_, host)| host);
        let mut request = Request::builder()
            .method(Method::CONNECT)
            .uri(format!("http://{host}{}", self.target))
            .extension(Protocol::from_static("websocket"));
        for (name, value) in &self.headers {
            if !["host", "connection", "upgrade", "sec-websocket-key"].contains(&&*name.to_ascii_lowercase())
            {
                request = request.header(name, value);
            }
        }
        request.body(empty()).expect("a request")
    }
}

fn listed(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}
