//! The one place where what went wrong with a backend becomes an answer.
//!
//! What the client reads names no address and no cause: those go to the log, once.

use std::error::Error;
use std::time::Duration;

use h8s_nats::{BoxError, LoggedError, Refused};
use http::{HeaderValue, Method, Response, StatusCode, Uri, header};

use crate::backend_url::BackendUrl;
use crate::body::ReverseBody;

/// Why there is no response of the backend's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Nothing was done: somebody else may be asked.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// What was asked for cannot be passed on. Maps to 400.
    #[error("{0}")]
    Request(&'static str),
    /// The connection ended before the response began, or what came on it was not HTTP. Maps to 502, at the gateway.
    #[error("no valid response: {0}")]
    Lost(#[from] hyper::Error),
    /// A response that cannot be passed on. Maps to 502, at the gateway.
    #[error("{0}")]
    Response(&'static str),
    /// No response head in time. Maps to 504, at the gateway.
    #[error("no response within {} ms", .0.as_millis())]
    Timeout(Duration),
}

/// Which request a log line is about: what identifies it and holds no secrets (the query might).
#[derive(Debug)]
pub(crate) struct RequestLabel {
    method: Method,
    host: Option<HeaderValue>,
    uri: Uri,
    request_id: Option<HeaderValue>,
    pub(crate) is_grpc: bool,
}

impl RequestLabel {
    pub(crate) fn of(head: &http::request::Parts) -> Self {
        Self {
            method: head.method.clone(),
            host: head.headers.get(header::HOST).cloned(),
            uri: head.uri.clone(),
            request_id: head.headers.get("x-request-id").cloned(),
            is_grpc: h8s_wire::is_grpc(&head.headers),
        }
    }
}

/// What the gateway's log gets to read. The gateway tells the client, in whatever way the client understands: as a page,
/// as problem details, as a gRPC status.
const NO_ANSWER: LoggedError = LoggedError("the service behind this responder gave no valid answer");
const UNPASSABLE: LoggedError =
    LoggedError("the call cannot be passed on to the service behind this responder");

/// What the gateway gets in place of a response.
pub(crate) fn rescue(
    failure: Failure,
    label: &RequestLabel,
    backend: &BackendUrl,
) -> Result<Response<ReverseBody>, BoxError> {
    match failure {
        Failure::Refused(refused) => Err(refused.into()),
        Failure::Request(says) => {
            let RequestLabel { method, host, request_id, .. } = label;
            tracing::debug!(%backend, cause = says, %method, ?host, ?request_id, "a request was not passed on");
            // To a gRPC client a page says nothing; the gateway knows what does.
            if label.is_grpc { Err(UNPASSABLE.into()) } else { Ok(said(StatusCode::BAD_REQUEST, says)) }
        }
        failure => {
            log(&failure, label, backend);
            Err(NO_ANSWER.into())
        }
    }
}

/// A short answer of the daemon's own.
pub(crate) fn said(status: StatusCode, text: &'static str) -> Response<ReverseBody> {
    let mut response = Response::new(ReverseBody::text(text));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// The one line about an exchange that failed.
pub(crate) fn log(failure: &dyn Error, label: &RequestLabel, backend: &BackendUrl) {
    let RequestLabel { method, host, uri, request_id, .. } = label;
    let cause = chain(failure);
    tracing::warn!(%backend, cause, %method, ?host, path = uri.path(), ?request_id, "a request failed");
}

/// An error and everything behind it that it does not say itself.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let behind = error.to_string();
        if !text.contains(&behind) {
            text = format!("{text}: {behind}");
        }
        source = error.source();
    }
    text
}
