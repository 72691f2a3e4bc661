//! A component, loaded from a file and ready to be instantiated: read, checked, compiled, linked.
//!
//! Everything that can be wrong with a file is found here, before anything runs, and told in one sentence.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use wasmtime::component::{Component as Compiled, HasSelf, InstancePre, Linker};

use crate::bindings::{config, config_draft, h8s, original};
use crate::cache::CodeCache;
use h8s_settings::tls::RootsError;

use crate::configuration::{Configuration, ConfigurationSource, SecretError};
use crate::engine::{HostEngine, MEMORIES_PER_COMPONENT};
use crate::exports::{Exports, NEEDED};
use crate::idle::IdleInstances;
use crate::instance::GuestState;
use crate::interface;
use crate::limits::Limits;
use crate::outgoing::{Outgoing, OutgoingSource};
use crate::output::GuestLog;
use crate::sending::Sending;

/// Larger files are refused unread: no component is, and all of it goes into memory. 256 MiB.
const FILE_BYTES: u64 = 256 << 20;

/// The first bytes of every WebAssembly file.
const MAGIC: &[u8] = b"\0asm";

/// What follows in a component, and in a core module.
const COMPONENT_VERSION: &[u8] = &[0x0d, 0x00, 0x01, 0x00];
const CORE_VERSION: &[u8] = &[0x01, 0x00, 0x00, 0x00];

/// A component that cannot be served, and why. Each message is one sentence that names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// It is not there.
    #[error("component {}: there is no such file", .file.display())]
    Missing {
        /// The file.
        file: PathBuf,
    },
    /// It cannot be read.
    #[error("component {}: cannot be read: {source}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is larger than any component.
    #[error("component {}: larger than {} MiB", .file.display(), FILE_BYTES >> 20)]
    TooLarge {
        /// The file.
        file: PathBuf,
    },
    /// It is something else altogether.
    #[error("component {}: not a WebAssembly file", .file.display())]
    NotWasm {
        /// The file.
        file: PathBuf,
    },
    /// It is WebAssembly, but not a component.
    #[error(
        "component {}: a core module, not a component (build it with --target wasm32-wasip2, or `wasm-tools \
         component new`)", .file.display()
    )]
    CoreModule {
        /// The file.
        file: PathBuf,
    },
    /// It does not validate or does not compile.
    #[error("component {}: not valid: {}", .file.display(), one_line(.source))]
    Invalid {
        /// The file.
        file: PathBuf,
        /// What the compiler says.
        source: wasmtime::Error,
    },
    /// It needs what this host does not offer.
    #[error("component {}: imports {} which this host does not offer", .file.display(), list(.imports))]
    UnknownImport {
        /// The file.
        file: PathBuf,
        /// Every such import.
        imports: Vec<String>,
    },
    /// An import is known by name, but not in this shape.
    #[error("component {}: an import does not fit this host: {}", .file.display(), one_line(.source))]
    ImportMismatch {
        /// The file.
        file: PathBuf,
        /// What the linker says.
        source: wasmtime::Error,
    },
    /// Nothing in it answers requests or takes messages.
    #[error(
        "component {}: does not export any of {NEEDED} (it exports {})", .file.display(), list(.exports)
    )]
    NoHandler {
        /// The file.
        file: PathBuf,
        /// What it does export.
        exports: Vec<String>,
    },
    /// It exports one of them in another shape.
    #[error("component {}: its export does not fit this host: {}", .file.display(), one_line(.source))]
    ExportMismatch {
        /// The file.
        file: PathBuf,
        /// What the linker says.
        source: wasmtime::Error,
    },
    /// It is to be told a secret that is not there.
    #[error("component {}: {source}", .file.display())]
    Secret {
        /// The file.
        file: PathBuf,
        /// Which, and why not.
        source: SecretError,
    },
    /// It may send requests over TLS, and there is nobody whose certificates to trust.
    #[error("component {}: {source}", .file.display())]
    Roots {
        /// The file.
        file: PathBuf,
        /// Why.
        source: RootsError,
    },
    /// It starts out larger than it may be.
    #[error("component {}: needs {needed} {what}, the limit is {limit}", .file.display())]
    OverLimit {
        /// The file.
        file: PathBuf,
        /// Of what.
        what: &'static str,
        /// How much it needs from the start.
        needed: u64,
        /// How much it may have.
        limit: u64,
    },
}

