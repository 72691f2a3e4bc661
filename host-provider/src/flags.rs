//! The flags of `h8s-host`, and what they come to.

use std::path::PathBuf;
use std::time::Duration;

use h8s_nats::ConnectOptions;
use h8s_settings::{Exit, Loaded, LogFormat, Mistakes, NatsFlags};
use h8s_wire::{Host, MethodPattern, PathPattern};

use crate::cache::CodeCache;
use crate::configuration::ConfigurationSource;
use crate::guest_flags::GuestFlags;
use crate::host::{HostConfig, ServedSource};
use crate::limits::Limits;
use crate::outgoing::OutgoingSource;
use crate::table;

/// The flags of `h8s-host`. Each is a key of the `--config` file, and an environment variable unless it may be given
/// several times. They hold for every component; a `component` table of the file may say otherwise for itself.
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "h8s-host",
    version,
    about = "Runs WebAssembly components that serve HTTP and WebSockets from NATS"
)]
pub struct Flags {
    /// The component to serve: a .wasm file that exports wasi:http/incoming-handler, or request-reply or receiver of
    /// h8s:provider
    #[arg(value_name = "COMPONENT")]
    pub components: Vec<PathBuf>,
    /// A TOML file with the same keys as the flags, and tables named component for further components
    #[arg(long, env = "H8S_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Serve requests and WebSockets for this host
    #[arg(long, env = "H8S_HOST", value_name = "HOST", default_value = "localhost")]
    pub host: Host,
    /// Serve this path; /api/* is /api and everything below it
    #[arg(long, env = "H8S_PATH", value_name = "PATH", default_value = "/*")]
    pub path: PathPattern,
    /// Serve these methods of HTTP, comma-separated
    #[arg(long, env = "H8S_METHODS", value_name = "METHODS", default_value = "ANY", value_delimiter = ',', value_parser = table::method)]
    pub methods: Vec<MethodPattern>,
    #[allow(missing_docs, reason = "a doc comment here would replace the program's own help")]
    #[command(flatten)]
    pub guest: GuestFlags,
    /// Memory of one instance, such as 64MiB; a guest that needs more fails with 500
    #[arg(long, env = "H8S_MAX_MEMORY", value_name = "SIZE", default_value = "128MiB", value_parser = table::memory)]
    pub max_memory: usize,
    /// How long a component may take until its response head, counted from the last piece of the request's body that it
    /// took; then the client gets 504
    #[arg(long, env = "H8S_TIMEOUT", value_name = "DURATION", default_value = "30s", value_parser = table::timeout)]
    pub timeout: Duration,
    /// How long a component may compute for one request, waiting not counted; then it is stopped
    #[arg(long, env = "H8S_CPU_BUDGET", value_name = "DURATION", default_value = "10s", value_parser = table::timeout)]
    pub cpu_budget: Duration,
    /// Requests that one component works on at a time; as many more may wait for a second, and the rest is refused
    #[arg(long, env = "H8S_CONCURRENCY", value_name = "COUNT", default_value = "256", value_parser = table::concurrency)]
    pub concurrency: usize,
    /// Requests that one instance of a component may answer, one after the other. More than 1 is faster, and lets what one
    /// request leaves in memory be seen by the next
    #[arg(long, env = "H8S_REUSE", value_name = "COUNT", default_value = "1", value_parser = table::reuse)]
    pub reuse: u32,
    /// Swap a component in when its file changes; SIGHUP does that for all, also without this
    #[arg(long, env = "H8S_WATCH")]
    pub watch: bool,
    /// Where compiled code is kept from one start to the next. Unless set: h8s/code in the user's cache directory
    #[arg(long, env = "H8S_CACHE_DIR", value_name = "DIRECTORY")]
    pub cache_dir: Option<PathBuf>,
    /// Compile at every start, and keep nothing
    #[arg(long, env = "H8S_NO_CACHE", conflicts_with = "cache_dir")]
    pub no_cache: bool,
    /// At SIGTERM: how long requests under way may take to end. A second signal ends at once
    // Less than the 30 s after which Kubernetes and most others kill.
    #[arg(long, env = "H8S_GRACE_PERIOD", value_name = "DURATION", default_value = "25s", value_parser = h8s_settings::duration)]
    pub grace_period: Duration,
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

    /// Checks what no flag can check alone, and the component tables of the file.
    ///
    /// # Errors
    ///
    /// All mistakes, one sentence each.
    pub fn configs(loaded: Loaded<Self>) -> Result<(HostConfig, ConnectOptions), Exit> {
        let Loaded { flags, mut tables, .. } = loaded;
        let mut mistakes = Mistakes::new();
        let nats = flags.nats.config("h8s-host", &mut mistakes);
        flags.guest.check(&mut mistakes);
        let mut components: Vec<ServedSource> =
            flags.components.iter().map(|file| flags.served(file)).collect();
        let tables = tables.remove(table::NAME);
        components.extend(table::components(tables, &flags, &mut mistakes));
        if components.is_empty() && mistakes.is_empty() {
            mistakes.push(
                "there is no component to serve: name a .wasm file, or a [[component]] in the --config file",
            );
        }
        // Makes a directory, which is for those who really start.
        let cache = if mistakes.is_empty() { flags.cache(&mut mistakes) } else { None };
        mistakes.into_result()?;
        let (watch, grace_period) = (flags.watch, flags.grace_period);
        Ok((HostConfig { components, cache, watch, grace_period }, nats))
    }

    /// A component as the flags would have it served.
    pub(crate) fn served(&self, file: &std::path::Path) -> ServedSource {
        let limits = Limits {
            memory_bytes: self.max_memory,
            timeout: self.timeout,
            cpu_budget: self.cpu_budget,
            concurrency: self.concurrency,
            queue: self.concurrency,
            reuse: self.reuse,
            ..Limits::default()
        };
        let mut source = crate::ComponentSource {
            name: file.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned()),
            file: file.to_owned(),
            environment: Vec::new(),
            configuration: ConfigurationSource::default(),
            outgoing: OutgoingSource::default(),
            limits,
        };
        self.guest.apply(&mut source);
        ServedSource {
            source,
            hosts: vec![self.host.clone()],
            path: self.path.clone(),
            methods: self.methods.clone(),
        }
    }

    fn cache(&self, mistakes: &mut Mistakes) -> Option<CodeCache> {
        if self.no_cache {
            return None;
        }
        let directory = self.cache_dir.clone().or_else(CodeCache::default_directory)?;
        match CodeCache::open(directory) {
            Ok(cache) => Some(cache),
            Err(error) if self.cache_dir.is_some() => {
                mistakes.push(format!("--cache-dir: {error}"));
                None
            }
            Err(error) => {
                tracing::warn!(cause = %error, "compiling at every start");
                None
            }
        }
    }
}
