//! Client errors. `Display` is the text of `-ERR '…'`, worded as in nats-server.

/// A protocol violation that ends the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    /// An unknown verb, or a payload that is not followed by a line end.
    #[error("Unknown Protocol Operation")]
    UnknownOperation,
    /// The arguments of a verb are longer than [`MAX_CONTROL_LINE_BYTES`](crate::parser::MAX_CONTROL_LINE_BYTES).
    #[error("maximum control line exceeded")]
    ControlLine,
    /// A message larger than `max_payload`.
    #[error("Maximum Payload Violation")]
    MaxPayload,
    /// Invalid arguments.
    #[error("Parser Error")]
    Parser,
    /// CONNECT requests an unknown protocol level.
    #[error("invalid client protocol")]
    ClientProtocol,
    /// HPUB from a client that did not enable headers in CONNECT.
    #[error("message headers not supported")]
    HeadersNotSupported,
    /// CONNECT enables "no responders" without headers, which carry it.
    #[error("no responders requires headers support")]
    NoRespondersWithoutHeaders,
}

/// A client error that fails one command only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CommandError {
    /// The subject of a subscription has an empty token or an invalid character.
    #[error("Invalid Subject")]
    InvalidSubject,
    /// The subject of a message is not literal.
    #[error("Invalid Publish Subject")]
    InvalidPublishSubject,
    /// The client has reached its limit of subscriptions.
    #[error("maximum subscriptions exceeded")]
    TooManySubscriptions,
}
