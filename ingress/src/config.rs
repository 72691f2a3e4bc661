//! The gateway's configuration and its flags.

pub(crate) mod handle;
pub(crate) mod reload;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use h8s_nats::ConnectOptions;
use h8s_settings::{ConfigErrors, Exit, NatsFlags, ProgramFlags, Secret, ThreadFlags};

use crate::protection::flags::LimitFlags;
use crate::websocket::DEFAULT_MAX_WEBSOCKETS;
use crate::{
    AccessLog, AllowedOrigins, DropOldest, HostFilters, Limits, TlsFiles, TrustedProxies, WebSocketConfig,
};

/// Flags of `h8sd`. Each is also an environment variable and a key of the `--config` file.
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "h8sd",
    version,
    about = "HTTP gateway of h8s: forwards HTTP and WebSocket requests over NATS"
)]
pub struct Flags {
    /// A TOML file with the same keys as the flags
    #[arg(long, env = "H8S_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address to serve clients on: ADDRESS:PORT, or :PORT for all IPv4 interfaces. Repeatable
    // A gateway is deployed to be reached, often in a container; `h8s dev` binds loopback.
    #[arg(long, env = "H8S_LISTEN", value_name = "ADDRESS", default_value = "0.0.0.0:8080", value_delimiter = ',', value_parser = listen_address)]
    pub listen: Vec<SocketAddr>,
    /// Address of the admin endpoints /healthz, /readyz and /metrics
    // Loopback: the admin endpoints are not for clients.
    #[arg(long, env = "H8S_ADMIN_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:9090", value_parser = listen_address)]
    pub admin_listen: SocketAddr,
    /// PEM certificate chain; serves TLS with HTTP/2 and HTTP/1.1 by ALPN. Requires --tls-key
    #[arg(long, help_heading = "TLS", env = "H8S_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// PEM private key of the certificate
    #[arg(long, help_heading = "TLS", env = "H8S_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Maximum request body, such as 10485760 or 10MiB; larger bodies get 413. Unlimited unless set, since bodies are streamed
    #[arg(long, help_heading = "Limits", env = "H8S_MAX_BODY_SIZE", value_name = "SIZE", value_parser = h8s_settings::size)]
    pub max_body_size: Option<u64>,
    /// Time limit for the response head, from the end of the request or the last progress of its body; then the client gets 504
    #[arg(long, help_heading = "Limits", env = "H8S_REQUEST_TIMEOUT", value_name = "DURATION", default_value = "30s", value_parser = h8s_settings::duration)]
    pub request_timeout: Duration,
    /// Serve only these hosts, comma-separated; *.example.com matches every host below example.com. Others get 404
    #[arg(long, env = "H8S_HOST_FILTERS", value_name = "HOSTS")]
    pub host_filters: Option<HostFilters>,
    /// Answer 404 at once if no responder has announced interest in the host, path and method
    #[arg(long, env = "H8S_TRACK_INTEREST")]
    pub track_interest: bool,
    /// Publish each request without waiting for a response and answer 200, or 503 if publishing fails
    #[arg(long, env = "H8S_PUBLISH_ONLY", conflicts_with = "wait_for_responder")]
    pub publish_only: bool,
    /// Required value of the Authorization header, which is not forwarded; other requests get 403
    #[arg(long, env = "H8S_AUTHORIZATION_KEY", value_name = "KEY")]
    pub authorization_key: Option<Secret>,
    /// Retry for this long if there is no responder, before answering 503. No retry unless set
    #[arg(long, env = "H8S_WAIT_FOR_RESPONDER", value_name = "DURATION", value_parser = h8s_settings::duration)]
    pub wait_for_responder: Option<Duration>,
    /// Networks of proxies whose X-Forwarded-* and X-Request-Id headers are trusted, comma-separated. None unless set
    #[arg(long, env = "H8S_TRUSTED_PROXIES", value_name = "NETWORKS")]
    pub trusted_proxies: Option<TrustedProxies>,
    #[allow(missing_docs, reason = "a doc comment here would replace the program's own help")]
    #[command(flatten)]
    pub program: ProgramFlags,
    /// Maximum open client connections; further ones wait to be accepted
    #[arg(long, help_heading = "Limits", env = "H8S_MAX_CONNECTIONS", value_name = "COUNT", default_value_t = DEFAULT_MAX_CONNECTIONS, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_connections: u32,
    #[allow(missing_docs, reason = "a doc comment here would replace the program's own help")]
    #[command(flatten, next_help_heading = "Limits")]
    pub limits: LimitFlags,
    /// Origins whose pages may open WebSockets, comma-separated: https://app.example.com, https://*.example.com, or * for all. The host's own origin is always allowed; others get 403
    #[arg(long, help_heading = "WebSockets", env = "H8S_ALLOWED_ORIGINS", value_name = "ORIGINS")]
    pub allowed_origins: Option<AllowedOrigins>,
    /// Maximum open WebSockets; further ones get 503
    #[arg(long, help_heading = "WebSockets", env = "H8S_MAX_WEBSOCKETS", value_name = "COUNT", default_value_t = DEFAULT_MAX_WEBSOCKETS, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_websockets: u32,
    /// Maximum WebSocket message in either direction; larger ones close the connection with 1009
    #[arg(long, help_heading = "WebSockets", env = "H8S_MAX_MESSAGE_SIZE", value_name = "SIZE", default_value = "1MiB", value_parser = h8s_settings::size)]
    pub max_message_size: u64,
    /// Pushes queued for one slow WebSocket client; beyond this the connection is closed with 1013
    #[arg(long, help_heading = "WebSockets", env = "H8S_WEBSOCKET_QUEUE", value_name = "SIZE", default_value = "1MiB", value_parser = h8s_settings::size)]
    pub websocket_queue: u64,
    /// Routes where a slow client loses the oldest pushes instead, comma-separated: app.example.com/ticker, app.example.com/live/*
    #[arg(long, help_heading = "WebSockets", env = "H8S_DROP_OLDEST", value_name = "ROUTES")]
    pub drop_oldest: Option<DropOldest>,
    /// Idle time before a WebSocket client is pinged; after the same time again without an answer it is closed
    #[arg(long, help_heading = "WebSockets", env = "H8S_WEBSOCKET_PING_INTERVAL", value_name = "DURATION", default_value = "30s", value_parser = h8s_settings::duration)]
    pub websocket_ping_interval: Duration,
    /// How long a WebSocket waits for another responder after losing its own, before it is closed with 1012
    #[arg(long, help_heading = "WebSockets", env = "H8S_REOPEN_TIMEOUT", value_name = "DURATION", default_value = "30s", value_parser = h8s_settings::duration)]
    pub reopen_timeout: Duration,
    /// Format of the access log: one line on standard output per finished exchange
    #[arg(long, env = "H8S_ACCESS_LOG", value_name = "FORMAT", default_value = "off", value_enum)]
    pub access_log: AccessLog,
    #[allow(missing_docs, reason = "a doc comment here would replace the program's own help")]
    #[command(flatten)]
    pub workers: ThreadFlags,
    #[allow(missing_docs, reason = "a doc comment here would replace the program's own help")]
    #[command(flatten, next_help_heading = "NATS")]
    pub nats: NatsFlags,
}

