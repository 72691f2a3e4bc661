//! The flags of `h8srd`, and what they come to.

use std::path::PathBuf;
use std::time::Duration;

use h8s_nats::ConnectOptions;
use h8s_settings::{Exit, Loaded, LogFormat, Mistakes, NatsFlags};
use h8s_wire::{Host, PathPattern, QueueGroup};

use crate::backend::{BackendConfig, Protocol};
use crate::backend_url::BackendUrl;
use crate::config::{MappingConfig, ReverseConfig};
use crate::head::HostHeader;
use crate::table;

/// The flags of `h8srd`. Each is also an environment variable, and a key of the `--config` file. They hold for every
/// backend; a `backend` table of the file may say otherwise for itself.
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "h8srd",
    version,
    about = "Puts local HTTP services behind an h8s gateway: takes requests and WebSockets from NATS, opens no port"
)]
pub struct Flags {
    /// A TOML file with the same keys as the flags, and tables named backend for further hosts, paths and backends
    #[arg(long, env = "H8S_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Answer for these hosts, comma-separated: what clients ask the gateway for
    #[arg(long, env = "H8SRD_HOSTNAME", value_name = "HOSTS", value_delimiter = ',')]
    pub hostname: Vec<Host>,
    /// The local service: http://HOST:PORT or https://HOST:PORT. A path at its end comes before each request's
    // Read with the tables, so that what is wrong with either is said at once.
    #[arg(long, env = "H8SRD_BACKEND_URL", value_name = "URL")]
    pub backend_url: Option<String>,
    /// Answer for this path; /api/* is /api and everything below it
    #[arg(long, env = "H8SRD_PATH", value_name = "PATH", default_value = "/*")]
    pub path: PathPattern,
    /// Take the path that is answered for away from requests: with /api/*, /api/users becomes /users
    #[arg(long, env = "H8SRD_STRIP_PREFIX")]
    pub strip_prefix: bool,
    /// The Host that the backend sees: keep the client's, backend for that of its URL, or always this one
    #[arg(long, env = "H8SRD_HOST_HEADER", value_name = "HOST", default_value = "keep")]
    pub host_header: HostHeader,
    /// What the backend speaks; auto is HTTP/1.1 in cleartext but HTTP/2 for gRPC, and what is agreed upon over TLS
    #[arg(long, env = "H8SRD_BACKEND_PROTOCOL", value_name = "PROTOCOL", default_value = "auto", value_enum)]
    pub backend_protocol: Protocol,
    /// PEM certificates that the backend's own must lead to; the system's roots otherwise
    #[arg(long, env = "H8SRD_BACKEND_CA", value_name = "FILE")]
    pub backend_ca: Option<PathBuf>,
    /// How long connecting to the backend may take; then the client gets 502
    #[arg(long, env = "H8SRD_CONNECT_TIMEOUT", value_name = "DURATION", default_value = "5s", value_parser = h8s_settings::duration)]
    pub connect_timeout: Duration,
    /// How long a connection to the backend that has nothing to do is kept for the next request
    // Less than the 5 s after which Node.js, and less or as long as most others, close such a connection.
    #[arg(long, env = "H8SRD_KEEP_ALIVE", value_name = "DURATION", default_value = "4s", value_parser = h8s_settings::duration)]
    pub keep_alive: Duration,
    /// How long nothing may move in the midst of a response over HTTP/1.1; then it is cut off
    #[arg(long, env = "H8SRD_IDLE_TIMEOUT", value_name = "DURATION", default_value = "5m", value_parser = h8s_settings::duration)]
    pub idle_timeout: Duration,
    /// Requests that one backend works on at a time; as many more wait for a second, and the rest is refused
    #[arg(long, env = "H8SRD_MAX_CONNECTIONS", value_name = "COUNT", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_connections: u32,
    /// WebSockets that one backend has open at a time; more are refused
    #[arg(long, env = "H8SRD_MAX_WEBSOCKETS", value_name = "COUNT", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_websockets: u32,
    /// The largest WebSocket message, in either direction; larger ones close 1009. The gateway has a limit of its own
    #[arg(long, env = "H8SRD_MAX_MESSAGE_SIZE", value_name = "SIZE", default_value = "16MiB", value_parser = h8s_settings::size)]
    pub max_message_size: u64,
    /// The NATS queue group: all daemons of one host share its name, and each request goes to one of them
    #[arg(long, env = "H8SRD_QUEUE_GROUP", value_name = "NAME", default_value = "h8s")]
    pub queue_group: QueueGroup,
    /// At SIGTERM: how long requests under way may take to end. A second signal ends at once
    // Less than the 30 s after which Kubernetes and most others kill.
    #[arg(long, env = "H8S_GRACE_PERIOD", value_name = "DURATION", default_value = "25s", value_parser = h8s_settings::duration)]
    pub grace_period: Duration,
    /// Threads that do the work. One for each processor unless set; fewer cost less where NATS and responders share the machine
    #[arg(long, env = "H8S_THREADS", value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// How log lines look. RUST_LOG says which there are (default: info)
    #[arg(long, env = "H8S_LOG_FORMAT", value_name = "FORMAT", default_value = "text", value_enum)]
    pub log_format: LogFormat,
    #[allow(missing_docs, reason = "a doc comment here would replace the program's own help")]
    #[command(flatten)]
    pub nats: NatsFlags,
}

