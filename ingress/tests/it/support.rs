//! A running ingress on a free port, with a closure as its upstream, and its clients.

use std::collections::HashSet;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h8s_ingress::{
    App, ApplyError, Availability, BoxError, Config, Drained, RequestBody, Shutdown, Upstream,
    WebSocketResponse,
};
use h8s_nats::ExchangeError;
use h8s_test_support::eventually;
use h8s_wire::Host;
use http::{Method, Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

/// No event in these tests takes longer. To show that an event does not happen, tests wait for another one.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) type TestBody = UnsyncBoxBody<Bytes, BoxError>;
pub(crate) type Reply = Result<Response<TestBody>, ExchangeError>;
type Handler =
    dyn Fn(Host, Request<RequestBody>) -> Pin<Box<dyn Future<Output = Reply> + Send>> + Send + Sync;

/// The in-memory upstream.
#[derive(Clone)]
pub(crate) struct Closure {
    handler: Arc<Handler>,
    served: Arc<HashSet<String>>,
    availability: watch::Receiver<Availability>,
    never_opens: bool,
}

impl Closure {
    pub(crate) fn new<F>(handler: impl Fn(Host, Request<RequestBody>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        Self {
            handler: Arc::new(move |host, request| Box::pin(handler(host, request))),
            served: Arc::default(),
            availability: watch::channel(Availability::Ready).1,
            never_opens: false,
        }
    }

    /// Announces interest in `METHOD host/path`.
    pub(crate) fn serving(self, what: &[&str]) -> Self {
        Self { served: Arc::new(what.iter().map(|what| what.to_string()).collect()), ..self }
    }

    /// Never decides on a WebSocket.
    pub(crate) fn never_opening(self) -> Self {
        Self { never_opens: true, ..self }
    }

    pub(crate) fn available(self, availability: watch::Receiver<Availability>) -> Self {
        Self { availability, ..self }
    }
}

impl Upstream for Closure {
    type Body = TestBody;

    async fn send(&self, host: &Host, request: Request<RequestBody>) -> Reply {
        (self.handler)(host.clone(), request).await
    }

    async fn publish(&self, host: &Host, request: Request<RequestBody>) -> Result<(), ExchangeError> {
        (self.handler)(host.clone(), request).await.map(drop)
    }

    async fn open_websocket(
        &self,
        _host: &Host,
        _request: Request<()>,
    ) -> Result<WebSocketResponse<TestBody>, ExchangeError> {
        if self.never_opens {
            std::future::pending::<()>().await;
        }
        Err(ExchangeError::NoResponders)
    }

    fn serves_websocket(&self, host: &Host, path: &str) -> bool {
        self.served.contains(&format!("WS {host}{path}"))
    }

    fn serves(&self, host: &Host, method: &Method, path: &str) -> bool {
        self.served.contains(&format!("{method} {host}{path}"))
    }

    fn availability(&self) -> Availability {
        *self.availability.borrow()
    }

    async fn drain(&self, _grace: Duration) -> bool {
        true
    }
}

/// Responds `hello` to everything.
pub(crate) fn hello() -> Closure {
    Closure::new(|_, _| async { Ok(whole("hello")) })
}

/// Fails every time.
pub(crate) fn failing(error: ExchangeError) -> Closure {
    Closure::new(move |_, _| std::future::ready(Err(error.clone())))
}

pub(crate) fn whole(text: &str) -> Response<TestBody> {
    let body = Full::new(Bytes::from(text.to_owned()));
    Response::new(body.map_err(|never| match never {}).boxed_unsync())
}

/// A response with a body of exactly these frames, independent of its head.
pub(crate) fn frames(frames: Vec<Result<Frame<Bytes>, BoxError>>) -> TestBody {
    StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()
}

pub(crate) fn data(text: &str) -> Result<Frame<Bytes>, BoxError> {
    Ok(Frame::data(Bytes::from(text.to_owned())))
}

/// A body whose frames the test sends.
pub(crate) fn channel() -> (mpsc::Sender<Result<Frame<Bytes>, BoxError>>, TestBody) {
    let (sender, mut receiver) = mpsc::channel(16);
    let stream = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
    (sender, StreamBody::new(stream).boxed_unsync())
}

/// Signals when it is dropped.
pub(crate) struct DropNotice(#[allow(dead_code, reason = "held for its drop")] watch::Sender<()>);

pub(crate) fn drop_notice() -> (DropNotice, watch::Receiver<()>) {
    let (sender, receiver) = watch::channel(());
    (DropNotice(sender), receiver)
}

pub(crate) async fn dropped(mut notice: watch::Receiver<()>) {
    in_time(async move { while notice.changed().await.is_ok() {} }).await;
}

/// A running ingress. Dropping it ends it immediately.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) shutdown: Shutdown,
    task: tokio::task::JoinHandle<Drained>,
    apply: Box<dyn Fn(Config) -> Result<(), ApplyError> + Send + Sync>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.cut();
    }
}

pub(crate) async fn start(upstream: Closure) -> Running {
    start_with(Config::default(), upstream).await
}

pub(crate) async fn start_with(config: Config, upstream: Closure) -> Running {
    let config = Config { admin_listen: Some("127.0.0.1:0".parse().unwrap()), ..config };
    run(config.build_on(upstream).await.unwrap())
}

/// The app must have an admin listener.
pub(crate) fn run<U: Upstream>(app: App<U>) -> Running {
    let (shutdown, live) = (Shutdown::new(), app.reload_handle());
    Running {
        apply: Box::new(move |config| live.apply(config)),
        address: app.addresses()[0],
        admin: app.admin_address().unwrap(),
        task: tokio::spawn(app.run(shutdown.clone())),
        shutdown,
    }
}

impl Running {
    /// Applies a new configuration.
    pub(crate) fn apply(&self, config: Config) -> Result<(), ApplyError> {
        (self.apply)(config)
    }

    pub(crate) async fn ended(mut self) -> Drained {
        in_time(&mut self.task).await.unwrap()
    }

    pub(crate) async fn connect(&self) -> Raw {
        Raw::connect(self.address).await
    }

    /// Sends bytes on a new connection, and reads until the gateway closes it.
    pub(crate) async fn raw(&self, bytes: &str) -> String {
        let mut client = self.connect().await;
        client.send(bytes).await;
        client.rest().await
    }

    /// Sends a request with `Connection: close`. `head` is the request line and fields, each ended by `\n`.
    pub(crate) async fn ask(&self, head: &str) -> Answer {
        Answer::parse(&self.raw(&format!("{}Connection: close\r\n\r\n", head.replace('\n', "\r\n"))).await)
    }

    pub(crate) async fn admin(&self, path: &str) -> Answer {
        let mut client = Raw::connect(self.admin).await;
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await;
        Answer::parse(&client.rest().await)
    }

    /// The sum of a metric's series whose line has all of `labels`.
    pub(crate) async fn metric(&self, name: &str, label: &str) -> f64 {
        let page = self.admin("/metrics").await.body;
        let lines = page.lines().filter(|line| line.starts_with(name) && line.contains(label));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

impl Running {
    pub(crate) async fn metric_becomes(&self, name: &str, label: &str, value: f64) {
        eventually(name, async || self.metric(name, label).await == value).await;
    }
}

/// A client that sees every byte.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    /// Read from the socket, but not yet returned.
    ahead: Vec<u8>,
}

impl Raw {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap())
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        Self { stream, ahead: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: &str) {
        self.stream.write_all(bytes.as_bytes()).await.unwrap();
    }

    /// Reads until these bytes, and returns all bytes up to their end.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        let found = |ahead: &[u8]| ahead.windows(end.len()).position(|window| window == end.as_bytes());
        in_time(async {
            loop {
                if let Some(at) = found(&self.ahead) {
                    let rest = self.ahead.split_off(at + end.len());
                    return String::from_utf8(std::mem::replace(&mut self.ahead, rest)).unwrap();
                }
                let read = self.stream.read_buf(&mut self.ahead).await;
                assert!(matches!(read, Ok(1..)), "{read:?} before {end:?}, after {:?}", text(&self.ahead));
            }
        })
        .await
    }

    /// Reads until the gateway closes.
    pub(crate) async fn rest(&mut self) -> String {
        self.try_rest().await.unwrap_or_else(|(seen, error)| panic!("{error} after {seen:?}"))
    }

    /// Reads to the end. An error includes the bytes read before it.
    pub(crate) async fn try_rest(&mut self) -> Result<String, (String, std::io::Error)> {
        let mut seen = std::mem::take(&mut self.ahead);
        let read = in_time(self.stream.read_to_end(&mut seen)).await;
        read.map(|_| text(&seen)).map_err(|error| (text(&seen), error))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A parsed response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {text:?}"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Self {
            status: status.unwrap_or_else(|| panic!("no status in {head:?}")),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let prefix = format!("{name}: ");
        self.head.lines().find_map(|line| line.strip_prefix(&prefix))
    }
}

pub(crate) async fn in_time<F: Future>(event: F) -> F::Output {
    tokio::time::timeout(DEADLINE, event).await.expect("the event did not happen in time")
}

/// An HTTP/2 client with prior knowledge.
pub(crate) async fn http2<B>(address: SocketAddr) -> hyper::client::conn::http2::SendRequest<B>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    let stream = TcpStream::connect(address).await.unwrap();
    http2_on(stream).await
}

pub(crate) async fn http2_on<S, B>(stream: S) -> hyper::client::conn::http2::SendRequest<B>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    let executor = hyper_util::rt::TokioExecutor::new();
    let stream = hyper_util::rt::TokioIo::new(stream);
    let (sender, connection) = hyper::client::conn::http2::handshake(executor, stream).await.unwrap();
    tokio::spawn(connection);
    sender
}

pub(crate) fn empty() -> http_body_util::Empty<Bytes> {
    http_body_util::Empty::new()
}

pub(crate) fn get(url: &str) -> Request<http_body_util::Empty<Bytes>> {
    Request::get(url).body(empty()).unwrap()
}
