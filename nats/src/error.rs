//! What can go wrong with an exchange, as its callers see it.

use std::sync::Arc;

use h8s_wire::{AbortCode, HeadError, RefusedCode, plain::PlainError};

use crate::connection::client::PublishError;
use crate::context::Refused;
use crate::exchange::failure::Failure;

/// Any error of a body or a service.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no response. Whose fault it is decides the status at the client.
///
/// Exhaustive on purpose: a gateway must map every variant to a status.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ExchangeError {
    /// Nobody serves this host, path and method. Maps to 503 with `Retry-After`.
    #[error("nobody serves this request")]
    NoResponders,
    /// Every responder that was asked refused; this is what the last one said. Maps to 503 with `Retry-After` where
    /// it is busy or draining, to 502 where what it passes requests on to is not there.
    #[error("{0}")]
    Refused(Refused),
    /// No response head within the request timeout, which counts from when the request's body last moved, or within the
    /// request's own deadline. Maps to 504.
    #[error("no response head within the request timeout")]
    Timeout,
    /// NATS is away; nothing was sent. Maps to 503 with `Retry-After`.
    #[error("NATS is away")]
    Disconnected,
    /// NATS was away between request and response: it may or may not have been executed. Maps to 502.
    #[error("NATS was away before the response came")]
    Disturbed,
    /// The request's head does not fit a frame. Maps to 431.
    #[error("the request head is larger than {} bytes", h8s_wire::MAX_HEAD_BYTES)]
    HeadTooLarge,
    /// The request's head cannot be carried. Maps to 400.
    #[error("the request cannot be carried: {0}")]
    InvalidRequest(#[source] Arc<BoxError>),
    /// A plain responder takes the whole body in one message, and this one does not fit. Maps to 413.
    #[error("the body is larger than the {limit_bytes} bytes that a plain responder takes")]
    BodyTooLarge {
        /// What would have fitted.
        limit_bytes: usize,
    },
    /// The responder died, or was silent for three beats. Maps to 502.
    #[error("the responder has gone")]
    PeerGone,
    /// Frames were lost, repeated or reordered between here and the responder. Maps to 502.
    #[error("frames were lost on the way")]
    Lost,
    /// The responder gave up. Maps to 502.
    #[error("the responder gave up: {code}: {reason}")]
    Aborted {
        /// For programs.
        code: AbortCode,
        /// For the log, never for the client.
        reason: String,
    },
    /// The responder's answer is not HTTP, or not this protocol. Maps to 502.
    #[error("the responder's answer is invalid: {0}")]
    InvalidResponse(String),
    /// The request's body failed at its source: the client left, or a limit was reached. The source says which.
    #[error("the request body failed")]
    RequestBody(#[source] Arc<BoxError>),
    /// NATS did not take the request. Maps to 503.
    #[error("NATS did not take the request: {0}")]
    Publish(#[source] Arc<BoxError>),
}

impl From<Failure> for ExchangeError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NoResponders => Self::NoResponders,
            Failure::Refused(code) => Self::Refused(code.into()),
            Failure::Aborted(code, reason) => Self::Aborted { code, reason },
            Failure::Cancelled | Failure::Silent | Failure::Closed => Self::PeerGone,
            Failure::Lost | Failure::OverLimit => Self::Lost,
            Failure::Malformed(error) => Self::InvalidResponse(error.to_string()),
            Failure::Disturbed => Self::Disturbed,
            Failure::Body(source) => Self::RequestBody(source),
        }
    }
}

impl From<PublishError> for ExchangeError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Timeout => Self::Disconnected,
            PublishError::TooLarge => Self::HeadTooLarge,
            PublishError::Other(error) => Self::Publish(error),
        }
    }
}

impl From<HeadError> for ExchangeError {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::TooLarge => Self::HeadTooLarge,
            other => Self::InvalidRequest(Arc::new(other.into())),
        }
    }
}

impl From<PlainError> for ExchangeError {
    fn from(error: PlainError) -> Self {
        Self::InvalidResponse(error.to_string())
    }
}

impl From<RefusedCode> for Refused {
    fn from(code: RefusedCode) -> Self {
        match code {
            RefusedCode::Draining => Self::Draining,
            RefusedCode::Unreachable => Self::Unreachable,
            // Of a newer responder: it has done nothing, and that is what counts.
            RefusedCode::Busy | RefusedCode::Other(_) => Self::Busy,
        }
    }
}

impl From<Refused> for RefusedCode {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Busy => Self::Busy,
            Refused::Draining => Self::Draining,
            Refused::Unreachable => Self::Unreachable,
        }
    }
}

/// Why a body that came over NATS ends before it is complete. Whoever passes the body on must make this visible:
/// a cut body must never look whole.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The sender gave up.
    #[error("the body was aborted: {code}: {reason}")]
    Aborted {
        /// For programs.
        code: AbortCode,
        /// For the log.
        reason: String,
    },
    /// The sender died, or was silent for too long.
    #[error("the sender of the body has gone")]
    PeerGone,
    /// Frames were lost, repeated or reordered.
    #[error("parts of the body were lost on the way")]
    Lost,
    /// The client left.
    #[error("the client has gone")]
    Cancelled,
    /// What came is not this protocol.
    #[error("the body is invalid: {0}")]
    Invalid(String),
    /// A plain responder sent faster than the body was read, past the buffer.
    #[error("more than {limit_bytes} bytes are waiting, and the plain dialect has no flow control")]
    Overflow {
        /// The buffer's size.
        limit_bytes: usize,
    },
    /// A plain responder's next piece did not come.
    #[error("the next piece did not come within the request timeout")]
    Timeout,
}

impl From<Failure> for BodyError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Aborted(code, reason) => Self::Aborted { code, reason },
            Failure::Cancelled => Self::Cancelled,
            Failure::NoResponders
            | Failure::Silent
            | Failure::Closed
            | Failure::Disturbed
            | Failure::Body(_) => Self::PeerGone,
            Failure::Refused(code) => Self::Invalid(format!("refused in mid-body: {code}")),
            Failure::Lost | Failure::OverLimit => Self::Lost,
            Failure::Malformed(error) => Self::Invalid(error.to_string()),
        }
    }
}