/// wasmtime's errors are chains, and their links can have several lines.
fn one_line(error: &wasmtime::Error) -> String {
    format!("{error:#}").lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

fn list(names: &[String]) -> String {
    match names {
        [] => "nothing".into(),
        names => names.join(", "),
    }
}

/// What is to be loaded.
#[derive(Clone, Debug)]
pub struct ComponentSource {
    /// The file.
    pub file: PathBuf,
    /// What logs call it.
    pub name: String,
    /// The environment variables that it sees: these and no others.
    pub environment: Vec<(String, String)>,
    /// What it is told through `wasi:config`.
    pub configuration: ConfigurationSource,
    /// Where it may send requests.
    pub outgoing: OutgoingSource,
    /// What it may use.
    pub limits: Limits,
}

/// A component that is ready to be instantiated.
pub(crate) struct Component {
    pub(crate) name: Arc<str>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) configuration: Configuration,
    pub(crate) outgoing: Option<Arc<Outgoing>>,
    pub(crate) limits: Limits,
    pub(crate) log: Arc<GuestLog>,
    pub(crate) engine: HostEngine,
    pub(crate) pre: InstancePre<GuestState>,
    pub(crate) exports: Exports,
    /// Instances that may have further calls.
    pub(crate) idle: Arc<IdleInstances>,
    /// It may want to know who is connected.
    pub(crate) imports_sender: bool,
    /// Of the file's contents.
    pub(crate) digest: Digest,
}

impl Component {
    /// Loads `source`. Takes as long as compiling does: not for the thread of a runtime.
    pub(crate) fn load(
        engine: &HostEngine,
        cache: Option<&CodeCache>,
        source: ComponentSource,
    ) -> Result<Self, LoadError> {
        let wasm = read(&source.file)?;
        let configuration = told(&source)?;
        let file = || source.file.clone();
        let outgoing =
            Outgoing::new(&source.outgoing).map_err(|source| LoadError::Roots { file: file(), source })?;
        Self::of(engine, cache, source, configuration, outgoing, &wasm)
    }

    /// Makes a component of what was [`read`] from its file, with what it is [`told`]. Takes as long.
    pub(crate) fn of(
        engine: &HostEngine,
        cache: Option<&CodeCache>,
        source: ComponentSource,
        configuration: Configuration,
        outgoing: Option<Arc<Outgoing>>,
        wasm: &[u8],
    ) -> Result<Self, LoadError> {
        let ComponentSource { file, name, environment, limits, .. } = source;
        let compiled = compiled(engine.wasmtime(), cache, &file, wasm)?;
        check_needs(&compiled, &limits, &file)?;
        let (pre, exports) = link(engine.wasmtime(), &compiled, &file)?;
        if exports.lifecycle.is_some() && exports.receiver.is_none() {
            tracing::warn!(component = name, "lifecycle is exported without receiver, and never called");
        }
        if !configuration.is_empty() && !interface::imports_config(&compiled) {
            tracing::warn!(
                component = name,
                "settings and secrets are given, and it does not import wasi:config"
            );
        }
        // The first request would pay for it otherwise.
        compiled
            .initialize_copy_on_write_image()
            .map_err(|source| LoadError::Invalid { file: file.clone(), source })?;
        let name: Arc<str> = name.into();
        let log = GuestLog::new(Arc::clone(&name));
        let imports_sender = interface::imports_sender(&compiled);
        let idle = IdleInstances::new(Arc::clone(&name), limits.reuse, Arc::clone(engine.slots()));
        Ok(Self {
            name,
            environment,
            configuration,
            outgoing,
            limits,
            log,
            engine: engine.clone(),
            pre,
            exports,
            idle,
            imports_sender,
            digest: digest(wasm),
        })
    }
}

/// What the component is told: settings, and secrets as they are now.
pub(crate) fn told(source: &ComponentSource) -> Result<Configuration, LoadError> {
    let configuration = Configuration::read(source.configuration.clone());
    configuration.map_err(|error| LoadError::Secret { file: source.file.clone(), source: error })
}

/// What tells one file's contents from another's.
pub(crate) type Digest = [u8; 32];

