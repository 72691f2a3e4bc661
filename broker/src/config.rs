//! The configuration of a broker, and the errors of its start.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The smallest `max_payload` that h8s supports: twice its largest frame.
const MIN_MAX_PAYLOAD_BYTES: usize = 256 * 1024;
/// The largest, as in nats-server.
const MAX_MAX_PAYLOAD_BYTES: usize = 64 * 1024 * 1024;
/// Room in an outbox for the control line of a message.
const LINE_ROOM_BYTES: usize = 16 * 1024;

/// Settings of a [`Broker`](crate::Broker). The defaults suit a development machine.
#[derive(Debug, Clone)]
pub struct Config {
    /// The listen address. Default: a free port on `127.0.0.1`. There is no authentication: every client that can
    /// connect may publish and subscribe to all subjects. Do not listen on addresses that untrusted clients reach.
    pub listen: SocketAddr,
    /// The size limit of a message, headers and payload together, in bytes. Default 8 MiB; 256 KiB to 64 MiB.
    pub max_payload_bytes: usize,
    /// The limit of bytes queued for one client, beyond which it is disconnected as a slow consumer. Default 64 MiB, as
    /// in nats-server; at least `max_payload_bytes` plus 16 KiB.
    pub max_pending_bytes: usize,
    /// The limit of concurrent client connections. Default 1,024.
    pub max_connections: usize,
    /// The limit of subscriptions per client. Default 16,384.
    pub max_subscriptions: usize,
    /// The interval of keep-alive pings. Default 2 minutes, as in nats-server. A client that sends nothing over two
    /// pings is disconnected as stale when the third is due.
    pub ping_interval: Duration,
    /// The time after which a client that reads none of its queued bytes is disconnected. Default 10 s, as in
    /// nats-server.
    pub write_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            max_payload_bytes: 8 * 1024 * 1024,
            max_pending_bytes: 64 * 1024 * 1024,
            max_connections: 1024,
            max_subscriptions: 16_384,
            ping_interval: Duration::from_secs(120),
            write_timeout: Duration::from_secs(10),
        }
    }
}

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address is in use, not local, or not permitted.
    #[error("cannot listen on {address}")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// The error of the system.
        source: std::io::Error,
    },
    /// `max_payload_bytes` is out of range.
    #[error(
        "max_payload_bytes is {0}; it must be between {MIN_MAX_PAYLOAD_BYTES} (256 KiB) and {MAX_MAX_PAYLOAD_BYTES} (64 MiB)"
    )]
    MaxPayload(usize),
    /// `max_pending_bytes` is smaller than one message of the largest size.
    #[error("max_pending_bytes is {given}; it must be at least {least}, so that the largest message fits")]
    MaxPending {
        /// The configured value.
        given: usize,
        /// The smallest allowed value.
        least: usize,
    },
    /// A limit or an interval is zero.
    #[error("{0} is zero; it must be positive")]
    Zero(&'static str),
    /// There is no tokio runtime.
    #[error("a broker must be started within a tokio runtime")]
    NoRuntime,
}

impl Config {
    pub(crate) fn check(&self) -> Result<(), StartError> {
        if !(MIN_MAX_PAYLOAD_BYTES..=MAX_MAX_PAYLOAD_BYTES).contains(&self.max_payload_bytes) {
            return Err(StartError::MaxPayload(self.max_payload_bytes));
        }
        let least = self.max_payload_bytes + LINE_ROOM_BYTES;
        if self.max_pending_bytes < least {
            return Err(StartError::MaxPending { given: self.max_pending_bytes, least });
        }
        let zero = [
            ("max_connections", self.max_connections == 0),
            ("ping_interval", self.ping_interval.is_zero()),
            ("write_timeout", self.write_timeout.is_zero()),
        ];
        match zero.into_iter().find(|(_, is_zero)| *is_zero) {
            Some((name, _)) => Err(StartError::Zero(name)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_allowed_and_loopback() {
        let config = Config::default();

        assert!(config.check().is_ok());
        assert!(config.listen.ip().is_loopback());
    }

    #[test]
    fn limits_out_of_range_are_refused() {
        let refused = |config: Config| config.check().unwrap_err().to_string();

        assert!(
            refused(Config { max_payload_bytes: 1024, ..Config::default() })
                .contains("max_payload_bytes is 1024")
        );
        assert!(refused(Config { max_payload_bytes: usize::MAX, ..Config::default() }).contains("64 MiB"));
        assert!(
            refused(Config { max_pending_bytes: 1, ..Config::default() }).contains("max_pending_bytes is 1;")
        );
        assert!(
            refused(Config { max_connections: 0, ..Config::default() }).contains("max_connections is zero")
        );
        assert!(
            refused(Config { ping_interval: Duration::ZERO, ..Config::default() }).contains("ping_interval")
        );
    }
}
