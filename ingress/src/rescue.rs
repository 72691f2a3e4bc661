//! The one place where an error becomes a status.
//!
//! [`verdict`] is the table. What it says to the client names no subject, address or cause: those go to the log, once,
//! at a level by whose fault it was.

use bytes::Bytes;
use h8s_nats::{ExchangeError, Refused};
use h8s_wire::websocket_handshake::VERSION;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};

use crate::admission::Rejection;
use crate::exchange::Passage;
use crate::forwarded::REQUEST_ID;
use crate::grpc;
use crate::metrics::Limit;
use crate::request_body::RequestBodyError;
use crate::response_body::{ResponseBody, UpstreamBody};

/// Everything that keeps an exchange from having an upstream's response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Rejected(#[from] Rejection),
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    #[error("the upstream's response cannot be sent: {0}")]
    Response(#[from] ResponseFault),
}

/// What is wrong with a response head that came in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ResponseFault {
    #[error("status {0} cannot be a final one")]
    Status(u16),
    #[error("Content-Length is not one number")]
    ContentLength,
    #[error("Content-Length contradicts the body")]
    Contradiction,
    #[error("Sec-WebSocket-Protocol is not one of those offered")]
    Subprotocol,
}

/// Who has to do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Client,
    Upstream,
}

/// What a failure means to the client, and to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) status: StatusCode,
    /// One word for metrics and logs.
    pub(crate) reason: &'static str,
    /// One sentence for people.
    pub(crate) says: &'static str,
    /// When trying again may help, after how many seconds.
    pub(crate) retry_after_seconds: Option<u16>,
    pub(crate) fault: Fault,
}

/// Responders re-announce every 5 s, and a link or a backend is retried more often than that: most outages that end by
/// themselves are over by then.
const RETRY_SOON: u16 = 5;
/// Busy passes faster than away.
const RETRY_BUSY: u16 = 1;

/// The table.
pub(crate) fn verdict(failure: &Failure) -> Verdict {
    match failure {
        Failure::Rejected(rejection) => rejected(rejection),
        Failure::Exchange(error) => exchange(error),
        Failure::Response(_) => {
            bad_gateway("invalid_response", "The answer to this request was not valid HTTP.")
        }
    }
}

fn rejected(rejection: &Rejection) -> Verdict {
    match rejection {
        Rejection::Method => client(501, "method", "This method is not served here."),
        Rejection::Ambiguous => client(400, "host", "A request needs exactly one Host."),
        Rejection::Host(_) => client(400, "host", "The Host is not a valid host name."),
        Rejection::Filtered => client(404, "host_filter", "This host is not served here."),
        Rejection::Unauthorized => client(403, "authorization", "This request is not authorized."),
        Rejection::NoInterest => client(404, "no_interest", "Nothing is served under this address."),
        Rejection::BodyTooLarge { .. } => body_too_large(),
        Rejection::Upgrade(_) => client(400, "handshake", "This is no valid WebSocket handshake."),
        Rejection::WebSocketVersion => {
            client(426, "websocket_version", "WebSockets of version 13 are served here.")
        }
        Rejection::Protocol => client(501, "protocol", "This protocol is not served here."),
        Rejection::PublishOnly => client(501, "publish_only", "WebSockets are not served here."),
        Rejection::Origin => client(403, "origin", "Pages of this origin may not connect."),
        Rejection::TooManyWebSockets => {
            unavailable("websockets", "Too many WebSockets are open.", RETRY_SOON)
        }
        Rejection::TooManyExchanges => {
            unavailable("exchanges", "Too many requests are under way.", RETRY_BUSY)
        }
        Rejection::TooManyOnConnection => Verdict {
            retry_after_seconds: Some(RETRY_BUSY),
            ..client(429, "exchanges_per_connection", "Too many requests on one connection.")
        },
        Rejection::HeadTooLarge => head_too_large(),
    }
}

fn exchange(error: &ExchangeError) -> Verdict {
    match error {
        ExchangeError::NoResponders => {
            unavailable("no_responders", "Nobody answers this address right now.", RETRY_SOON)
        }
        ExchangeError::Refused(Refused::Busy) => {
            unavailable("busy", "Everybody who answers this address is busy.", RETRY_BUSY)
        }
        ExchangeError::Refused(Refused::Draining) => {
            unavailable("draining", "Whoever answers this address is restarting.", RETRY_BUSY)
        }
        ExchangeError::Refused(Refused::Unreachable) => Verdict {
            retry_after_seconds: Some(RETRY_SOON),
            ..bad_gateway("unreachable", "What answers this address cannot be reached right now.")
        },
        ExchangeError::Disconnected => {
            unavailable("disconnected", "The gateway has lost its connection.", RETRY_SOON)
        }
        ExchangeError::Publish(_) => {
            unavailable("publish", "The gateway could not pass the request on.", RETRY_SOON)
        }
        ExchangeError::Timeout => upstream(504, "timeout", "The answer took too long."),
        ExchangeError::HeadTooLarge => head_too_large(),
        ExchangeError::InvalidRequest(_) => {
            client(400, "invalid_head", "The request's headers cannot be passed on.")
        }
        ExchangeError::BodyTooLarge { .. } => body_too_large(),
        ExchangeError::RequestBody(error) => match error.downcast_ref::<RequestBodyError>() {
            Some(RequestBodyError::OverLimit { .. }) => body_too_large(),
            Some(RequestBodyError::TooSlow) => {
                client(408, "slow_body", "The request's body came too slowly.")
            }
            _ => client(400, "request_body", "The request's body did not arrive whole."),
        },
        ExchangeError::PeerGone => bad_gateway("peer_gone", "Whoever was answering has gone away."),
        ExchangeError::Disturbed => bad_gateway("disturbed", "The gateway lost its connection meanwhile."),
        ExchangeError::Lost => bad_gateway("lost", "The answer was lost on its way."),
        ExchangeError::Aborted { .. } => bad_gateway("aborted", "Whoever was answering gave up."),
        ExchangeError::InvalidResponse(_) => {
            bad_gateway("invalid_response", "The answer to this request was not valid HTTP.")
        }
    }
}

