//! One plain request at a responder, e.g. from `nats request` at a prompt (`PROTOCOL.md §4`).

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{HeaderMap, Message, Subject};
use bytes::Bytes;
use futures_util::FutureExt;
use h8s_wire::plain::{self, PlainError};
use h8s_wire::{MethodPattern, PathTokens, PatternMap, RequestHead, ResponseHead, Subjects};
use http::{HeaderValue, Response, StatusCode, header};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::body::Body;
use crate::connection::client::PublishError;
use crate::connection::round_trip;
use crate::context::{LoggedError, Refused};
use crate::error::BoxError;
use crate::exchange::body_writer::Outgoing;
use crate::plain::headers;
use crate::plain::inbox::{PlainExchange, PlainInbox};
use crate::responder::HttpService;
use crate::responder::serve::{call, request};
use futures_util::future::BoxFuture;
use http::Request;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;

/// A response that is complete by then is one message; a longer one goes in pieces of this size.
const PIECE_BYTES: usize = 128 * 1024;
/// How long a body may take to be complete before its head leaves without the rest.
const WHOLE_WAIT: Duration = Duration::from_millis(20);

/// A service of any type, for one plain request.
pub(crate) trait PlainService: Send {
    fn boxed_clone(&self) -> Box<dyn PlainService>;

    fn call(self: Box<Self>, request: Request<Body>) -> BoxFuture<'static, Result<PlainResponse, BoxError>>;
}

type PlainResponse = Response<UnsyncBoxBody<Bytes, BoxError>>;

impl<S: HttpService> PlainService for S {
    fn boxed_clone(&self) -> Box<dyn PlainService> {
        Box::new(self.clone())
    }

    fn call(self: Box<Self>, request: Request<Body>) -> BoxFuture<'static, Result<PlainResponse, BoxError>> {
        Box::pin(async move {
            let response = call(*self, request).await?;
            Ok(response.map(|body| body.map_err(Into::into).boxed_unsync()))
        })
    }
}

/// What all plain exchanges of a responder share.
pub(crate) struct PlainServing {
    pub(crate) port: Arc<PlainInbox>,
    pub(crate) subjects: Subjects,
    pub(crate) routes: PatternMap<Mutex<Box<dyn PlainService>>>,
    /// The grace period is over.
    pub(crate) force_close: CancellationToken,
}

/// Says no before any work was done.
pub(crate) async fn refuse(serving: &PlainServing, message: Message) {
    reply_status(serving, message.reply.as_ref(), StatusCode::SERVICE_UNAVAILABLE, "busy\n").await;
}

/// Serves one request to its end; drops it when whoever asked has gone.
pub(crate) async fn serve(serving: &PlainServing, message: Message) {
    let reply = message.reply.clone();
    let exchange = serving.port.open_for(reply.as_deref());
    let begun = AtomicBool::new(false);
    let refusal = tokio::select! {
        biased;
        result = answer(serving, message, &exchange, &begun) => result.err(),
        // A notice, "no responders", or NATS was away: nobody is left to answer, or a piece may be missing.
        _ = exchange.next() => None,
        () = serving.force_close.cancelled() => Some((StatusCode::SERVICE_UNAVAILABLE, "shutting down\n")),
    };
    // Once the head is out, another status would become part of the body: the requester's timeout tells it.
    if let Some((status, text)) = refusal.filter(|_| !begun.load(Ordering::Relaxed)) {
        reply_status(serving, reply.as_ref(), status, text).await;
    }
}

