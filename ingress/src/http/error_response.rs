//! The one place where an error becomes a status.
//!
//! [`verdict`] is the table. Messages for clients name no subject, address or cause: those are logged once, at a level
//! that depends on whose fault it was.

use bytes::Bytes;
use h8s_nats::{ExchangeError, Refused};
use h8s_wire::websocket_handshake::VERSION;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};

use crate::http::admission::Rejection;
use crate::http::forwarded::REQUEST_ID;
use crate::http::grpc;
use crate::http::request_body::RequestBodyError;
use crate::http::response_body::{ResponseBody, UpstreamBody};
use crate::observability::metrics::Limit;

/// Why an exchange has no response from upstream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Rejected(#[from] Rejection),
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    #[error("the upstream's response cannot be sent: {0}")]
    Response(#[from] ResponseFault),
}

/// Why a received response head is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ResponseFault {
    #[error("{0} is not a valid final status")]
    Status(u16),
    #[error("Content-Length is not a single number")]
    ContentLength,
    #[error("Content-Length contradicts the body")]
    Contradiction,
    #[error("Sec-WebSocket-Protocol is not one of those offered")]
    Subprotocol,
}

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Client,
    Upstream,
}

/// How a failure is reported to the client and to operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) status: StatusCode,
    /// One word for metrics and logs.
    pub(crate) reason: &'static str,
    /// One sentence for the client.
    pub(crate) message: &'static str,
    /// `Retry-After` in seconds, if a retry may help.
    pub(crate) retry_after_seconds: Option<u16>,
    pub(crate) fault: Fault,
}

/// Seconds. Responders re-announce every 5 s, and NATS and backends are retried more often: most transient outages are
/// over by then.
const RETRY_SOON: u16 = 5;
/// Seconds. Overload passes faster than an outage.
const RETRY_BUSY: u16 = 1;

/// Maps a failure to a status and a message.
pub(crate) fn verdict(failure: &Failure) -> Verdict {
    match failure {
        Failure::Rejected(rejection) => rejected(rejection),
        Failure::Exchange(error) => exchange(error),
        Failure::Response(_) => {
            bad_gateway("invalid_response", "The upstream's response was not valid HTTP.")
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
        Rejection::NoInterest => client(404, "no_interest", "Nothing is served at this address."),
        Rejection::BodyTooLarge { .. } => body_too_large(),
        Rejection::Upgrade(_) => client(400, "handshake", "This is not a valid WebSocket handshake."),
        Rejection::WebSocketVersion => {
            client(426, "websocket_version", "Only WebSocket version 13 is supported.")
        }
        Rejection::Protocol => client(501, "protocol", "This protocol is not served here."),
        Rejection::PublishOnly => client(501, "publish_only", "WebSockets are not served here."),
        Rejection::Origin => client(403, "origin", "This origin may not connect."),
        Rejection::TooManyWebSockets => {
            unavailable("websockets", "Too many WebSockets are open.", RETRY_SOON)
        }
        Rejection::TooManyExchanges => {
            unavailable("exchanges", "Too many requests are in flight.", RETRY_BUSY)
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
            unavailable("no_responders", "No responder serves this address right now.", RETRY_SOON)
        }
        ExchangeError::Refused(Refused::Busy) => {
            unavailable("busy", "All responders for this address are busy.", RETRY_BUSY)
        }
        ExchangeError::Refused(Refused::Draining) => {
            unavailable("draining", "The responder for this address is restarting.", RETRY_BUSY)
        }
        ExchangeError::Refused(Refused::Unreachable) => Verdict {
            retry_after_seconds: Some(RETRY_SOON),
            ..bad_gateway("unreachable", "The backend for this address cannot be reached right now.")
        },
        ExchangeError::Disconnected => {
            unavailable("disconnected", "The gateway has lost its connection.", RETRY_SOON)
        }
        ExchangeError::Publish(_) => {
            unavailable("publish", "The gateway could not forward the request.", RETRY_SOON)
        }
        ExchangeError::Timeout => upstream(504, "timeout", "The response took too long."),
        ExchangeError::HeadTooLarge => head_too_large(),
        ExchangeError::InvalidRequest(_) => {
            client(400, "invalid_head", "The request's headers cannot be forwarded.")
        }
        ExchangeError::BodyTooLarge { .. } => body_too_large(),
        ExchangeError::RequestBody(error) => match error.downcast_ref::<RequestBodyError>() {
            Some(RequestBodyError::OverLimit { .. }) => body_too_large(),
            Some(RequestBodyError::TooSlow) => {
                client(408, "slow_body", "The request body arrived too slowly.")
            }
            _ => client(400, "request_body", "The request body was incomplete."),
        },
        ExchangeError::PeerGone => bad_gateway("peer_gone", "The responder has gone away."),
        ExchangeError::Disturbed => {
            bad_gateway("disturbed", "The gateway lost its connection during the request.")
        }
        ExchangeError::Lost => bad_gateway("lost", "The response was lost."),
        ExchangeError::Aborted { .. } => bad_gateway("aborted", "The responder aborted the request."),
        ExchangeError::InvalidResponse(_) => {
            bad_gateway("invalid_response", "The upstream's response was not valid HTTP.")
        }
    }
}

fn head_too_large() -> Verdict {
    client(431, "head_too_large", "The request's headers are too large.")
}

fn body_too_large() -> Verdict {
    client(413, "body_too_large", "The request body is too large.")
}

fn client(status: u16, reason: &'static str, message: &'static str) -> Verdict {
    Verdict { status: status_of(status), reason, message, retry_after_seconds: None, fault: Fault::Client }
}

fn upstream(status: u16, reason: &'static str, message: &'static str) -> Verdict {
    Verdict { fault: Fault::Upstream, ..client(status, reason, message) }
}

fn bad_gateway(reason: &'static str, message: &'static str) -> Verdict {
    upstream(502, reason, message)
}

fn unavailable(reason: &'static str, message: &'static str, seconds: u16) -> Verdict {
    Verdict { retry_after_seconds: Some(seconds), ..upstream(503, reason, message) }
}

fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).expect("the table has valid statuses")
}

