//! Why a component cannot be loaded.

use std::io;
use std::path::PathBuf;

use crate::component::exports::NEEDED;
use crate::instance::configuration::SecretError;
use h8s_settings::tls::RootsError;

/// Larger files are refused unread, because a file is read into memory as a whole. 256 MiB.
pub(super) const FILE_BYTES: u64 = 256 << 20;

/// Why a component cannot be served. Each message is one sentence that names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file does not exist.
    #[error("component {}: there is no such file", .file.display())]
    Missing {
        /// The file.
        file: PathBuf,
    },
    /// The file cannot be read.
    #[error("component {}: cannot be read: {source}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is too large.
    #[error("component {}: larger than {} MiB", .file.display(), FILE_BYTES >> 20)]
    TooLarge {
        /// The file.
        file: PathBuf,
    },
    /// The file is not WebAssembly.
    #[error("component {}: not a WebAssembly file", .file.display())]
    NotWasm {
        /// The file.
        file: PathBuf,
    },
    /// The file is a core module, not a component.
    #[error(
        "component {}: a core module, not a component (build it with --target wasm32-wasip2, or `wasm-tools \
         component new`)", .file.display()
    )]
    CoreModule {
        /// The file.
        file: PathBuf,
    },
    /// The component does not validate or does not compile.
    #[error("component {}: invalid: {}", .file.display(), one_line(.source))]
    Invalid {
        /// The file.
        file: PathBuf,
        /// The compiler's error.
        source: wasmtime::Error,
    },
    /// The component imports interfaces that this host does not offer.
    #[error("component {}: imports {} which this host does not offer", .file.display(), list(.imports))]
    UnknownImport {
        /// The file.
        file: PathBuf,
        /// All such imports.
        imports: Vec<String>,
    },
    /// An import has another type than this host offers.
    #[error("component {}: an import does not fit this host: {}", .file.display(), one_line(.source))]
    ImportMismatch {
        /// The file.
        file: PathBuf,
        /// The linker's error.
        source: wasmtime::Error,
    },
    /// The component exports no interface that this host calls.
    #[error(
        "component {}: does not export any of {NEEDED} (it exports {})", .file.display(), list(.exports)
    )]
    NoHandler {
        /// The file.
        file: PathBuf,
        /// What it exports.
        exports: Vec<String>,
    },
    /// An export has another type than this host calls.
    #[error("component {}: its export does not fit this host: {}", .file.display(), one_line(.source))]
    ExportMismatch {
        /// The file.
        file: PathBuf,
        /// The linker's error.
        source: wasmtime::Error,
    },
    /// A secret of the component cannot be read.
    #[error("component {}: {source}", .file.display())]
    Secret {
        /// The file.
        file: PathBuf,
        /// The cause.
        source: SecretError,
    },
    /// The component may send requests over TLS, and the root certificates cannot be loaded.
    #[error("component {}: {source}", .file.display())]
    Roots {
        /// The file.
        file: PathBuf,
        /// The cause.
        source: RootsError,
    },
    /// The component needs more from the start than its limits allow.
    #[error("component {}: needs {needed} {what}, the limit is {limit}", .file.display())]
    OverLimit {
        /// The file.
        file: PathBuf,
        /// The resource.
        what: &'static str,
        /// The amount that it needs.
        needed: u64,
        /// The limit.
        limit: u64,
    },
}

/// wasmtime's errors are chains whose links can have several lines.
fn one_line(error: &wasmtime::Error) -> String {
    format!("{error:#}").lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

fn list(names: &[String]) -> String {
    match names {
        [] => "nothing".into(),
        names => names.join(", "),
    }
}
