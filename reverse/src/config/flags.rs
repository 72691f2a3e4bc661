//! The flags of `h8srd`, and the configuration that they make.

use std::path::PathBuf;
use std::time::Duration;

use h8s_nats::ConnectOptions;
use h8s_settings::{ConfigErrors, Exit, Loaded, NatsFlags, ProgramFlags, ThreadFlags};
use h8s_wire::{Host, PathPattern, QueueGroup};

use super::{MappingConfig, ReverseConfig, table};
use crate::backend::{BackendConfig, BackendUrl, Protocol};
use crate::forward::request_head::HostHeader;

/// The flags of `h8srd`. Each is also an environment variable, and a key of the `--config` file. They apply to every
/// backend; a `backend` table of the file overrides them for itself.
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "h8srd",
    version,
    about = "Puts local HTTP services behind an h8s gateway: receives requests and WebSockets from NATS and opens no port"
)]
pub struct Flags {
    /// A TOML file with the same keys as the flags, and tables named backend for further hosts, paths and backends
    #[arg(long, env = "H8S_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Hosts to serve, comma-separated, as clients request them from the gateway
    #[arg(long, env = "H8SRD_HOSTNAME", value_name = "HOSTS", value_delimiter = ',')]
    pub hostname: Vec<Host>,
    /// URL of the local service: http://HOST:PORT or https://HOST:PORT. A path in it is put before the path of each request
    // Parsed together with the tables, so that all errors are reported at once.
    #[arg(long, env = "H8SRD_BACKEND_URL", value_name = "URL")]
    pub backend_url: Option<String>,
    /// Path to serve; /api/* is /api and everything below it
    #[arg(long, env = "H8SRD_PATH", value_name = "PATH", default_value = "/*")]
    pub path: PathPattern,
    /// Remove the served path from requests: with /api/*, /api/users becomes /users
    #[arg(long, env = "H8SRD_STRIP_PREFIX")]
    pub strip_prefix: bool,
    /// Host that the backend receives: keep for the client's, backend for that of its URL, or a fixed host
    #[arg(long, env = "H8SRD_HOST_HEADER", value_name = "HOST", default_value = "keep")]
    pub host_header: HostHeader,
    /// HTTP version of the backend; auto is HTTP/1.1 in cleartext, HTTP/2 for gRPC, and negotiated over TLS
    #[arg(long, env = "H8SRD_BACKEND_PROTOCOL", value_name = "PROTOCOL", default_value = "auto", value_enum)]
    pub backend_protocol: Protocol,
    /// PEM file of root certificates for the backend's certificate; the system's roots unless set
    #[arg(long, env = "H8SRD_BACKEND_CA", value_name = "FILE")]
    pub backend_ca: Option<PathBuf>,
    /// Time to connect to the backend; then the client gets 502
    #[arg(long, env = "H8SRD_CONNECT_TIMEOUT", value_name = "DURATION", default_value = "5s", value_parser = h8s_settings::duration)]
    pub connect_timeout: Duration,
    /// How long an idle connection to the backend is kept for the next request
    // Shorter than the 5 s of Node.js, and not longer than most other servers keep an idle connection.
    #[arg(long, env = "H8SRD_KEEP_ALIVE", value_name = "DURATION", default_value = "4s", value_parser = h8s_settings::duration)]
    pub keep_alive: Duration,
    /// Longest silence during a response over HTTP/1.1; then it is aborted
    #[arg(long, env = "H8SRD_IDLE_TIMEOUT", value_name = "DURATION", default_value = "5m", value_parser = h8s_settings::duration)]
    pub idle_timeout: Duration,
    /// Concurrent requests per backend; the same number more wait for up to a second, others are refused
    #[arg(long, env = "H8SRD_MAX_CONNECTIONS", value_name = "COUNT", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_connections: u32,
    /// Open WebSockets per backend; more are refused
    #[arg(long, env = "H8SRD_MAX_WEBSOCKETS", value_name = "COUNT", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_websockets: u32,
    /// Largest WebSocket message, in either direction; larger ones close with 1009. The gateway has a separate limit
    #[arg(long, env = "H8SRD_MAX_MESSAGE_SIZE", value_name = "SIZE", default_value = "16MiB", value_parser = h8s_settings::size)]
    pub max_message_size: u64,
    /// NATS queue group: all daemons of one host use the same name, and each request goes to one of them
    #[arg(long, env = "H8SRD_QUEUE_GROUP", value_name = "NAME", default_value = "h8s")]
    pub queue_group: QueueGroup,
    #[allow(missing_docs, reason = "a doc comment here would replace the program's own help")]
    #[command(flatten)]
    pub program: ProgramFlags,
    #[allow(missing_docs, reason = "a doc comment here would replace the program's own help")]
    #[command(flatten)]
    pub workers: ThreadFlags,
    #[allow(missing_docs, reason = "a doc comment here would replace the program's own help")]
    #[command(flatten)]
    pub nats: NatsFlags,
}

impl Flags {
    /// Reads flags, environment and file.
    ///
    /// # Errors
    ///
    /// All errors in them, or the requested help.
    pub fn load(argv: impl IntoIterator<Item = impl Into<std::ffi::OsString>>) -> Result<Loaded<Self>, Exit> {
        h8s_settings::load_with(argv, &[table::NAME])
    }

    /// Checks the flags together, and the backend tables of the file.
    ///
    /// # Errors
    ///
    /// All errors, one sentence each.
    pub fn configs(loaded: Loaded<Self>) -> Result<(ReverseConfig, ConnectOptions), Exit> {
        let Loaded { flags, mut tables, layers, .. } = loaded;
        let mut errors = ConfigErrors::new();
        let nats = flags.nats.config("h8srd", &mut errors);
        let tables = tables.remove(table::NAME);
        let mut mappings: Vec<_> = flags.own_mapping(tables.is_some(), &mut errors).into_iter().collect();
        mappings.extend(table::mappings(tables, &flags, &layers, &mut errors));
        let config = ReverseConfig {
            mappings,
            queue_group: flags.queue_group.clone(),
            grace_period: flags.program.grace_period,
        };
        config.check(&mut errors);
        errors.into_result()?;
        Ok((config, nats))
    }

    /// The mapping of the flags themselves, which is optional if the file has tables.
    fn own_mapping(&self, has_tables: bool, errors: &mut ConfigErrors) -> Option<MappingConfig> {
        if has_tables && self.backend_url.is_none() {
            return None;
        }
        if self.hostname.is_empty() {
            errors.push(
                "--hostname is missing; give it or set H8SRD_HOSTNAME: the host that clients request from the gateway",
            );
        }
        let url = match self.backend_url.as_deref().map(str::parse::<BackendUrl>) {
            Some(Ok(url)) => url,
            Some(Err(error)) => {
                errors.push(format!("--backend-url: {error}"));
                return None;
            }
            None => {
                errors.push(
                    "--backend-url is missing; give it or set H8SRD_BACKEND_URL, such as http://localhost:3000",
                );
                return None;
            }
        };
        Some(self.mapping(url)).filter(|mapping| !mapping.hosts.is_empty())
    }

    /// The mapping of the flags, for the backend at `url`.
    pub(super) fn mapping(&self, url: BackendUrl) -> MappingConfig {
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

fn count(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn bytes(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
