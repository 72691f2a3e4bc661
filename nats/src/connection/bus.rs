//! The process's two NATS connections.
//!
//! Native frames travel on one, the plain dialect and control messages on the other: a responder that publishes a
//! header block that async-nats cannot read costs the second connection a reconnect, and native exchanges nothing
//! (`PROTOCOL.md §1`).

use std::fmt;

use h8s_wire::Subjects;
use tokio::sync::watch;

use crate::connection::client::{Connection, ConnectionState};
use crate::connection::options::{ConnectOptions, InvalidOptions};
use crate::connection::permission_watch::PermissionWatch;
use crate::error::BoxError;

/// Frames are at most 128 KiB, and a server that allows twice as much has room for the plain dialect's heads.
const MIN_MAX_PAYLOAD_BYTES: usize = 256 * 1024;

/// Why connecting failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The options are invalid.
    #[error(transparent)]
    Options(#[from] InvalidOptions),
    /// No server answered, or the credentials were rejected.
    #[error("cannot connect to NATS at {servers}: {source}")]
    Connect {
        /// The configured URLs.
        servers: String,
        /// Why.
        source: BoxError,
    },
    /// The credentials file cannot be used.
    #[error("cannot use the NATS credentials: {0}")]
    Credentials(#[from] std::io::Error),
    /// The server's `max_payload` is too small.
    #[error(
        "NATS at {servers} allows messages of {max_payload_bytes} bytes, h8s needs {MIN_MAX_PAYLOAD_BYTES}: \
             raise max_payload in the server's configuration"
    )]
    MaxPayload {
        /// The configured URLs.
        servers: String,
        /// What the server allows.
        max_payload_bytes: usize,
    },
}

/// The two NATS connections of a program. Cheap to clone; they close when the last clone and everything built on it is
/// dropped.
#[derive(Clone)]
pub struct Bus {
    pub(crate) native: Connection,
    pub(crate) plain: Connection,
    pub(crate) subjects: Subjects,
}

impl Bus {
    /// Connects. Fails if no server can be reached now; later outages are repaired by reconnecting without limit.
    ///
    /// # Errors
    /// [`ConnectError`], if no server accepts the connection, the credentials file cannot be read, or `max_payload` is
    /// below 256 KiB.
    pub async fn connect(options: ConnectOptions) -> Result<Self, ConnectError> {
        let (native, plain) = tokio::try_join!(Connection::native(&options), Connection::plain(&options))?;
        let max_payload_bytes = native.max_payload().min(plain.max_payload());
        if max_payload_bytes < MIN_MAX_PAYLOAD_BYTES {
            return Err(ConnectError::MaxPayload {
                servers: options.servers().join(", "),
                max_payload_bytes,
            });
        }
        Ok(Self { native, plain, subjects: options.subjects().clone() })
    }

    /// Whether both connections are connected now.
    pub fn is_connected(&self) -> bool {
        self.native.is_connected() && self.plain.is_connected()
    }

    /// Watches for permission violations from now on.
    pub(crate) fn permission_watch(&self) -> PermissionWatch {
        PermissionWatch { native: self.native.denials(), plain: self.plain.denials() }
    }

    /// The state of the native connection, and its changes.
    pub fn state(&self) -> watch::Receiver<ConnectionState> {
        self.native.state.clone()
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus").field("connected", &self.is_connected()).finish_non_exhaustive()
    }
}
