//! How much of everything clients may have, and how long they may take for it. README.md has the same as a table, and
//! what clients get beyond.

use std::time::Duration;

/// Limits of client connections and exchanges. How many connections there may be in all is
/// [`Config::max_connections`](crate::Config::max_connections).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Until the protocol is known: the TLS handshake, or the first bytes. Also how long a ping may go unanswered, and
    /// a client may stay that was told to go.
    /// Default 10 s: many round trips on the worst of links.
    pub handshake_timeout: Duration,
    /// HTTP/1: from a request head's first byte to its last. Default 10 s: it is a packet or two.
    pub header_timeout: Duration,
    /// How long a connection may be kept with nothing under way. Default 75 s: longer than the 60 s after which
    /// most load balancers drop an idle connection, so that they go first and no request is lost between.
    pub idle_timeout: Duration,
    /// How long a client may send nothing of a request body that is waited for. Default 20 s: lost packets have
    /// been sent again several times by then, and less than the 30 s for a response, which would end it first. Not once
    /// there is a response, nor in a gRPC call: there the two sides talk as they please.
    pub body_timeout: Duration,
    /// How long a client may take nothing of what waits for it. Default 60 s: what other servers give, since the
    /// kernel reports slow progress in large steps.
    pub write_timeout: Duration,
    /// Connections of one address; of one /64, for IPv6. Trusted proxies may have any number. Default 1000: a large
    /// office behind one address, and a tenth of all.
    pub connections_per_address: u32,
    /// How long new connections of an address wait after one was closed for abuse (stream resets, floods). Trusted
    /// proxies are not made to pause. Default 1 s: enough to make abuse cost its author more than the gateway, and
    /// little for others behind the same address. 0: not at all.
    pub abuse_pause: Duration,
    /// Exchanges under way in all. Default 10,000: one for each connection that there may be.
    pub exchanges: u32,
    /// Exchanges under way on one connection, with those that the client took back within the last second. Default
    /// 400: twice the streams that HTTP/2 may have open, so that only resets can reach it.
    pub exchanges_per_connection: u32,
    /// A request head. Default 64 KiB: about what a head may have on the wire (`PROTOCOL.md §5`).
    pub head_bytes: usize,
    /// Fields of a request head. Default 100: many times what browsers send, what Apache takes, and what hyper parses
    /// without an allocation.
    pub fields: usize,
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

/// No larger head travels over NATS.
pub(crate) const MOST_HEAD_BYTES: usize = 64 << 10;
