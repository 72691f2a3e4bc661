//! HTTP requests that guests send, to hosts on the component's allow-list, over connections that its instances share.
//!
//! Redirects are not followed, proxies of the environment are not used, and nothing is sent twice. A request is under way
//! until its response has been read to its end, or dropped, and its body has been sent. A request whose instance is
//! dropped earlier is aborted, and never looks complete.

pub(crate) mod allow_list;
pub(crate) mod dial;
pub(crate) mod fault;
pub(crate) mod handler;
pub(crate) mod idle_timeout;
pub(crate) mod upload;

use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h8s_settings::tls::{self, RootsError};
use http::{Method, Request, Response, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use crate::outgoing::allow_list::{AllowedHost, Destination};
use crate::outgoing::dial::{CONNECT_TIMEOUT, Dialer};
use crate::outgoing::fault::{broken_response, failed};
use crate::outgoing::idle_timeout::IdleTimeout;
use crate::outgoing::upload::{Ended, Progress, UnderWay, Upload};

/// Concurrent requests of one instance. More are refused at once: a guest that waited for itself would wait forever.
const PER_INSTANCE: usize = 64;

/// Concurrent requests of all instances of a component. More wait, up to the connect timeout.
const PER_COMPONENT: usize = 256;

/// Connections of a component: one for each request, and as many that are idle or being opened.
const SOCKETS: usize = 2 * PER_COMPONENT;

/// Idle connections kept per host, and for how long: a second less than many servers do, so that requests rarely use one
/// that has just been closed.
const IDLE_PER_HOST: usize = 32;
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// A client is kept at least this long: a fraction of the connect timeout.
const KEPT_CLIENT: Duration = Duration::from_secs(1);

/// The maximum, and the default, of a guest's timeouts: for a response head, counted from the last piece of the request;
/// and between two pieces of a response.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(120);
const BETWEEN_BYTES_TIMEOUT: Duration = Duration::from_secs(120);

/// Limit of a response head, and of read-ahead of a body, over HTTP/1.1, in bytes.
const HTTP1_BUFFER_BYTES: usize = 64 << 10;

/// Limit of fields of a response head over HTTP/1.1.
const HTTP1_FIELDS: usize = 128;

/// Read-ahead of one body over HTTP/2, in bytes; and of all bodies on one connection: enough that a guest that does not
/// read never blocks another.
const HTTP2_STREAM_BYTES: u32 = 128 << 10;
const HTTP2_CONNECTION_BYTES: u32 = HTTP2_STREAM_BYTES * PER_COMPONENT as u32;

/// When a silent HTTP/2 connection is probed, and how long the server may take to reply.
const PING_INTERVAL: Duration = Duration::from_secs(60);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the guests of a component may send requests. Default: to no host.
#[derive(Clone, Debug, Default)]
pub struct OutgoingSource {
    /// The allowed hosts.
    pub allowed: Vec<AllowedHost>,
    /// A PEM file with the root certificates to trust. `None`: the system's roots.
    pub ca: Option<PathBuf>,
}

type HttpClient = Client<Dialer, Upload>;

/// The sending side of one instance.
#[derive(Clone)]
pub(crate) struct Sender {
    /// One permit per further concurrent request.
    free: Arc<Semaphore>,
    end: Ended,
}

impl Sender {
    pub(crate) fn new(end: Ended) -> Self {
        Self { free: Arc::new(Semaphore::new(PER_INSTANCE)), end }
    }
}

/// The outgoing requests of one component, and of its replacements.
pub(crate) struct Outgoing {
    allowed: Vec<AllowedHost>,
    dialer: Dialer,
    client: Mutex<Current>,
    under_way: Arc<Semaphore>,
    sockets: Arc<Semaphore>,
}

impl Outgoing {
    /// `None` if no host is allowed.
    pub(crate) fn new(source: &OutgoingSource) -> Result<Option<Arc<Self>>, RootsError> {
        let needs_roots = source.ca.is_some() || source.allowed.iter().any(AllowedHost::is_tls);
        if source.allowed.is_empty() {
            return Ok(None);
        }
        let tls = match needs_roots {
            true => {
                let roots = tls::roots(source.ca.as_deref(), "--outgoing-ca")?;
                Some(tls::client_config(roots, &[b"h2", b"http/1.1"]))
            }
            false => None,
        };
        let sockets = Arc::new(Semaphore::new(SOCKETS));
        let dialer = Dialer::new(tls, Arc::clone(&sockets));
        let client = Mutex::new(Current::new(&dialer));
        let under_way = Arc::new(Semaphore::new(PER_COMPONENT));
        let allowed = source.allowed.clone();
        Ok(Some(Arc::new(Self { allowed, dialer, client, under_way, sockets })))
    }

    /// Sends a request of `instance`, if it is allowed.
    pub(crate) async fn send(
        self: Arc<Self>,
        instance: Sender,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> Result<Response<WasiBody>, Error> {
        let timeouts = Timeouts::of(options);
        let request = self.admitted(request)?;
        let own = instance.free.try_acquire_owned().map_err(|_| Error::ConnectionLimitReached)?;
        let shared = timeout(timeouts.connect, Arc::clone(&self.under_way).acquire_owned()).await;
        let shared = shared.ok().and_then(Result::ok).ok_or(Error::ConnectionLimitReached)?;
        let progress = Progress::begin();
        let under_way = Arc::new([own, shared]);
        let upload = |body| Upload::new(body, progress.clone(), instance.end, Arc::clone(&under_way));
        let request = request.map(upload);
        let response = answered(&self.client(), request, &timeouts, &progress).await?;
        Ok(response.map(|body| Download::new(body, timeouts.between_bytes, under_way).boxed_unsync()))
    }

    /// Checks a request, and normalizes its URI, which alone names the destination.
    fn admitted(&self, request: Request<WasiBody>) -> Result<Request<WasiBody>, Error> {
        let destination = Destination::of(request.uri()).filter(|to| to.is_among(&self.allowed));
        let Some(destination) = destination else {
            tracing::debug!(to = ?request.uri().authority(), "outgoing request denied: host is not on the allow-list");
            return Err(Error::HttpRequestDenied);
        };
        // It would open a tunnel to any destination.
        if request.method() == Method::CONNECT {
            return Err(Error::HttpRequestMethodInvalid);
        }
        let (mut head, body) = request.into_parts();
        head.uri = destination.uri(head.uri.path_and_query()).ok_or(Error::HttpRequestUriInvalid)?;
        // The client sets it from the URI, which is what was checked.
        head.headers.remove(header::HOST);
        Ok(Request::from_parts(head, body))
    }

    /// The client. When all connections are in use, a new client is created, which closes the old one's idle connections.
    /// Not for every request: that would drop connections that were just opened.
    fn client(&self) -> HttpClient {
        let mut current = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if self.sockets.available_permits() == 0 && current.since.elapsed() >= KEPT_CLIENT {
            *current = Current::new(&self.dialer);
        }
        current.client.clone()
    }
}

/// A client, and when it was created.
struct Current {
    client: HttpClient,
    since: Instant,
}

impl Current {
    fn new(dialer: &Dialer) -> Self {
        Self { client: client(dialer.clone()), since: Instant::now() }
    }
}

fn client(dialer: Dialer) -> HttpClient {
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .http1_max_buf_size(HTTP1_BUFFER_BYTES)
        .http1_max_headers(HTTP1_FIELDS)
        .http2_initial_stream_window_size(HTTP2_STREAM_BYTES)
        .http2_initial_connection_window_size(HTTP2_CONNECTION_BYTES)
        .http2_max_header_list_size(HTTP1_BUFFER_BYTES as u32)
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .build(dialer)
}

async fn answered(
    client: &HttpClient,
    mut request: Request<Upload>,
    timeouts: &Timeouts,
    progress: &Progress,
) -> Result<Response<Incoming>, Error> {
    let mut captured = capture_connection(&mut request);
    let mut response = pin!(client.request(request));
    let connected = async { captured.wait_for_connection_metadata().await.is_some() };
    tokio::select! {
        biased;
        response = &mut response => return response.map_err(|error| failed(&error)),
        _ = connected => {}
        () = sleep(timeouts.connect) => return Err(Error::ConnectionTimeout),
    }
    progress.step();
    loop {
        let last = progress.last();
        tokio::select! {
            biased;
            response = &mut response => return response.map_err(|error| failed(&error)),
            () = sleep_until(last + timeouts.first_byte) => {}
        }
        if progress.last() == last {
            return Err(Error::HttpResponseTimeout);
        }
    }
}

/// The timeouts that a guest requested, within the maxima.
struct Timeouts {
    connect: Duration,
    first_byte: Duration,
    between_bytes: Duration,
}

impl Timeouts {
    fn of(options: Option<RequestOptions>) -> Self {
        let RequestOptions { connect_timeout, first_byte_timeout, between_bytes_timeout } =
            options.unwrap_or_default();
        let within = |requested: Option<Duration>, max: Duration| {
            requested.map_or(max, |requested| requested.min(max))
        };
        Self {
            connect: within(connect_timeout, CONNECT_TIMEOUT),
            first_byte: within(first_byte_timeout, FIRST_BYTE_TIMEOUT),
            between_bytes: within(between_bytes_timeout, BETWEEN_BYTES_TIMEOUT),
        }
    }
}

/// The body of a response, as the guest reads it.
struct Download {
    body: Incoming,
    between_bytes: Duration,
    idle: IdleTimeout,
    /// The request is under way until the body has ended.
    under_way: Option<UnderWay>,
}

impl Download {
    fn new(body: Incoming, between_bytes: Duration, under_way: UnderWay) -> Self {
        let under_way = Some(under_way).filter(|_| !body.is_end_stream());
        Self { body, between_bytes, idle: IdleTimeout::default(), under_way }
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(frame) => {
                self.idle.reset();
                let frame = frame.map(|frame| frame.map_err(|error| broken_response(&error)));
                let goes_on = matches!(&frame, Some(Ok(_))) && !self.body.is_end_stream();
                self.under_way = self.under_way.take().filter(|_| goes_on);
                Poll::Ready(frame)
            }
            Poll::Pending => {
                let between_bytes = self.between_bytes;
                let is_over = self.idle.poll_elapsed(between_bytes, cx);
                is_over.map(|()| Some(Err(Error::ConnectionReadTimeout)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
