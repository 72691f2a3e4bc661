//! How much of everything the clients' WebSockets may have.

use std::time::Duration;

use super::origin::AllowedOrigins;
use super::slow::DropOldest;

/// Limits and habits of the clients' WebSockets. Each is per connection where it does not say otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocketConfig {
    /// Whose pages' scripts may connect, beside the host's own. Nobody's.
    pub allowed_origins: AllowedOrigins,
    /// Open at once, on this gateway. 10,000. Beyond it 503, before anything is published.
    pub max_open: u32,
    /// The largest message, from the client or for it. 1 MiB. Beyond it close 1009.
    pub max_message_bytes: usize,
    /// Pushes that wait for a client that is slow. 1 MiB. Beyond it close 1013.
    pub queue_bytes: usize,
    /// Where the oldest pushes are dropped instead. Nowhere.
    pub drop_oldest: DropOldest,
    /// How long a client may be silent before it is pinged, and then before it counts as gone (1006). 30 s: less than the
    /// 60 s after which many a load balancer forgets a quiet connection.
    pub ping_interval: Duration,
    /// How long a client may read nothing at all while something waits for it. 60 s.
    pub write_timeout: Duration,
    /// How long the close handshake may take. 5 s: a round trip, behind what is in flight.
    pub close_timeout: Duration,
    /// How long a connection whose responder is gone waits for another before close 1012. 30 s.
    pub reopen_timeout: Duration,
}

/// At 6 to 16 KiB each: at most 160 MiB, and within the same number of open files.
pub(crate) const DEFAULT_MAX_WEBSOCKETS: u32 = 10_000;
/// What most messages are far below; larger things have HTTP.
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
