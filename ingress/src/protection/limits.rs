//! Limits on clients. README.md has them as a table, with what clients get beyond each.

use std::time::Duration;

/// Limits on client connections and exchanges. The total number of connections is limited by
/// [`Config::max_connections`](crate::Config::max_connections).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Time until the protocol is known: the TLS handshake, or the first bytes. Also the timeout of HTTP/2 pings, and of
    /// clients to leave after a graceful close. Default 10 s: many round trips on a bad link.
    pub handshake_timeout: Duration,
    /// HTTP/1: from a request head's first byte to its last. Default 10 s: it is a packet or two.
    pub header_timeout: Duration,
    /// How long an idle connection is kept. Default 75 s: longer than the 60 s after which most load balancers close
    /// idle connections, so that they close first and no request is lost in between.
    pub idle_timeout: Duration,
    /// Maximum pause in a request body that the gateway waits for. Default 20 s: enough for several retransmissions, and
    /// less than the 30 s for a response. It does not apply once the response has started, nor to gRPC calls.
    pub body_timeout: Duration,
    /// How long a client may read nothing of pending response bytes. Default 60 s, as in other servers, since the kernel
    /// reports slow progress in large steps.
    pub write_timeout: Duration,
    /// Maximum connections per client address (per /64 for IPv6). Trusted proxies are exempt. Default 1000: a large
    /// office behind one address, and a tenth of the total.
    pub connections_per_address: u32,
    /// Delay for new connections of an address after one was closed for abuse (stream resets, floods). Trusted proxies
    /// are exempt. Default 1 s: abuse then costs the attacker more than the gateway, and other clients behind the same
    /// address little. 0: no delay.
    pub abuse_pause: Duration,
    /// Maximum exchanges in flight in total. Default 10,000: one per connection.
    pub exchanges: u32,
    /// Maximum exchanges per connection, in flight or reset by the client within the last second. Default 400: twice the
    /// open streams of HTTP/2, so that only resets can reach it.
    pub exchanges_per_connection: u32,
    /// Maximum request head, in bytes. Default 64 KiB: about the wire protocol's limit (`PROTOCOL.md §5`).
    pub head_bytes: usize,
    /// Maximum header fields of a request. Default 100: far more than browsers send, the limit of Apache, and what hyper
    /// parses without an allocation.
    pub fields: usize,
    /// Buffer per direction, in bytes. Default 128 KiB: one head, or one frame of the wire protocol.
    pub buffer_bytes: usize,
    /// HTTP/2: streams open at once. Default 200.
    pub http2_streams: u32,
    /// HTTP/2: unread bytes of one request body. Default 256 KiB.
    pub http2_stream_window_bytes: u32,
    /// HTTP/2: unread bytes of all request bodies. Default 1 MiB.
    pub http2_connection_window_bytes: u32,
    /// HTTP/2: streams reset before they were accepted, after which the connection is closed (rapid reset,
    /// CVE-2023-44487). Default 50.
    pub http2_resets: usize,
    /// HTTP/2: interval of keep-alive pings. Default 30 s.
    pub http2_ping_interval: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(20),
            write_timeout: Duration::from_secs(60),
            connections_per_address: 1_000,
            abuse_pause: Duration::from_secs(1),
            exchanges: 10_000,
            exchanges_per_connection: 400,
            head_bytes: MOST_HEAD_BYTES,
            fields: 100,
            buffer_bytes: 2 * MOST_HEAD_BYTES,
            http2_streams: 200,
            http2_stream_window_bytes: 256 << 10,
            http2_connection_window_bytes: 1 << 20,
            http2_resets: 50,
            http2_ping_interval: Duration::from_secs(30),
        }
    }
}

/// The largest head that the wire protocol carries.
pub(crate) const MOST_HEAD_BYTES: usize = 64 << 10;
