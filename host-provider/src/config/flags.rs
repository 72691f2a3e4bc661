//! The flags of `h8s-host`, and the configuration made from them.

use std::path::PathBuf;
use std::time::Duration;

use h8s_nats::ConnectOptions;
use h8s_settings::{ConfigErrors, Exit, Loaded, NatsFlags, ProgramFlags};
use h8s_wire::{Host, MethodPattern, PathPattern};

use crate::config::guest_flags::GuestFlags;
use crate::config::host::{HostConfig, ServedSource};
use crate::config::table;
use crate::engine::cache::CodeCache;
use crate::engine::limits::Limits;
use crate::instance::configuration::ConfigurationSource;
use crate::outgoing::OutgoingSource;

/// The flags of `h8s-host`. Each is also a key of the `--config` file, and an environment variable unless it is
/// repeatable. They apply to every component; a `component` table of the file overrides them for its component.
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "h8s-host",
    version,
    about = "Runs WebAssembly components that serve HTTP and WebSockets from NATS"
)]
pub struct Flags {
    /// Component to serve: a .wasm file that exports wasi:http/incoming-handler, or request-reply or receiver of
    /// h8s:provider
    #[arg(value_name = "COMPONENT")]
    pub components: Vec<PathBuf>,
    /// TOML file with the same keys as the flags, and a [[component]] table for each further component
    #[arg(long, env = "H8S_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Serve requests and WebSockets for this host
    #[arg(long, env = "H8S_HOST", value_name = "HOST", default_value = "localhost")]
    pub host: Host,
    /// Serve this path; /api/* is /api and everything below it
    #[arg(long, env = "H8S_PATH", value_name = "PATH", default_value = "/*")]
    pub path: PathPattern,
    /// Serve these HTTP methods, comma-separated
    #[arg(long, env = "H8S_METHODS", value_name = "METHODS", default_value = "ANY", value_delimiter = ',', value_parser = table::method)]
    pub methods: Vec<MethodPattern>,
    #[allow(missing_docs, reason = "a doc comment here would replace the program's own help")]
    #[command(flatten)]
    pub guest: GuestFlags,
    /// Memory limit of one instance, such as 64MiB; a guest that needs more fails with 500
    #[arg(long, env = "H8S_MAX_MEMORY", value_name = "SIZE", default_value = "128MiB", value_parser = table::memory)]
    pub max_memory: usize,
    /// Timeout of the response head, counted from the last piece of the request body that the component read; then the
    /// client gets 504
    #[arg(long, env = "H8S_TIMEOUT", value_name = "DURATION", default_value = "30s", value_parser = table::timeout)]
    pub timeout: Duration,
    /// Processor time limit of one request, waiting not counted; then the component is stopped
    #[arg(long, env = "H8S_CPU_BUDGET", value_name = "DURATION", default_value = "10s", value_parser = table::timeout)]
    pub cpu_budget: Duration,
    /// Concurrent requests of one component; as many more wait for up to a second, and the rest is refused
    #[arg(long, env = "H8S_CONCURRENCY", value_name = "COUNT", default_value = "256", value_parser = table::concurrency)]
    pub concurrency: usize,
    /// Requests that one instance serves in sequence. More than 1 is faster, but data that a request leaves in memory is
    /// visible to the next
    #[arg(long, env = "H8S_REUSE", value_name = "COUNT", default_value = "1", value_parser = table::reuse)]
    pub reuse: u32,
    /// Reload a component when its file changes; SIGHUP reloads all, also without this flag
    #[arg(long, env = "H8S_WATCH")]
    pub watch: bool,
    /// Directory for compiled code, kept between starts. Default: h8s/code in the user's cache directory
    #[arg(long, env = "H8S_CACHE_DIR", value_name = "DIRECTORY")]
    pub cache_dir: Option<PathBuf>,
    /// Compile at every start, without a cache
    #[arg(long, env = "H8S_NO_CACHE", conflicts_with = "cache_dir")]
    pub no_cache: bool,
    #[allow(missing_docs, reason = "a doc comment here would replace the program's own help")]
    #[command(flatten)]
    pub program: ProgramFlags,
    #[allow(missing_docs, reason = "a doc comment here would replace the program's own help")]
    #[command(flatten)]
    pub nats: NatsFlags,
}

impl Flags {
    /// Reads flags, environment and file.
    ///
    /// # Errors
    ///
    /// An [`Exit`] with all errors in them, or with the requested help.
    pub fn load(argv: impl IntoIterator<Item = impl Into<std::ffi::OsString>>) -> Result<Loaded<Self>, Exit> {
        h8s_settings::load_with(argv, &[table::NAME])
    }

    /// Checks combinations of flags, and the component tables of the file.
    ///
    /// # Errors
    ///
    /// An [`Exit`] with all errors, one sentence each.
    pub fn configs(loaded: Loaded<Self>) -> Result<(HostConfig, ConnectOptions), Exit> {
        let Loaded { flags, mut tables, .. } = loaded;
        let mut mistakes = ConfigErrors::new();
        let nats = flags.nats.config("h8s-host", &mut mistakes);
        flags.guest.check(&mut mistakes);
        let mut components: Vec<ServedSource> =
            flags.components.iter().map(|file| flags.served(file)).collect();
        let tables = tables.remove(table::NAME);
        components.extend(table::components(tables, &flags, &mut mistakes));
        if components.is_empty() && mistakes.is_empty() {
            mistakes.push(
                "there is no component to serve; name a .wasm file, or add a [[component]] table to the --config file",
            );
        }
        // Creates a directory, so only if the program will start.
        let cache = if mistakes.is_empty() { flags.cache(&mut mistakes) } else { None };
        mistakes.into_result()?;
        let (watch, grace_period) = (flags.watch, flags.program.grace_period);
        Ok((HostConfig { components, cache, watch, grace_period }, nats))
    }

    /// A component with the settings of the flags.
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

    fn cache(&self, mistakes: &mut ConfigErrors) -> Option<CodeCache> {
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
                tracing::warn!(cause = %error, "no code cache; components are compiled at every start");
                None
            }
        }
    }
}
