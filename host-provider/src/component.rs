//! A component, loaded from a file and ready to be instantiated: read, checked, compiled, linked.
//!
//! Every error in a file is found here, before anything runs, and reported in one sentence.

pub(crate) mod deployment;
pub(crate) mod exports;
pub(crate) mod interface;
mod load_error;

pub use self::load_error::LoadError;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use wasmtime::component::{Component as Compiled, HasSelf, InstancePre, Linker};

use crate::bindings::{config, config_draft, h8s, original};
use crate::component::exports::Exports;
use crate::component::load_error::FILE_BYTES;
use crate::engine::cache::CodeCache;
use crate::engine::limits::Limits;
use crate::engine::{HostEngine, MEMORIES_PER_COMPONENT};
use crate::instance::configuration::{Configuration, ConfigurationSource};
use crate::instance::output::GuestLog;
use crate::instance::{GuestSetup, GuestState, IdleInstances, InstanceTemplate};
use crate::outgoing::{Outgoing, OutgoingSource};
use crate::push::guest_sender::GuestSender;

/// The first bytes of every WebAssembly file.
const MAGIC: &[u8] = b"\0asm";

/// The next bytes of a component, and of a core module.
const COMPONENT_VERSION: &[u8] = &[0x0d, 0x00, 0x01, 0x00];
const CORE_VERSION: &[u8] = &[0x01, 0x00, 0x00, 0x00];

/// A component to load.
#[derive(Clone, Debug)]
pub struct ComponentSource {
    /// The file.
    pub file: PathBuf,
    /// The name in logs.
    pub name: String,
    /// The environment variables of the guest; it sees no others.
    pub environment: Vec<(String, String)>,
    /// Settings and secrets, read through `wasi:config`.
    pub configuration: ConfigurationSource,
    /// The hosts that it may send requests to.
    pub outgoing: OutgoingSource,
    /// The limits of the component.
    pub limits: Limits,
}

/// A component that is ready to be instantiated.
pub(crate) struct Component {
    pub(crate) name: Arc<str>,
    pub(crate) engine: HostEngine,
    pub(crate) template: Arc<InstanceTemplate>,
    pub(crate) exports: Exports,
    /// It may need the list of open connections.
    pub(crate) imports_sender: bool,
    /// Of the file's contents.
    pub(crate) digest: Digest,
}

impl Component {
    /// Loads `source`. Blocks while compiling: not for a runtime's thread.
    pub(crate) fn load(
        engine: &HostEngine,
        cache: Option<&CodeCache>,
        source: ComponentSource,
    ) -> Result<Self, LoadError> {
        let wasm = read(&source.file)?;
        let configuration = configuration_of(&source)?;
        let file = || source.file.clone();
        let outgoing =
            Outgoing::new(&source.outgoing).map_err(|source| LoadError::Roots { file: file(), source })?;
        Self::of(engine, cache, source, configuration, outgoing, &wasm)
    }

    /// Makes a component from the bytes [`read`] from its file and its configuration. Blocks, too.
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
            tracing::warn!(component = name, "lifecycle is exported without receiver; it is never called");
        }
        if !configuration.is_empty() && !interface::imports_config(&compiled) {
            tracing::warn!(
                component = name,
                "settings or secrets are configured, but the component does not import wasi:config"
            );
        }
        // Otherwise the first request would do it.
        compiled
            .initialize_copy_on_write_image()
            .map_err(|source| LoadError::Invalid { file: file.clone(), source })?;
        let name: Arc<str> = name.into();
        let log = GuestLog::new(Arc::clone(&name));
        let imports_sender = interface::imports_sender(&compiled);
        let idle = IdleInstances::new(Arc::clone(&name), limits.reuse, Arc::clone(engine.slots()));
        let setup = GuestSetup { environment, configuration, outgoing, limits, log };
        let template = InstanceTemplate { engine: engine.wasmtime().clone(), pre, setup, idle };
        Ok(Self {
            name,
            engine: engine.clone(),
            template: Arc::new(template),
            exports,
            imports_sender,
            digest: digest(wasm),
        })
    }
}

/// The settings of the component, and its secrets as they are now.
pub(crate) fn configuration_of(source: &ComponentSource) -> Result<Configuration, LoadError> {
    let configuration = Configuration::read(source.configuration.clone());
    configuration.map_err(|error| LoadError::Secret { file: source.file.clone(), source: error })
}

/// Identifies a file's contents.
pub(crate) type Digest = [u8; 32];

pub(crate) fn digest(wasm: &[u8]) -> Digest {
    Sha256::digest(wasm).into()
}

/// Reads a file that begins like a component.
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

/// Refuses a component that could never be instantiated.
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

/// All of WASI 0.2, because guests import it whether they use it or not; and the `sender` of both packages. The access
/// is decided per instance: no files, no sockets, outgoing HTTP to allowed hosts only.
fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<GuestState>> {
    let mut linker: Linker<GuestState> = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    config::store::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| &mut state.configuration)?;
    config_draft::runtime::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| &mut state.configuration)?;
    h8s::imported::types::add_to_linker::<_, HasSelf<_>>(&mut linker, sender)?;
    h8s::imported::sender::add_to_linker::<_, HasSelf<_>>(&mut linker, sender)?;
    original::imported::types::add_to_linker::<_, HasSelf<_>>(&mut linker, sender)?;
    original::imported::sender::add_to_linker::<_, HasSelf<_>>(&mut linker, sender)?;
    Ok(linker)
}

fn sender(state: &mut GuestState) -> &mut GuestSender {
    &mut state.sender
}
