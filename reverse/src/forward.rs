//! One request to a backend, and its response: what a [`Responder`](h8s_nats::Responder) calls.
//!
//! Nothing is sent twice once its first byte may have been written. No redirect is followed.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use h8s_nats::{Body, BoxError, ExchangeContext, WebSocketUpgrade};
use http::header::{self, HeaderMap};
use http::{HeaderValue, Method, Request, Response, StatusCode, request};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::ext::on_informational;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;
use tower_service::Service;

use crate::backend::Way;
use crate::body::{Http1Body, Idle, Return, ReverseBody};
use crate::head::Version;
use crate::http1::Http1;
use crate::http2::Http2;
use crate::mapping::Mapping;
use crate::rescue::{Failure, RequestLabel, rescue};
use crate::upload::{Progress, Upload};
use crate::websocket;

/// For whoever does not say how long they wait, at a prompt for example.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// How much later than the gateway we give up: it knows how to tell the client, and then tells us.
const AFTER_THE_GATEWAY: Duration = Duration::from_secs(1);

/// Passes requests on to one backend. Clones are the same.
#[derive(Clone)]
pub struct ReverseService(Arc<Shared>);

struct Shared {
    mapping: Arc<Mapping>,
    /// WebSockets that are open.
    tasks: TaskTracker,
}

impl ReverseService {
    pub(crate) fn new(mapping: Mapping) -> Self {
        Self(Arc::new(Shared { mapping: Arc::new(mapping), tasks: TaskTracker::new() }))
    }

    /// Waits until no WebSocket is open. Meant for a service that gets no more requests.
    pub async fn idle(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// Looks, in the background, whether the backend is there, so that the log says so before the first client does.
    pub fn probe(&self) {
        let mapping = Arc::clone(&self.0.mapping);
        tokio::spawn(async move { mapping.backend().probe().await });
    }

    async fn answer(self, mut request: Request<Body>) -> Result<Response<ReverseBody>, BoxError> {
        let Shared { mapping, tasks } = &*self.0;
        let given = request.extensions().get::<ExchangeContext>().and_then(|context| context.deadline);
        let deadline = given.unwrap_or_else(|| Instant::now() + DEFAULT_TIMEOUT) + AFTER_THE_GATEWAY;
        // The gateway waits while the upload moves, and then drops this call.
        let is_up_to_gateway = given.is_none() && still_comes(request.body());
        if let Some(upgrade) = request.extensions_mut().remove::<WebSocketUpgrade>() {
            // Messages are no body.
            let request = request.map(drop);
            return websocket::open(mapping, upgrade, request, deadline, tasks).await;
        }
        let permit = mapping.backend().permit().await?;
        let (head, body) = request.into_parts();
        let label = RequestLabel::of(&head);
        let (started, is_grpc) = (Instant::now(), label.is_grpc);
        let forwarded = async { forward(mapping, Exchange::new(head, body, is_grpc)?, permit).await };
        let forwarded = match is_up_to_gateway {
            true => Ok(forwarded.await),
            false => timeout_at(deadline, forwarded).await,
        };
        let forwarded = forwarded.unwrap_or_else(|_| Err(Failure::Timeout(started.elapsed())));
        match forwarded {
            Ok(response) => Ok(response.map(|body| body.of(label, Arc::clone(mapping)))),
            Err(failure) => rescue(failure, &label, mapping.backend().url()),
        }
    }
}

async fn forward(
    mapping: &Mapping,
    mut exchange: Exchange,
    permit: OwnedSemaphorePermit,
) -> Result<Response<ReverseBody>, Failure> {
    loop {
        let (way, is_used) = mapping.backend().way(exchange.is_grpc).await?;
        match exchange.send(mapping, way).await? {
            Ok(answered) => return answered.into_response(mapping, permit).await,
            // The backend has closed a connection that had nothing to do; nothing of the request was written.
            Err((unsent, _)) if is_used => exchange = *unsent,
            Err((_, error)) => return Err(error.into()),
        }
    }
}

/// Whether it is a stream, of which nobody knows the length, in place of bytes that are there.
fn still_comes(body: &Body) -> bool {
    body.size_hint().exact().is_none()
}

/// A request on its way.
struct Exchange {
    head: request::Parts,
    upload: Upload,
    /// The version of HTTP that its head is made for, once that is known.
    version: Option<Version>,
    is_grpc: bool,
    /// The client waits to be told that its body is wanted.
    expects_continue: bool,
    progress: Arc<Progress>,
}

/// A response; or the request as it was, of which nothing has been written, and why not.
type Sent = Result<Answered, (Box<Exchange>, hyper::Error)>;

/// A response, and what it comes on.
struct Answered {
    response: Response<Incoming>,
    on: On,
}

enum On {
    Http1(Http1, Arc<Progress>),
    Http2(Http2),
}

impl Exchange {
    fn new(mut head: request::Parts, body: Body, is_grpc: bool) -> Result<Self, Failure> {
        let declared_bytes = declared_bytes(&head.headers)?;
        if body.is_end_stream() && declared_bytes.is_some_and(|declared| declared > 0) {
            return Err(BODY_LENGTH);
        }
        let expects_continue = head.headers.remove(header::EXPECT).is_some() && !body.is_end_stream();
        let upload = Upload::new(body, declared_bytes);
        let progress = upload.progress();
        Ok(Self { head, upload, version: None, is_grpc, expects_continue, progress })
    }

