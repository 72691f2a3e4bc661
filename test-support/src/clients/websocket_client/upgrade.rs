//! Asking for a WebSocket (RFC 6455 §4.1, RFC 8441).

use http::{HeaderMap, Method, Request, StatusCode};
use hyper::ext::Protocol;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::WebSocketClient;
use crate::eventually;
use crate::http_client::{Answer, HttpClient, RequestBody, empty, whole};
use crate::raw_client::{RawClient, RawHead, RawResponse};

/// The example of RFC 6455 §1.3, and its answer: nothing depends on a key that nobody guesses.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A request for a WebSocket: a good one, until it is changed.
#[derive(Debug, Clone)]
pub struct Upgrade {
    authority: String,
    target: String,
    headers: Vec<(String, String)>,
}

impl Upgrade {
    pub(super) fn to(url: &str) -> Self {
        let address = url.strip_prefix("http://").unwrap_or_else(|| panic!("{url:?} begins with no http://"));
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

    /// One more header, even if there is one of that name.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Without a header that it has by itself: `Host`, `Connection`, `Upgrade`, `Sec-WebSocket-Version`,
    /// `Sec-WebSocket-Key`.
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self
    }

    /// This header, and no other of that name.
    pub fn set(self, name: &str, value: &str) -> Self {
        self.without(name).header(name, value)
    }

    /// For this host, wherever the connection goes.
    pub fn host(self, host: &str) -> Self {
        self.set("Host", host)
    }

    /// As from a page of this origin: `https://app.example`.
    pub fn origin(self, origin: &str) -> Self {
        self.header("Origin", origin)
    }

    /// Offers these subprotocols: `chat, superchat`.
    pub fn protocols(self, protocols: &str) -> Self {
        self.header("Sec-WebSocket-Protocol", protocols)
    }

    /// Sends it over a TCP connection of its own.
    ///
    /// # Errors
    ///
    /// What came instead of 101.
    ///
    /// # Panics
    ///
    /// When nobody listens there, nothing comes, or a 101 breaks RFC 6455.
    pub async fn send(self) -> Result<WebSocketClient, RawResponse> {
        let client = RawClient::connect(&self.authority).await;
        self.through(client).await
    }

    /// Sends it over a connection that is there, with TLS, say.
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

    /// Sends it as an extended CONNECT over a connection that may carry others. Headers that HTTP/2 does not have are
    /// left out, and `Host` is `:authority`.
    ///
    /// # Errors
    ///
    /// The response, if it is not 200.
    ///
    /// # Panics
    ///
    /// When there is no response in time, or the server does not offer extended CONNECT.
    pub async fn over_http2(
        self,
        client: &mut HttpClient,
    ) -> Result<WebSocketClient<TokioIo<Upgraded>>, Answer> {
        let mut response = None;
        // Until the server's SETTINGS are there, extended CONNECT is not allowed, and fails here.
        eventually("the server offers extended CONNECT, and answers", async || {
            response = client.send(self.connect()).await.ok();
            response.is_some()
        })
        .await;
        let response = response.expect("waited for");
        if response.status() != StatusCode::OK {
            return Err(whole(response).await.expect("a refusal is whole"));
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