pub(crate) fn digest(wasm: &[u8]) -> Digest {
    Sha256::digest(wasm).into()
}

/// The bytes of a file that looks like a component.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>, LoadError> {
    let mut wasm = Vec::new();
    let read = File::open(file).and_then(|open| open.take(FILE_BYTES + 1).read_to_end(&mut wasm));
    let file = file.to_owned();
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(LoadError::Missing { file }),
        Err(source) => return Err(LoadError::Unreadable { file, source }),
        Ok(length) if length as u64 > FILE_BYTES => return Err(LoadError::TooLarge { file }),
        Ok(_) => {}
    }
    match wasm.strip_prefix(MAGIC) {
        Some(rest) if rest.starts_with(COMPONENT_VERSION) => Ok(wasm),
        Some(rest) if rest.starts_with(CORE_VERSION) => Err(LoadError::CoreModule { file }),
        _ => Err(LoadError::NotWasm { file }),
    }
}

fn compiled(
    engine: &wasmtime::Engine,
    cache: Option<&CodeCache>,
    file: &Path,
    wasm: &[u8],
) -> Result<Compiled, LoadError> {
    if let Some(component) = cache.and_then(|cache| cache.load(engine, wasm)) {
        return Ok(component);
    }
    let component = Compiled::from_binary(engine, wasm)
        .map_err(|source| LoadError::Invalid { file: file.to_owned(), source })?;
    if let Some(cache) = cache {
        cache.store(engine, wasm, &component);
    }
    Ok(component)
}

/// Refuses at load what could never be instantiated.
fn check_needs(component: &Compiled, limits: &Limits, file: &Path) -> Result<(), LoadError> {
    let Some(needs) = component.resources_required() else { return Ok(()) };
    let checks = [
        ("memories", u64::from(needs.num_memories), u64::from(MEMORIES_PER_COMPONENT)),
        // Counted in pages of 64 KiB.
        ("bytes of memory", needs.max_initial_memory_size.unwrap_or(0) << 16, limits.memory_bytes as u64),
        ("table elements", needs.max_initial_table_size.unwrap_or(0), limits.table_elements as u64),
    ];
    match checks.into_iter().find(|(_, needed, limit)| needed > limit) {
        Some((what, needed, limit)) => {
            Err(LoadError::OverLimit { file: file.to_owned(), what, needed, limit })
        }
        None => Ok(()),
    }
}

fn link(
    engine: &wasmtime::Engine,
    component: &Compiled,
    file: &Path,
) -> Result<(InstancePre<GuestState>, Exports), LoadError> {
    let file = || file.to_owned();
    let linker = linker(engine).map_err(|source| LoadError::ImportMismatch { file: file(), source })?;
    let pre = linker.instantiate_pre(component).map_err(|source| {
        let imports = interface::unknown_imports(&linker, component);
        match imports.is_empty() {
            true => LoadError::ImportMismatch { file: file(), source },
            false => LoadError::UnknownImport { file: file(), imports },
        }
    })?;
    let exports = Exports::of(&pre).map_err(|source| LoadError::ExportMismatch { file: file(), source })?;
    if !exports.has_http() && exports.receiver.is_none() {
        return Err(LoadError::NoHandler { file: file(), exports: interface::exports(component) });
    }
    Ok((pre, exports))
}

/// All of WASI 0.2, for guests import it whether they use it or not. What it gives access to is decided per
/// instance: no files, no sockets, outgoing HTTP to hosts that are allowed. And what guests import of ours, or of the original's.
fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<GuestState>> {
    let mut linker: Linker<GuestState> = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    config::store::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| &mut state.configuration)?;
    config_draft::runtime::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| &mut state.configuration)?;
    h8s::imported::types::add_to_linker::<_, HasSelf<_>>(&mut linker, sending)?;
    h8s::imported::sender::add_to_linker::<_, HasSelf<_>>(&mut linker, sending)?;
    original::imported::types::add_to_linker::<_, HasSelf<_>>(&mut linker, sending)?;
    original::imported::sender::add_to_linker::<_, HasSelf<_>>(&mut linker, sending)?;
    Ok(linker)
}

fn sending(state: &mut GuestState) -> &mut Sending {
    &mut state.sending
}
