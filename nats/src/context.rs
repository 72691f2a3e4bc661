//! What a responder's tower service is given besides the request, and how it says "not now".

use std::fmt;
use std::net::IpAddr;

use tokio::time::Instant;

use crate::served_by::ServedBy;

/// What the gateway knows about an exchange beyond its HTTP head. A request extension on both sides: of what a
/// [`Requester`](crate::Requester) sends, and of what a responder's service gets.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ExchangeContext {
    /// The client's address as the gateway saw it (or learned from a trusted proxy).
    pub client: Option<IpAddr>,
    /// Whether the client reached the gateway over TLS.
    pub is_secure: bool,
    /// When the gateway gives up waiting for the response head. Work past it is wasted.
    ///
    /// A requester takes it in place of its request timeout, sooner or later; `None` leaves that in force. WebSockets
    /// always have the request timeout.
    ///
    /// A responder's service finds `None` where the gateway cannot say: the request's body still comes, and the gateway
    /// waits while it moves. It drops the call when it waits no more. In the plain dialect it is always `None`.
    pub deadline: Option<Instant>,
    /// Learns who answers, at a gateway that wants to know.
    pub served_by: Option<ServedBy>,
}

impl ExchangeContext {
    /// Sets [`client`](Self::client).
    #[must_use]
    pub fn client(mut self, client: impl Into<Option<IpAddr>>) -> Self {
        self.client = client.into();
        self
    }

    /// Sets [`is_secure`](Self::is_secure).
    #[must_use]
    pub fn is_secure(mut self, is_secure: bool) -> Self {
        self.is_secure = is_secure;
        self
    }

    /// Sets [`deadline`](Self::deadline).
    #[must_use]
    pub fn deadline(mut self, deadline: impl Into<Option<Instant>>) -> Self {
        self.deadline = deadline.into();
        self
    }

    /// Sets [`served_by`](Self::served_by).
    #[must_use]
    pub fn served_by(mut self, served_by: impl Into<Option<ServedBy>>) -> Self {
        self.served_by = served_by.into();
        self
    }
}

/// The error by which a service refuses an exchange **before doing any work**: the gateway may try elsewhere.
///
/// Every other service error aborts the exchange (502 at the client).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// At a concurrency limit.
    Busy,
    /// Shutting down.
    Draining,
    /// What this responder passes requests on to cannot be reached; nothing was done.
    Unreachable,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "refused: busy",
            Self::Draining => "refused: draining",
            Self::Unreachable => "refused: unreachable",
        })
    }
}

impl std::error::Error for Refused {}

/// The error by which a service gives up and has said why in the log **itself**: nobody else logs it. The client gets 502;
/// the text goes to the gateway's log, and names nothing that is not the gateway's to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedError(pub &'static str);

impl fmt::Display for LoggedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for LoggedError {}
