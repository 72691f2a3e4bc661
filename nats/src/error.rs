//! Errors of exchanges and bodies.

use std::sync::Arc;

use h8s_wire::{AbortCode, HeadError, RefusedCode, plain::PlainError};

use crate::connection::client::PublishError;
use crate::context::Refused;
use crate::exchange::failure::Failure;

/// Any error of a body or a service.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no response. The cause decides the status that the client receives.
///
/// Exhaustive on purpose: a gateway must map every variant to a status.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ExchangeError {
    /// No responder serves this host, path and method. Maps to 503 with `Retry-After`.
    #[error("no responder serves this request")]
    NoResponders,
    /// Every responder that was tried refused; this is the last refusal. Maps to 503 with `Retry-After` if the
    /// responder is busy or draining, to 502 if its backend is unreachable.
    #[error("{0}")]
    Refused(Refused),
    /// No response head within the request timeout, which counts from the last progress of the request body, or within
    /// the request's own deadline. Maps to 504.
    #[error("no response head within the request timeout")]
    Timeout,
    /// NATS is disconnected; nothing was sent. Maps to 503 with `Retry-After`.
    #[error("NATS is disconnected")]
    Disconnected,
    /// NATS disconnected between request and response: the request may have been executed. Maps to 502.
    #[error("NATS disconnected before the response arrived")]
    Disturbed,
    /// The request's head does not fit a frame. Maps to 431.
    #[error("the request head is larger than {} bytes", h8s_wire::MAX_HEAD_BYTES)]
    HeadTooLarge,
    /// The request's head cannot be encoded. Maps to 400.
    #[error("invalid request: {0}")]
    InvalidRequest(#[source] Arc<BoxError>),
    /// A plain responder receives the whole body in one message, and this body does not fit. Maps to 413.
    #[error("the body exceeds the {limit_bytes} bytes that a plain responder accepts")]
    BodyTooLarge {
        /// The largest body that fits.
        limit_bytes: usize,
    },
    /// The responder died, or missed three beats. Maps to 502.
    #[error("the responder is gone")]
    PeerGone,
    /// Frames were lost, repeated or reordered between this process and the responder. Maps to 502.
    #[error("frames were lost in transit")]
    Lost,
    /// The responder aborted. Maps to 502.
    #[error("the responder aborted: {code}: {reason}")]
    Aborted {
        /// The code, for programs.
        code: AbortCode,
        /// The reason, for the log; never for the client.
        reason: String,
    },
    /// The response is not valid HTTP or violates this protocol. Maps to 502.
    #[error("invalid response from the responder: {0}")]
    InvalidResponse(String),
    /// The request body failed at its source: the client disconnected, or a limit was reached. The source knows which.
    #[error("the request body failed")]
    RequestBody(#[source] Arc<BoxError>),
    /// The request could not be published. Maps to 503.
    #[error("cannot publish the request: {0}")]
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
            // An unknown code comes from a newer responder. A refusal always means that no work was done.
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

/// Why a received body is incomplete. Code that forwards the body must make this visible: a truncated body must never
/// look complete.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The sender aborted.
    #[error("the body was aborted: {code}: {reason}")]
    Aborted {
        /// The code, for programs.
        code: AbortCode,
        /// The reason, for the log.
        reason: String,
    },
    /// The sender died, or was silent for too long.
    #[error("the sender of the body is gone")]
    PeerGone,
    /// Frames were lost, repeated or reordered.
    #[error("parts of the body were lost in transit")]
    Lost,
    /// The client disconnected.
    #[error("the client disconnected")]
    Cancelled,
    /// The received data violates the protocol.
    #[error("invalid body: {0}")]
    Invalid(String),
    /// A plain responder sent faster than the body was read, and the buffer overflowed.
    #[error("more than {limit_bytes} bytes are buffered, and the plain dialect has no flow control")]
    Overflow {
        /// The size of the buffer.
        limit_bytes: usize,
    },
    /// A plain responder's next piece did not arrive in time.
    #[error("the next piece did not arrive within the request timeout")]
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
