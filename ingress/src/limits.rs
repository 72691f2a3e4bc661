//! How much of everything one client connection may have.

use std::time::Duration;

/// Limits of one client connection. All of them are per connection; how many connections there may be is
/// [`Config::max_connections`](crate::Config::max_connections).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Until the protocol is known: the TLS handshake, or the first bytes. Also how long a ping may go unanswered.
    /// Default 10 s: many round trips on the worst of links.
    pub opening_timeout: Duration,
    /// HTTP/1: until the next whole request head, idling included. Default 75 s: longer than the 60 s after which
    /// most load balancers drop an idle connection, so that they go first and no request is lost between.
    pub idle_timeout: Duration,
    /// A request head. Default 64 KiB: about what a head may have on the wire (`PROTOCOL.md §5`). Beyond it 431.
    pub head_bytes: usize,
    /// What is buffered in each direction. Default 128 KiB: one head, or one frame of the wire protocol.
    pub buffer_bytes: usize,
    /// HTTP/2: streams open at once. Default 200.
    pub http2_streams: u32,
    /// HTTP/2: unread bytes of one request body. Default 256 KiB.
    pub http2_stream_window_bytes: u32,
    /// HTTP/2: unread bytes of all request bodies. Default 1 MiB.
    pub http2_connection_window_bytes: u32,
    /// HTTP/2: streams that the client reset before they were looked at, after which the connection is closed (rapid
    /// reset, CVE-2023-44487). Default 50.
    pub http2_resets: usize,
    /// HTTP/2: how often a silent client is asked whether it is there. Default 30 s.
    pub http2_ping_interval: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            opening_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            head_bytes: 64 << 10,
            buffer_bytes: 128 << 10,
            http2_streams: 200,
            http2_stream_window_bytes: 256 << 10,
            http2_connection_window_bytes: 1 << 20,
            http2_resets: 50,
            http2_ping_interval: Duration::from_secs(30),
        }
    }
}