/// Format of an error response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One line of text.
    Text,
    /// RFC 9457.
    Problem,
    /// A gRPC status.
    Grpc,
}

impl Form {
    /// The format that a request accepts.
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

/// The error response.
pub(crate) fn response<B: UpstreamBody>(
    verdict: &Verdict,
    form: Form,
    request_id: Option<HeaderValue>,
) -> Response<ResponseBody<B>> {
    let mut response = match form {
        Form::Text => page(verdict, format!("{}\n", verdict.message), "text/plain; charset=utf-8"),
        Form::Problem => page(verdict, problem(verdict), "application/problem+json"),
        Form::Grpc => grpc_status(verdict),
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
        // RFC 6455 §4.2.2; RFC 9110 §15.5.22. hyper drops the latter two over HTTP/2.
        headers.insert(header::SEC_WEBSOCKET_VERSION, VERSION);
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    if verdict.status == StatusCode::REQUEST_TIMEOUT {
        // RFC 9110 §15.5.9. hyper drops it over HTTP/2, and resets the stream.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(seconds) = verdict.retry_after_seconds {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// "Trailers-Only": a response head that ends the stream.
fn grpc_status<B: UpstreamBody>(verdict: &Verdict) -> Response<ResponseBody<B>> {
    let mut response = Response::new(ResponseBody::Empty);
    *response.headers_mut() = grpc::trailers_only(verdict.status, verdict.reason, verdict.message);
    response
}

fn problem(verdict: &Verdict) -> String {
    let title = verdict.status.canonical_reason().unwrap_or_default();
    let problem = serde_json::json!({
        "type": "about:blank",
        "title": title,
        "status": verdict.status.as_u16(),
        "detail": verdict.message,
    });
    format!("{problem}\n")
}

/// The limit that a failure hit, if any. A slow body is counted where it is detected.
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

/// Logs the failure. Client errors, and outages that metrics and `/readyz` show, are logged at debug level so that they
/// cannot flood the log.
pub(crate) fn log(
    failure: &Failure,
    verdict: &Verdict,
    authority: Option<&HeaderValue>,
    request_id: Option<&HeaderValue>,
) {
    let (status, reason) = (verdict.status.as_u16(), verdict.reason);
    if verdict.fault == Fault::Upstream && verdict.retry_after_seconds.is_none() {
        tracing::warn!(status, reason, ?authority, ?request_id, cause = %failure, "an exchange failed");
    } else {
        tracing::debug!(status, reason, ?authority, ?request_id, cause = %failure, "a request was rejected");
    }
}

#[cfg(test)]
mod tests {
    use h8s_wire::HostError;

    use super::*;
    use crate::http::admission::Rejection::*;
    use crate::http::grpc::Code;

    /// The first column of the mapping of HTTP statuses, and where the gateway knows better.
    #[test]
    fn every_refusal_has_its_grpc_code() {
        let code = |failure: &Failure| {
            let verdict = verdict(failure);
            grpc::code(verdict.status, verdict.reason)
        };
        let over = BodyTooLarge { limit_bytes: 1 };
        for (rejection, expected) in [
            (Method, Code::Unimplemented),
            (Ambiguous, Code::Internal),
            (Host(HostError::Empty), Code::Internal),
            (Filtered, Code::Unimplemented),
            (Unauthorized, Code::Unauthenticated),
            (NoInterest, Code::Unimplemented),
            (over, Code::ResourceExhausted),
            (Upgrade("no key"), Code::Internal),
            (WebSocketVersion, Code::Unknown),
            (Protocol, Code::Unimplemented),
            (PublishOnly, Code::Unimplemented),
            (Origin, Code::PermissionDenied),
            (TooManyWebSockets, Code::Unavailable),
        ] {
            assert_eq!(code(&Failure::Rejected(rejection)), expected, "{rejection}");
        }
        assert_eq!(code(&ResponseFault::ContentLength.into()), Code::Internal);
    }
}
