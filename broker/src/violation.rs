//! What a client can do wrong. `Display` is the text that goes into `-ERR '…'`, worded as nats-server words it.

/// A client's mistake that ends its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    /// Not a verb of the protocol, or a payload that does not end where it said.
    #[error("Unknown Protocol Operation")]
    UnknownOperation,
    /// A verb's arguments are longer than [`MAX_CONTROL_LINE_BYTES`](crate::parser::MAX_CONTROL_LINE_BYTES).
    #[error("maximum control line exceeded")]
    ControlLine,
    /// A message larger than `max_payload`.
    #[error("Maximum Payload Violation")]
    MaxPayload,
    /// Arguments that make no sense.
    #[error("Parser Error")]
    Parser,
    /// CONNECT asks for a protocol level that does not exist.
    #[error("invalid client protocol")]
    ClientProtocol,
    /// HPUB from a client that did not say it speaks headers.
    #[error("message headers not supported")]
    HeadersNotSupported,
    /// "No responders" is told in headers.
    #[error("no responders requires headers support")]
    NoRespondersWithoutHeaders,
}

/// A client's mistake that costs it one command only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Objection {
    /// A subscription's subject has an empty token, or characters that a subject cannot have.
    #[error("Invalid Subject")]
    InvalidSubject,
    /// A message's subject is not literal.
    #[error("Invalid Publish Subject")]
    InvalidPublishSubject,
    /// One subscription more than a client may have.
    #[error("maximum subscriptions exceeded")]
    TooManySubscriptions,
}