/// About 16 KiB each while idle: 160 MiB, and well below the usual hard limit of open files.
const DEFAULT_MAX_CONNECTIONS: u32 = 10_000;
/// Less than the 30 s after which Kubernetes and most supervisors kill.
const DEFAULT_GRACE_PERIOD: Duration = Duration::from_secs(25);
/// What most load balancers and browsers tolerate.
const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Configuration of a gateway. `Default` listens on loopback, on a port that the system chooses, without TLS.
#[derive(Clone, Debug)]
pub struct Config {
    /// Client listen addresses. Port 0: the system chooses.
    pub listen: Vec<SocketAddr>,
    /// Listen address of the admin endpoints. `None`: not served.
    pub admin_listen: Option<SocketAddr>,
    /// Serve TLS on every client listener.
    pub tls: Option<TlsFiles>,
    /// Maximum request body, in bytes. `None` (default): unlimited.
    pub max_body_bytes: Option<u64>,
    /// Time limit for the response head, unless a gRPC call sets its own. Default 30 s.
    pub request_timeout: Duration,
    /// Hosts that are served. Default: all.
    pub host_filters: HostFilters,
    /// Answer 404 without announced interest. Default `false`.
    pub track_interest: bool,
    /// Publish requests and answer 200 without waiting for a response. Default `false`.
    pub publish_only: bool,
    /// Required value of `Authorization`. `None` (default): not checked.
    pub authorization_key: Option<Secret>,
    /// How long to retry when there is no responder. `None` (default): no retry.
    pub wait_for_responder: Option<Duration>,
    /// Proxies whose client description is trusted. Default: none.
    pub trusted_proxies: TrustedProxies,
    /// Time for exchanges in flight to end at shutdown. Default 25 s.
    pub grace_period: Duration,
    /// Threads that serve clients, each with its own runtime and NATS connections. `None`: the runtime that the app is
    /// built on serves them.
    pub threads: Option<NonZero<usize>>,
    /// Maximum open client connections. Default 10,000.
    pub max_connections: u32,
    /// Format of the access log. Default off.
    pub access_log: AccessLog,
    /// Limits of connections and exchanges.
    pub limits: Limits,
    /// Limits of WebSockets.
    pub websockets: WebSocketConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)],
            admin_listen: None,
            tls: None,
            max_body_bytes: None,
            request_timeout: DEFAULT_REQUEST_TIMEOUT,
            host_filters: HostFilters::default(),
            track_interest: false,
            publish_only: false,
            authorization_key: None,
            wait_for_responder: None,
            trusted_proxies: TrustedProxies::default(),
            grace_period: DEFAULT_GRACE_PERIOD,
            threads: None,
            max_connections: DEFAULT_MAX_CONNECTIONS,
            access_log: AccessLog::Off,
            limits: Limits::default(),
            websockets: WebSocketConfig::default(),
        }
    }
}