impl Flags {
    /// Reads flags, environment and file.
    ///
    /// # Errors
    ///
    /// All mistakes in them, or the help that was asked for.
    pub fn load(argv: impl IntoIterator<Item = impl Into<std::ffi::OsString>>) -> Result<Loaded<Self>, Exit> {
        h8s_settings::load_with(argv, &[table::NAME])
    }

    /// Checks what no flag can check alone, and the backend tables of the file.
    ///
    /// # Errors
    ///
    /// All mistakes, one sentence each.
    pub fn configs(loaded: Loaded<Self>) -> Result<(ReverseConfig, ConnectOptions), Exit> {
        let Loaded { flags, mut tables, .. } = loaded;
        let mut mistakes = Mistakes::new();
        let nats = flags.nats.config("h8srd", &mut mistakes);
        let tables = tables.remove(table::NAME);
        let mut mappings: Vec<_> = flags.own(tables.is_some(), &mut mistakes).into_iter().collect();
        mappings.extend(table::mappings(tables, &flags, &mut mistakes));
        let config = ReverseConfig {
            mappings,
            queue_group: flags.queue_group.clone(),
            grace_period: flags.grace_period,
        };
        config.check(&mut mistakes);
        mistakes.into_result()?;
        Ok((config, nats))
    }

    /// The mapping that the flags themselves name; with tables beside them they need not.
    fn own(&self, has_tables: bool, mistakes: &mut Mistakes) -> Option<MappingConfig> {
        if has_tables && self.backend_url.is_none() {
            return None;
        }
        if self.hostname.is_empty() {
            mistakes.push(
                "--hostname is missing; give it or set H8SRD_HOSTNAME: the host that clients ask the gateway for",
            );
        }
        let url = match self.backend_url.as_deref().map(str::parse::<BackendUrl>) {
            Some(Ok(url)) => url,
            Some(Err(mistake)) => {
                mistakes.push(format!("--backend-url: {mistake}"));
                return None;
            }
            None => {
                mistakes.push(
                    "--backend-url is missing; give it or set H8SRD_BACKEND_URL, such as http://localhost:3000",
                );
                return None;
            }
        };
        Some(self.mapping(url)).filter(|mapping| !mapping.hosts.is_empty())
    }

    /// A backend as the flags would have it answer.
    pub(crate) fn mapping(&self, url: BackendUrl) -> MappingConfig {
        MappingConfig {
            hosts: self.hostname.clone(),
            path: self.path.clone(),
            strip_prefix: self.strip_prefix,
            host_header: self.host_header.clone(),
            backend: BackendConfig {
                url,
                ca: self.backend_ca.clone(),
                protocol: self.backend_protocol,
                connect_timeout: self.connect_timeout,
                keep_alive: self.keep_alive,
                idle_timeout: self.idle_timeout,
                max_connections: count(self.max_connections),
                max_websockets: count(self.max_websockets),
                max_message_bytes: bytes(self.max_message_size),
            },
        }
    }
}

pub(crate) fn count(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

pub(crate) fn bytes(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
