//! The context of an exchange, and service errors with a meaning.

use std::fmt;
use std::net::IpAddr;

use tokio::time::Instant;

use crate::served_by::ServedBy;

/// What the gateway knows about an exchange beyond its HTTP head. It is a request extension on both sides: in requests
/// sent with a [`Requester`](crate::Requester), and in requests that a responder's service receives.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ExchangeContext {
    /// The client's address as the gateway saw it (or learned from a trusted proxy).
    pub client: Option<IpAddr>,
    /// Whether the client reached the gateway over TLS.
    pub is_secure: bool,
    /// When the gateway gives up waiting for the response head. Work past it is wasted.
    ///
    /// At a requester it overrides the request timeout, whether it is shorter or longer; `None` keeps the default.
    /// WebSockets always use the request timeout.
    ///
    /// At a responder it is `None` while the request body is still streaming, because the gateway then waits as long as
    /// the body makes progress. When the gateway stops waiting, the call is dropped. Always `None` in the plain dialect.
    pub deadline: Option<Instant>,
    /// Records which responder served the exchange. For gateways.
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

/// The error by which a service refuses an exchange **before doing any work**. The gateway may try another responder.
///
/// Every other service error aborts the exchange (502 at the client).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The service is at a concurrency limit.
    Busy,
    /// The service is shutting down.
    Draining,
    /// The backend of this responder cannot be reached. Nothing was executed.
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

/// The error of a service that has logged the cause **itself**; the responder does not log it again. The client receives
/// 502. The text goes to the gateway's log, so it must not contain details of the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedError(pub &'static str);

impl fmt::Display for LoggedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for LoggedError {}
