use super::MAX_FRAME_BYTES;
use crate::head::{FieldError, HeadError};

/// Why a message is not a valid frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The message is empty or ends inside the frame.
    #[error("the frame is truncated")]
    Truncated,
    /// The message is larger than [`MAX_FRAME_BYTES`].
    #[error("the frame is larger than {MAX_FRAME_BYTES} bytes")]
    TooLarge,
    /// A frame kind that this version of the protocol does not define.
    #[error("unknown frame kind {0}")]
    UnknownKind(u8),
    /// A protocol version that this crate does not speak.
    #[error("unknown protocol version {0}")]
    UnknownVersion(u64),
    /// The head of a `HEAD` frame is invalid.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The trailers of an `END` frame are invalid.
    #[error(transparent)]
    Field(#[from] FieldError),
}
