//! The flags for [`Limits`].

use std::time::Duration;

use h8s_settings::ConfigErrors;

use crate::Limits;
use crate::limits::MOST_HEAD_BYTES;

/// What clients may have, and how long they may take. Beyond that, README.md says what they get.
#[derive(Clone, Debug, clap::Args)]
pub struct LimitFlags {
    /// Connections that one client address may have, one /64 for IPv6; more are closed at once. Trusted proxies may have any number
    #[arg(long, env = "H8S_MAX_CONNECTIONS_PER_ADDRESS", value_name = "COUNT", default_value_t = Limits::default().connections_per_address, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_connections_per_address: u32,
    /// How long new connections of an address wait after one was closed for stream resets or another flood
    #[arg(long, env = "H8S_ABUSE_PAUSE", value_name = "DURATION", default_value = "1s", value_parser = h8s_settings::duration)]
    pub abuse_pause: Duration,
    /// Exchanges under way at once, in all; more get 503
    #[arg(long, env = "H8S_MAX_EXCHANGES", value_name = "COUNT", default_value_t = Limits::default().exchanges, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_exchanges: u32,
    /// Exchanges of one connection, under way or reset by the client within the last second; more get 429
    #[arg(long, env = "H8S_MAX_EXCHANGES_PER_CONNECTION", value_name = "COUNT", default_value_t = Limits::default().exchanges_per_connection, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_exchanges_per_connection: u32,
    /// The largest request head, up to 64KiB; larger ones get 431
    #[arg(long, env = "H8S_MAX_HEADER_SIZE", value_name = "SIZE", default_value = "64KiB", value_parser = h8s_settings::size)]
    pub max_header_size: u64,
    /// Fields of a request head; more get 431
    #[arg(long, env = "H8S_MAX_HEADERS", value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub max_headers: u32,
    /// How long a client may take for the TLS handshake, or for the first bytes
    #[arg(long, env = "H8S_HANDSHAKE_TIMEOUT", value_name = "DURATION", default_value = "10s", value_parser = h8s_settings::duration)]
    pub handshake_timeout: Duration,
    /// How long a request head may take, from its first byte; then the client gets 408
    #[arg(long, env = "H8S_HEADER_TIMEOUT", value_name = "DURATION", default_value = "10s", value_parser = h8s_settings::duration)]
    pub header_timeout: Duration,
    /// How long a connection is kept that has nothing to do
    #[arg(long, env = "H8S_IDLE_TIMEOUT", value_name = "DURATION", default_value = "75s", value_parser = h8s_settings::duration)]
    pub idle_timeout: Duration,
    /// How long a client may send nothing of a body that is waited for, until there is a response; then it gets 408
    #[arg(long, env = "H8S_BODY_TIMEOUT", value_name = "DURATION", default_value = "20s", value_parser = h8s_settings::duration)]
    pub body_timeout: Duration,
    /// How long a client may take nothing of a response that waits for it; then it is reset
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
                mistakes.push(format!("{flag} 0s: no client is that fast; give a longer duration."));
            }
        }
        if self.max_header_size == 0 || self.max_header_size > MOST_HEAD_BYTES as u64 {
            mistakes.push("--max-header-size must be between 1 and 64KiB: no larger head travels over NATS.");
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
