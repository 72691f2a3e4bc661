//! Why a request has no response of the backend, and its log line.
//!
//! The client does not see the cause or an address: they go to the log, once.

use std::error::Error;
use std::time::Duration;

use h8s_nats::Refused;
use http::{HeaderValue, Method, Uri, header};

use crate::backend::BackendUrl;

/// Why a request has no response of the backend.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Nothing was sent: the gateway may try another responder.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The request cannot be forwarded. Maps to 400.
    #[error("{0}")]
    Request(&'static str),
    /// The connection ended before the response, or its bytes are not HTTP. Maps to 502, at the gateway.
    #[error("no valid response: {0}")]
    Lost(#[from] hyper::Error),
    /// A response that cannot be forwarded. Maps to 502, at the gateway.
    #[error("{0}")]
    Response(&'static str),
    /// No response head before the deadline. Maps to 504, at the gateway.
    #[error("no response within {} ms", .0.as_millis())]
    Timeout(Duration),
}

/// The fields that identify a request in the log. Without the query, which may contain secrets.
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

/// The log line of a request that was refused before it reached the backend.
pub(super) fn log_not_forwarded(cause: &'static str, label: &RequestLabel, backend: &BackendUrl) {
    let RequestLabel { method, host, request_id, .. } = label;
    tracing::debug!(%backend, cause, %method, ?host, ?request_id, "request not forwarded");
}

/// The log line of a failed request.
pub(crate) fn log(failure: &dyn Error, label: &RequestLabel, backend: &BackendUrl) {
    let RequestLabel { method, host, uri, request_id, .. } = label;
    let cause = chain(failure);
    tracing::warn!(%backend, cause, %method, ?host, path = uri.path(), ?request_id, "a request failed");
}

/// An error with those of its sources that its own text does not include.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}
