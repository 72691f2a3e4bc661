//! Configuration of WebSockets.

use std::time::Duration;

use super::origin::AllowedOrigins;
use super::slow::DropOldest;

/// Limits and timeouts of WebSockets, per connection unless stated otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocketConfig {
    /// Origins whose pages may connect, besides the host's own. Default: none.
    pub allowed_origins: AllowedOrigins,
    /// Maximum open WebSockets of this gateway. Default 10,000. Further ones get 503 before anything is published.
    pub max_open: u32,
    /// Maximum message in either direction, in bytes. Default 1 MiB. Larger ones close 1009.
    pub max_message_bytes: usize,
    /// Maximum queued pushes for a slow client, in bytes. Default 1 MiB. Beyond it the connection closes with 1013.
    pub queue_bytes: usize,
    /// Routes where the oldest pushes are dropped instead. Default: none.
    pub drop_oldest: DropOldest,
    /// Idle time before a client is pinged, and again before it counts as gone (1006). Default 30 s: less than the 60 s
    /// after which many load balancers drop an idle connection.
    pub ping_interval: Duration,
    /// How long a client may read nothing while writes are pending. Default 60 s.
    pub write_timeout: Duration,
    /// Time limit for the close handshake. Default 5 s: a round trip behind the bytes in flight.
    pub close_timeout: Duration,
    /// How long a connection that lost its responder waits for another before it closes with 1012. Default 30 s.
    pub reopen_timeout: Duration,
}

/// At 6 to 16 KiB each: at most 160 MiB, and within the same number of open files.
pub(crate) const DEFAULT_MAX_WEBSOCKETS: u32 = 10_000;
/// Far above most messages; HTTP is for larger transfers.
const MIB: usize = 1 << 20;

impl Default for WebSocketConfig {
    fn default() -> Self {
        Self {
            allowed_origins: AllowedOrigins::default(),
            max_open: DEFAULT_MAX_WEBSOCKETS,
            max_message_bytes: MIB,
            queue_bytes: MIB,
            drop_oldest: DropOldest::default(),
            ping_interval: Duration::from_secs(30),
            write_timeout: Duration::from_secs(60),
            close_timeout: Duration::from_secs(5),
            reopen_timeout: Duration::from_secs(30),
        }
    }
}
