use super::{FieldError, MAX_FRAME_BYTES, MAX_HEAD_BYTES, MAX_INLINE_BYTES};

/// Why bytes are not a valid head, or a head cannot be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// The bytes end inside the head.
    #[error("the head is truncated")]
    Truncated,
    /// The framing indicator is neither that of a known-length request nor that of a known-length response.
    #[error("the head is neither a request nor a response")]
    Framing,
    /// The method is not an HTTP method.
    #[error("invalid method")]
    Method,
    /// The scheme is neither `http` nor `https`.
    #[error("the scheme is neither http nor https")]
    Scheme,
    /// The authority is malformed.
    #[error("invalid authority")]
    Authority,
    /// The target is in neither origin form nor asterisk form.
    #[error("invalid request target")]
    Target,
    /// The status is not final (200 to 599).
    #[error("the status is not a final status (200 to 599)")]
    Status,
    /// An extension field has the wrong size or invalid text.
    #[error("invalid extension field")]
    Extension,
    /// The field section is invalid.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The head, its body bytes or the frame exceeds its limit. Maps to 431 for a client's head, 502 for a
    /// responder's.
    #[error(
        "the frame is too large: the limits are {MAX_HEAD_BYTES} bytes for a head, {MAX_INLINE_BYTES} for its body bytes and {MAX_FRAME_BYTES} for a frame"
    )]
    TooLarge,
}