impl Flags {
    /// Validates the flags together and converts them.
    ///
    /// # Errors
    /// All configuration errors together, one sentence each.
    pub fn configs(self) -> Result<(Config, ConnectOptions), Exit> {
        let mut mistakes = ConfigErrors::new();
        let nats = self.nats.config("h8sd", &mut mistakes);
        let tls = self.tls(&mut mistakes);
        if self.request_timeout.is_zero() {
            mistakes.push("--request-timeout must be longer than 0s.");
        }
        let websockets = self.websockets(&mut mistakes);
        let limits = self.limits.limits(&mut mistakes);
        mistakes.into_result()?;
        let config = Config {
            tls,
            websockets,
            listen: self.listen,
            admin_listen: Some(self.admin_listen),
            max_body_bytes: self.max_body_size,
            request_timeout: self.request_timeout,
            host_filters: self.host_filters.unwrap_or_default(),
            track_interest: self.track_interest,
            publish_only: self.publish_only,
            authorization_key: self.authorization_key,
            wait_for_responder: self.wait_for_responder,
            trusted_proxies: self.trusted_proxies.unwrap_or_default(),
            grace_period: self.program.grace_period,
            threads: NonZero::new(self.workers.count()),
            max_connections: self.max_connections,
            access_log: self.access_log,
            limits,
        };
        Ok((config, nats))
    }

    fn websockets(&self, mistakes: &mut ConfigErrors) -> WebSocketConfig {
        if self.websocket_ping_interval.is_zero() {
            mistakes.push("--websocket-ping-interval must be longer than 0s.");
        }
        let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
        WebSocketConfig {
            allowed_origins: self.allowed_origins.clone().unwrap_or_default(),
            max_open: self.max_websockets,
            max_message_bytes: bytes(self.max_message_size),
            queue_bytes: bytes(self.websocket_queue),
            drop_oldest: self.drop_oldest.clone().unwrap_or_default(),
            ping_interval: self.websocket_ping_interval,
            reopen_timeout: self.reopen_timeout,
            ..WebSocketConfig::default()
        }
    }

    fn tls(&self, mistakes: &mut ConfigErrors) -> Option<TlsFiles> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(_), None) => {
                mistakes.push("--tls-cert needs --tls-key: give the certificate's private key.");
            }
            (None, Some(_)) => mistakes.push("--tls-key needs --tls-cert: give the key's certificate."),
            _ => {}
        }
        self.tls_files()
    }

    /// The two files, if both are configured.
    pub(crate) fn tls_files(&self) -> Option<TlsFiles> {
        Some(TlsFiles { certificates: self.tls_cert.clone()?, key: self.tls_key.clone()? })
    }
}

fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let whole = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_owned() };
    whole.parse().map_err(|_| {
        format!("{text:?} is not a valid listen address; write 127.0.0.1:8080, [::1]:8080 or :8080")
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use h8s_wire::Host;

    use super::*;

    fn config(flags: &[&str]) -> Result<Config, Exit> {
        let flags = Flags::try_parse_from(std::iter::once(&"h8sd").chain(flags)).unwrap();
        flags.configs().map(|(config, _)| config)
    }

    #[test]
    fn the_flags_defaults_are_the_configs() {
        let (flags, default) = (config(&[]).unwrap(), Config::default());

        assert_eq!(flags.request_timeout, default.request_timeout);
        assert_eq!(flags.grace_period, default.grace_period);
        assert_eq!(flags.max_connections, default.max_connections);
        assert_eq!(flags.websockets, default.websockets);
        assert_eq!(flags.limits, default.limits);
        assert_eq!((flags.max_body_bytes, flags.tls, flags.wait_for_responder), (None, None, None));
        assert!(!flags.track_interest && !flags.publish_only && flags.authorization_key.is_none());
        assert_eq!(
            (flags.host_filters, flags.trusted_proxies),
            (default.host_filters, default.trusted_proxies)
        );
    }

    #[test]
    fn every_flag_arrives() {
        let config = config(&[
            "--listen=:8081,[::1]:8082",
            "--listen=127.0.0.1:8083",
            "--admin-listen=127.0.0.1:9",
            "--tls-cert=c",
            "--tls-key=k",
            "--max-body-size=10MiB",
            "--request-timeout=5s",
            "--host-filters=a.example",
            "--track-interest",
            "--authorization-key=secret",
            "--wait-for-responder=1s",
            "--trusted-proxies=10.0.0.0/8",
            "--grace-period=2s",
            "--max-connections=7",
            "--threads=3",
            "--allowed-origins=https://b.example",
            "--max-websockets=8",
            "--max-message-size=2MiB",
            "--websocket-queue=3MiB",
            "--drop-oldest=a.example/ticker",
            "--websocket-ping-interval=4s",
            "--reopen-timeout=6s",
            "--max-connections-per-address=9",
            "--max-exchanges=10",
            "--max-exchanges-per-connection=11",
            "--max-header-size=12KiB",
            "--max-headers=13",
            "--handshake-timeout=14s",
            "--header-timeout=15s",
            "--idle-timeout=16s",
            "--body-timeout=17s",
            "--write-timeout=18s",
        ])
        .unwrap();

        let ports: Vec<u16> = config.listen.iter().map(SocketAddr::port).collect();
        assert_eq!((ports, config.admin_listen.unwrap().port()), (vec![8081, 8082, 8083], 9));
        assert_eq!(config.tls, Some(TlsFiles { certificates: "c".into(), key: "k".into() }));
        assert_eq!((config.max_body_bytes, config.max_connections), (Some(10 << 20), 7));
        let seconds = [config.request_timeout, config.wait_for_responder.unwrap(), config.grace_period];
        assert_eq!(seconds.map(|duration| duration.as_secs()), [5, 1, 2]);
        assert_eq!(config.threads, NonZero::new(3));
        assert!(config.track_interest && !config.publish_only);
        assert!(!config.host_filters.admit(&Host::parse("b.example").unwrap()));
        assert!(config.trusted_proxies.contains("10.1.1.1".parse().unwrap()));
        assert_eq!(config.authorization_key.unwrap().expose(), "secret");
        let expected = WebSocketConfig {
            allowed_origins: "https://b.example".parse().unwrap(),
            max_open: 8,
            max_message_bytes: 2 << 20,
            queue_bytes: 3 << 20,
            drop_oldest: "a.example/ticker".parse().unwrap(),
            ping_interval: Duration::from_secs(4),
            reopen_timeout: Duration::from_secs(6),
            ..WebSocketConfig::default()
        };
        assert_eq!(config.websockets, expected);
        let limits = Limits {
            connections_per_address: 9,
            exchanges: 10,
            exchanges_per_connection: 11,
            head_bytes: 12 << 10,
            fields: 13,
            handshake_timeout: Duration::from_secs(14),
            header_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(16),
            body_timeout: Duration::from_secs(17),
            write_timeout: Duration::from_secs(18),
            ..Limits::default()
        };
        assert_eq!(config.limits, limits);
    }

    #[test]
    fn every_flag_has_a_variable() {
        let command = <Flags as clap::CommandFactory>::command();
        let without: Vec<_> = command.get_arguments().filter(|flag| flag.get_env().is_none()).collect();

        assert!(without.is_empty(), "{without:?}");
    }
}