type Answered = Result<(), (StatusCode, &'static str)>;

async fn answer(
    serving: &PlainServing,
    message: Message,
    exchange: &PlainExchange,
    begun: &AtomicBool,
) -> Answered {
    let head = decode(serving, &message).map_err(|error| {
        debug!(subject = %message.subject, %error, "a plain request that is no HTTP request");
        (StatusCode::BAD_REQUEST, "not an HTTP request\n")
    })?;
    let Some(service) = route(serving, &message, &head) else {
        return Err((StatusCode::NOT_FOUND, "nothing is served here\n"));
    };
    let request = request(head, Body::whole(message.payload))
        .map_err(|_| (StatusCode::BAD_REQUEST, "not an HTTP request\n"))?;
    let reply = message.reply;
    let answered = AssertUnwindSafe(async move {
        let response = service.call(request).await?;
        match reply {
            Some(reply) => Ok(respond(exchange, begun, reply, response).await),
            None => Ok(Ok(())),
        }
    });
    match answered.catch_unwind().await.unwrap_or_else(|_| Err(BoxError::from("the service panicked"))) {
        Ok(answered) => answered,
        Err(error) => Err(match error.downcast_ref::<Refused>() {
            Some(refused) => refusal(*refused),
            None => {
                if !error.is::<LoggedError>() {
                    warn!(%error, "a service failed");
                }
                (StatusCode::BAD_GATEWAY, "the service failed\n")
            }
        }),
    }
}

/// In this dialect nobody tries elsewhere.
fn refusal(refused: Refused) -> (StatusCode, &'static str) {
    match refused {
        Refused::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy\n"),
        Refused::Draining => (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n"),
        Refused::Unreachable => (StatusCode::BAD_GATEWAY, "what answers this address cannot be reached\n"),
    }
}

fn decode(serving: &PlainServing, message: &Message) -> Result<RequestHead, PlainError> {
    let subject = serving.subjects.parse_http(&message.subject).ok_or(PlainError::Original("the subject"))?;
    plain::decode_request(&subject, headers::iter(message.headers.as_ref()))
}

/// The most specific interest, by what the head says; the subject only brought the message here.
fn route(serving: &PlainServing, message: &Message, head: &RequestHead) -> Option<Box<dyn PlainService>> {
    let method = MethodPattern::named(&head.method).ok()?;
    let host = serving.subjects.parse_http(&message.subject)?.host;
    let path = PathTokens::of(head.target.path());
    let (_, service) = serving.routes.matching(&host, &method, &path).next()?;
    Some(service.lock().unwrap_or_else(PoisonError::into_inner).boxed_clone())
}

async fn respond<B>(
    exchange: &PlainExchange,
    begun: &AtomicBool,
    reply: Subject,
    response: Response<B>,
) -> Answered
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    let disturbances = exchange.port.connection.disturbances();
    let (parts, body) = response.into_parts();
    let head = ResponseHead { status: parts.status, headers: parts.headers, ..ResponseHead::default() };
    let mut body = Outgoing::new(body);
    let _ = tokio::time::timeout(WHOLE_WAIT, body.fill(PIECE_BYTES)).await;
    if let Some(error) = body.take_error() {
        warn!(%error, "a response body failed");
        return Err((StatusCode::BAD_GATEWAY, "the response failed\n"));
    }
    let more = !body.is_complete() || body.ready_bytes() > PIECE_BYTES;
    let headers = headers::collect(|emit| plain::encode_response(&head, more, emit)).map_err(|error| {
        warn!(%error, "a response cannot be said in the plain dialect");
        (StatusCode::BAD_GATEWAY, "the response cannot be said in the plain dialect\n")
    })?;
    let first = body.take_ready(PIECE_BYTES);
    publish(exchange, &reply, headers, first).await.map_err(|error| {
        warn!(%error, "a response could not be published");
        (StatusCode::BAD_GATEWAY, "the response could not be published\n")
    })?;
    begun.store(true, Ordering::Relaxed);
    if more {
        send_pieces(exchange, &reply, &mut body, disturbances).await;
    }
    Ok(())
}

/// Sends pieces until the body ends, and the empty message that says so. Each asks for the server's word in case
/// nobody listens any more. A body that fails just stops: the requester's timeout makes it visible.
async fn send_pieces<B>(exchange: &PlainExchange, reply: &Subject, body: &mut Outgoing<B>, disturbances: u64)
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    loop {
        if body.ready_bytes() == 0 {
            body.fill(1).await;
            body.fill_ready(PIECE_BYTES).await;
        }
        if let Some(error) = body.take_error() {
            return warn!(%error, "a response body failed");
        }
        let piece = body.take_ready(PIECE_BYTES);
        if piece.is_empty() {
            return end(exchange, reply, disturbances).await;
        }
        let Ok(headers) = headers::collect(|emit| {
            emit(plain::MORE, plain::LATER_PIECE);
            Ok(())
        }) else {
            return;
        };
        if publish(exchange, reply, headers, piece).await.is_err() {
            return;
        }
    }
}

/// Pieces have no numbers. Only a connection that has not been disturbed since the head, and through which everything
/// has gone, makes the response complete.
async fn end(exchange: &PlainExchange, reply: &Subject, disturbances: u64) {
    let arrived = round_trip::plain(&exchange.port).await.is_ok();
    if arrived && exchange.port.connection.disturbances() == disturbances {
        let _ = publish(exchange, reply, HeaderMap::new(), Bytes::new()).await;
    } else {
        warn!("a response is not ended: NATS was away, and pieces of it may be lost");
    }
}

async fn publish(
    exchange: &PlainExchange,
    to: &Subject,
    headers: HeaderMap,
    payload: Bytes,
) -> Result<(), PublishError> {
    let own = Some(exchange.own.clone());
    exchange.port.connection.publish_plain(to.clone(), own, headers, payload).await
}

async fn reply_status(
    serving: &PlainServing,
    reply: Option<&Subject>,
    status: StatusCode,
    text: &'static str,
) {
    let Some(reply) = reply else { return };
    let mut head = ResponseHead { status, ..ResponseHead::default() };
    head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        head.headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    let Ok(headers) = headers::collect(|emit| plain::encode_response(&head, false, emit)) else {
        return;
    };
    let payload = Bytes::from_static(text.as_bytes());
    if let Err(error) = serving.port.connection.publish_plain(reply.clone(), None, headers, payload).await {
        debug!(%error, "a reply could not be published");
    }
}