    /// Makes the head one for the backend, in this version. It can be made once only.
    fn write(&mut self, mapping: &Mapping, version: Version) -> Result<(), Failure> {
        match self.version.replace(version) {
            Some(written) if written == version => return Ok(()),
            Some(_) => return Err(Failure::Response("it has changed its protocol in the meantime")),
            None => {}
        }
        mapping.rewrite.rewrite(&mut self.head, version)?;
        if version == Version::Http1 {
            frame(&mut self.head, &self.upload);
            if self.expects_continue {
                self.expect_continue();
            }
        }
        Ok(())
    }

    fn expect_continue(&mut self) {
        self.head.headers.insert(header::EXPECT, HeaderValue::from_static("100-continue"));
        self.upload.wait_to_continue();
    }

    async fn send(mut self, mapping: &Mapping, way: Way) -> Result<Sent, Failure> {
        let version = match &way {
            Way::Http1(_) => Version::Http1,
            Way::Http2(_) => Version::Http2,
        };
        self.write(mapping, version)?;
        let Self { head, upload, is_grpc, expects_continue, progress, .. } = self;
        let mut request = Request::from_parts(head, upload);
        if expects_continue && version == Version::Http1 {
            let progress = Arc::clone(&progress);
            on_informational(&mut request, move |response| {
                if response.status() == StatusCode::CONTINUE {
                    progress.proceed();
                }
            });
        }
        let (sent, on) = match way {
            Way::Http1(mut connection) => {
                (connection.send(request).await, On::Http1(connection, Arc::clone(&progress)))
            }
            Way::Http2(mut connection) => {
                (connection.sender.try_send_request(request).await, On::Http2(connection))
            }
        };
        match sent {
            Ok(response) => Ok(Ok(Answered { response, on })),
            Err(mut error) => match error.take_message() {
                Some(request) => {
                    let (head, upload) = request.into_parts();
                    let version = Some(version);
                    let unsent = Self { head, upload, version, is_grpc, expects_continue, progress };
                    Ok(Err((Box::new(unsent), error.into_error())))
                }
                None => Err(error.into_error().into()),
            },
        }
    }
}

impl Answered {
    /// The backend's response as the gateway gets it.
    async fn into_response(
        self,
        mapping: &Mapping,
        permit: OwnedSemaphorePermit,
    ) -> Result<Response<ReverseBody>, Failure> {
        let (mut head, incoming) = self.response.into_parts();
        if !(200..600).contains(&head.status.as_u16()) {
            return Err(Failure::Response("it switched protocols, which nobody had asked for"));
        }
        let backend = mapping.backend();
        let body = match self.on {
            On::Http1(connection, upload) => {
                let keep = backend.pool.keep(&head.headers);
                let idle = Idle::new(backend.config().idle_timeout);
                let pool = Arc::clone(&backend.pool);
                let back = Return { pool, keep, _permit: permit };
                Http1Body::begin(incoming, connection, back, upload, idle).await
            }
            On::Http2(connection) => ReverseBody::http2(incoming, connection, permit),
        };
        h8s_wire::reserved::strip_hop_by_hop(&mut head.headers);
        Ok(Response::from_parts(head, body))
    }
}

/// Says how a request's body ends, where hyper would leave that to the method. Servers want a length of those methods
/// that usually have a body (RFC 9110 §8.6).
fn frame(head: &mut request::Parts, upload: &Upload) {
    if head.headers.contains_key(header::CONTENT_LENGTH) {
        return;
    }
    if upload.is_end_stream() {
        if matches!(head.method, Method::POST | Method::PUT | Method::PATCH) {
            head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
    } else if upload.size_hint().exact().is_none() {
        head.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

const CONTENT_LENGTH: Failure = Failure::Request("The request's content-length is not one number.\n");
const BODY_LENGTH: Failure =
    Failure::Request("The request's body is not as long as its content-length says.\n");

/// RFC 9110 §8.6: digits, once. Whatever else it might mean, a backend could take it for something else (T5).
fn declared_bytes(headers: &HeaderMap) -> Result<Option<u64>, Failure> {
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let is_number = !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_digit);
    let number = value.to_str().ok().filter(|_| is_number && values.next().is_none());
    number.and_then(|number| number.parse().ok()).map(Some).ok_or(CONTENT_LENGTH)
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<ReverseBody>, BoxError>> + Send>>;

impl Service<Request<Body>> for ReverseService {
    type Response = Response<ReverseBody>;
    /// [`Refused`](h8s_nats::Refused) or [`LoggedError`](h8s_nats::LoggedError).
    type Error = BoxError;
    type Future = Answering;

    /// Always ready: what is too much is refused by the call, so that the gateway can ask elsewhere.
    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Answering {
        Box::pin(self.clone().answer(request))
    }
}

impl std::fmt::Debug for ReverseService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReverseService")
            .field("backend", &self.0.mapping.backend().url())
            .finish_non_exhaustive()
    }
}