fn head_too_large() -> Verdict {
    client(431, "head_too_large", "The request's headers are too large.")
}

fn body_too_large() -> Verdict {
    client(413, "body_too_large", "The request's body is too large.")
}

fn client(status: u16, reason: &'static str, says: &'static str) -> Verdict {
    Verdict { status: status_of(status), reason, says, retry_after_seconds: None, fault: Fault::Client }
}

fn upstream(status: u16, reason: &'static str, says: &'static str) -> Verdict {
    Verdict { fault: Fault::Upstream, ..client(status, reason, says) }
}

fn bad_gateway(reason: &'static str, says: &'static str) -> Verdict {
    upstream(502, reason, says)
}

fn unavailable(reason: &'static str, says: &'static str, seconds: u16) -> Verdict {
    Verdict { retry_after_seconds: Some(seconds), ..upstream(503, reason, says) }
}

fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).expect("the table has valid statuses")
}

/// What a client reads errors from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A line for people.
    Text,
    /// RFC 9457.
    Problem,
    /// A gRPC status.
    Grpc,
}

impl Form {
    /// What a request asks for. Decided before it is given away.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        if h8s_wire::is_grpc(headers) {
            Self::Grpc
        } else if wants_json(headers) {
            Self::Problem
        } else {
            Self::Text
        }
    }
}

fn wants_json(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).is_some_and(|accept| {
        let ranges = accept.as_bytes().split(|byte| *byte == b',');
        ranges.map(|range| range.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()).any(
            |range| {
                range.eq_ignore_ascii_case(b"application/json")
                    || range.eq_ignore_ascii_case(b"application/problem+json")
            },
        )
    })
}

/// The gateway's own answer.
pub(crate) fn response<B: UpstreamBody>(
    verdict: &Verdict,
    form: Form,
    request_id: Option<HeaderValue>,
) -> Response<ResponseBody<B>> {
    let mut response = match form {
        Form::Text => page(verdict, format!("{}\n", verdict.says), "text/plain; charset=utf-8"),
        Form::Problem => page(verdict, problem(verdict), "application/problem+json"),
        Form::Grpc => grpc::response(verdict),
    };
    if let Some(id) = request_id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

fn page<B: UpstreamBody>(
    verdict: &Verdict,
    text: String,
    content_type: &'static str,
) -> Response<ResponseBody<B>> {
    let mut response = Response::new(ResponseBody::Text(Bytes::from(text)));
    *response.status_mut() = verdict.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if verdict.status == StatusCode::UPGRADE_REQUIRED {
        // RFC 6455 §4.2.2; RFC 9110 §15.5.22. Over HTTP/2 hyper leaves the latter two away.
        headers.insert(header::SEC_WEBSOCKET_VERSION, VERSION);
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    if verdict.status == StatusCode::REQUEST_TIMEOUT {
        // RFC 9110 §15.5.9. Over HTTP/2 hyper leaves it away, and the stream is reset.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(seconds) = verdict.retry_after_seconds {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn problem(verdict: &Verdict) -> String {
    let title = verdict.status.canonical_reason().unwrap_or_default();
    let problem = serde_json::json!({
        "type": "about:blank",
        "title": title,
        "status": verdict.status.as_u16(),
        "detail": verdict.says,
    });
    format!("{problem}\n")
}

/// The limit that a failure hit, if any. A slow body has counted itself.
pub(crate) fn limit(failure: &Failure) -> Option<Limit> {
    let rejection = match failure {
        Failure::Rejected(rejection) => rejection,
        Failure::Exchange(ExchangeError::HeadTooLarge) => return Some(Limit::Headers),
        Failure::Exchange(ExchangeError::BodyTooLarge { .. }) => return Some(Limit::BodySize),
        Failure::Exchange(ExchangeError::RequestBody(error)) => {
            let error = error.downcast_ref::<RequestBodyError>();
            let is_large = matches!(error, Some(RequestBodyError::OverLimit { .. }));
            return is_large.then_some(Limit::BodySize);
        }
        Failure::Exchange(_) | Failure::Response(_) => return None,
    };
    match rejection {
        Rejection::BodyTooLarge { .. } => Some(Limit::BodySize),
        Rejection::TooManyWebSockets => Some(Limit::WebSockets),
        Rejection::TooManyExchanges => Some(Limit::Exchanges),
        Rejection::TooManyOnConnection => Some(Limit::ExchangesPerConnection),
        Rejection::HeadTooLarge => Some(Limit::Headers),
        _ => None,
    }
}

/// Says it once. What a client did wrong, or an outage that metrics and `/readyz` show, must not flood the log.
pub(crate) fn log(failure: &Failure, verdict: &Verdict, passage: &Passage) {
    let Passage { request_id, authority, .. } = passage;
    let (status, reason) = (verdict.status.as_u16(), verdict.reason);
    if verdict.fault == Fault::Upstream && verdict.retry_after_seconds.is_none() {
        tracing::warn!(status, reason, ?authority, ?request_id, cause = %failure, "an exchange failed");
    } else {
        tracing::debug!(status, reason, ?authority, ?request_id, cause = %failure, "a request was not served");
    }
}
