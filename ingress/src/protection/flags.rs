//! The flags for [`Limits`].

use std::time::Duration;

use h8s_settings::ConfigErrors;

use crate::Limits;
use crate::protection::limits::MOST_HEAD_BYTES;

/// Limits on clients. README.md lists what clients get beyond each.
#[derive(Clone, Debug, clap::Args)]
pub struct LimitFlags {
    /// Maximum connections per client address (per /64 for IPv6); further ones are closed at once. Trusted proxies are exempt
    #[arg(long, env = "H8S_MAX_CONNECTIONS_PER_ADDRESS", value_name = "COUNT", default_value_t = Limits::default().connections_per_address, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_connections_per_address: u32,
    /// Delay for new connections of an address after one was closed for stream resets or another flood
    #[arg(long, env = "H8S_ABUSE_PAUSE", value_name = "DURATION", default_value = "1s", value_parser = h8s_settings::duration)]
    pub abuse_pause: Duration,
    /// Maximum exchanges in flight in total; further ones get 503
    #[arg(long, env = "H8S_MAX_EXCHANGES", value_name = "COUNT", default_value_t = Limits::default().exchanges, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_exchanges: u32,
    /// Maximum exchanges per connection, in flight or reset by the client within the last second; further ones get 429
    #[arg(long, env = "H8S_MAX_EXCHANGES_PER_CONNECTION", value_name = "COUNT", default_value_t = Limits::default().exchanges_per_connection, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_exchanges_per_connection: u32,
    /// Maximum request head, up to 64KiB; larger heads get 431
    #[arg(long, env = "H8S_MAX_HEADER_SIZE", value_name = "SIZE", default_value = "64KiB", value_parser = h8s_settings::size)]
    pub max_header_size: u64,
    /// Maximum header fields per request; more get 431
    #[arg(long, env = "H8S_MAX_HEADERS", value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub max_headers: u32,
    /// Time limit for the TLS handshake, or for the first bytes of a cleartext connection
    #[arg(long, env = "H8S_HANDSHAKE_TIMEOUT", value_name = "DURATION", default_value = "10s", value_parser = h8s_settings::duration)]
    pub handshake_timeout: Duration,
    /// Time limit for a request head, from its first byte; then the client gets 408
    #[arg(long, env = "H8S_HEADER_TIMEOUT", value_name = "DURATION", default_value = "10s", value_parser = h8s_settings::duration)]
    pub header_timeout: Duration,
    /// How long an idle connection is kept open
    #[arg(long, env = "H8S_IDLE_TIMEOUT", value_name = "DURATION", default_value = "75s", value_parser = h8s_settings::duration)]
    pub idle_timeout: Duration,
    /// Maximum pause in a request body before the response starts; then the client gets 408
    #[arg(long, env = "H8S_BODY_TIMEOUT", value_name = "DURATION", default_value = "20s", value_parser = h8s_settings::duration)]
    pub body_timeout: Duration,
    /// Maximum time a client may read nothing of a waiting response; then it is reset
    #[arg(long, env = "H8S_WRITE_TIMEOUT", value_name = "DURATION", default_value = "60s", value_parser = h8s_settings::duration)]
    pub write_timeout: Duration,
}

impl LimitFlags {
    pub(crate) fn limits(&self, mistakes: &mut ConfigErrors) -> Limits {
        for (flag, timeout) in [
            ("--handshake-timeout", self.handshake_timeout),
            ("--header-timeout", self.header_timeout),
            ("--idle-timeout", self.idle_timeout),
            ("--body-timeout", self.body_timeout),
            ("--write-timeout", self.write_timeout),
        ] {
            if timeout.is_zero() {
                mistakes.push(format!("{flag} must be longer than 0s."));
            }
        }
        if self.max_header_size == 0 || self.max_header_size > MOST_HEAD_BYTES as u64 {
            mistakes.push(
                "--max-header-size must be between 1 and 64KiB, the largest head that the protocol carries.",
            );
        }
        Limits {
            handshake_timeout: self.handshake_timeout,
            header_timeout: self.header_timeout,
            idle_timeout: self.idle_timeout,
            body_timeout: self.body_timeout,
            write_timeout: self.write_timeout,
            connections_per_address: self.max_connections_per_address,
            abuse_pause: self.abuse_pause,
            exchanges: self.max_exchanges,
            exchanges_per_connection: self.max_exchanges_per_connection,
            head_bytes: usize::try_from(self.max_header_size).unwrap_or(MOST_HEAD_BYTES),
            fields: self.max_headers as usize,
            ..Limits::default()
        }
    }
}
