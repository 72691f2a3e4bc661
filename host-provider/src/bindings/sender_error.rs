//! The errors of `sender`.

use h8s_nats::{ConnectionClosed, SendError};

/// Why a call of `sender` failed. Nothing has been sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SenderError {
    #[error("there is no such connection")]
    Unknown,
    #[error("the connection is closed")]
    Closed,
    #[error("the connection belongs to a host that this component does not serve")]
    Foreign,
    #[error("too large: the limit is {limit_bytes} bytes")]
    TooLarge { limit_bytes: usize },
    #[error("{0}")]
    Invalid(&'static str),
    #[error("{0}")]
    Unavailable(&'static str),
}

impl From<SendError> for SenderError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Unknown => Self::Unknown,
            SendError::Closed => Self::Closed,
            SendError::Foreign => Self::Foreign,
            SendError::TooLarge { limit_bytes } => Self::TooLarge { limit_bytes },
            SendError::Group => Self::Invalid(
                "invalid group name; it must have 1 to 128 bytes, without control characters or surrounding spaces",
            ),
            SendError::Close => {
                Self::Invalid("invalid close code; it must be 1000–1003, 1007–1014 or 3000–4999")
            }
            SendError::Text => Self::Invalid("the text message is not valid UTF-8"),
            SendError::Disconnected => Self::Unavailable("not connected to NATS"),
        }
    }
}

impl From<ConnectionClosed> for SenderError {
    fn from(ConnectionClosed: ConnectionClosed) -> Self {
        Self::Closed
    }
}
