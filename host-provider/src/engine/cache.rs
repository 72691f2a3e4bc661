//! A cache of compiled code: compiling takes a tenth of a second or more, loading a few milliseconds.
//!
//! Compiled code runs with the host's rights, so only files that this program wrote are loaded: the directory belongs to
//! this user and is closed to others (0700), files are written atomically and carry their own digest. Precompiled files
//! are accepted from nowhere else.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

/// Files kept; beyond that the least recently used are deleted. A rebuilt component is a new file of about a megabyte; a
/// host that serves more components than this would find none of them at its next start.
const FILES_KEPT: usize = 512;

const DIGEST_BYTES: usize = 32;

/// A directory of compiled components.
#[derive(Clone, Debug)]
pub struct CodeCache {
    directory: PathBuf,
}

/// The directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// It cannot be created or read.
    #[error("the code cache {directory} cannot be used: {source}")]
    Unusable {
        /// The directory.
        directory: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Other users could write into it, and so make this process run their code.
    #[error("the code cache {directory} is open to other users; it must belong to this user, with mode 0700")]
    NotPrivate {
        /// The directory.
        directory: PathBuf,
    },
}

impl CodeCache {
    /// The default directory: `$XDG_CACHE_HOME/h8s/code`, or `~/.cache/h8s/code`; `None` if neither is known.
    pub fn default_directory() -> Option<PathBuf> {
        let absolute =
            |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let caches =
            absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
        Some(caches.join("h8s/code"))
    }

    /// Uses `directory`, and creates it if it is missing.
    ///
    /// # Errors
    ///
    /// [`CacheError`] if it cannot be created, or is open to other users.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, CacheError> {
        let directory = directory.into();
        match make_private(&directory).and_then(|()| is_private(&directory)) {
            Ok(true) => Ok(Self { directory }),
            Ok(false) => Err(CacheError::NotPrivate { directory }),
            Err(source) => Err(CacheError::Unusable { directory, source }),
        }
    }

    /// The compiled code of `wasm`, if it is cached and intact.
    pub(crate) fn load(&self, engine: &Engine, wasm: &[u8]) -> Option<Component> {
        let path = self.path(engine, wasm);
        let file = fs::read(&path).ok()?;
        let Some(code) = verified(&file) else {
            tracing::warn!(file = %path.display(), "damaged file in the code cache; recompiling");
            return None;
        };
        // SAFETY: `deserialize` must only be given what `serialize` of the same wasmtime made, for it is run
        // as native code. The directory is this user's alone (checked by `open`), files in it are written by
        // `store` only, and the digest just verified shows that these very bytes are what was written. Version
        // and settings of the engine are part of the file's name, and wasmtime checks them again.
        #[allow(unsafe_code, reason = "there is no other way to load compiled code; see SAFETY")]
        let component = unsafe { Component::deserialize(engine, code) };
        match component {
            Ok(component) => {
                touch(&path);
                Some(component)
            }
            Err(error) => {
                let cause = format_args!("{error:#}").to_string();
                tracing::warn!(file = %path.display(), cause, "unusable file in the code cache; recompiling");
                None
            }
        }
    }

    /// Stores compiled code. A failure only costs time at the next start, so it is only logged.
    pub(crate) fn store(&self, engine: &Engine, wasm: &[u8], component: &Component) {
        let path = self.path(engine, wasm);
        if let Err(error) = self.try_store(&path, component) {
            let cause = format!("{error:#}");
            tracing::warn!(file = %path.display(), cause, "compiled code could not be cached");
        }
    }

    fn try_store(&self, path: &Path, component: &Component) -> wasmtime::Result<()> {
        let code = component.serialize()?;
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        file.write_all(&Sha256::digest(&code))?;
        file.write_all(&code)?;
        // Rename only what has reached the disk, so that a crash leaves the old file or the whole new one.
        file.as_file().sync_data()?;
        file.persist(path)?;
        self.forget_oldest()?;
        Ok(())
    }

    fn forget_oldest(&self) -> io::Result<()> {
        let mut files: Vec<(SystemTime, PathBuf)> = fs::read_dir(&self.directory)?
            .filter_map(|entry| entry.ok())
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        files.sort();
        let surplus = files.len().saturating_sub(FILES_KEPT);
        files[..surplus].iter().try_for_each(|(_, path)| match fs::remove_file(path) {
            // Another load has just removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        })
    }

    /// The name covers all that the code depends on: the component, and in the engine's hash its settings, the processor's
    /// features and wasmtime's exact version.
    fn path(&self, engine: &Engine, wasm: &[u8]) -> PathBuf {
        let mut key = KeyHasher(Sha256::new());
        std::hash::Hash::hash(&engine.precompile_compatibility_hash(), &mut key);
        key.0.update(Sha256::digest(wasm));
        let name: String = key.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        self.directory.join(name)
    }
}

/// Feeds a `Hash` to SHA-256.
struct KeyHasher(Sha256);

impl std::hash::Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        unreachable!("the digest is taken from the inner hasher")
    }
}

/// The code in a file of the cache, if it is the code that was written.
fn verified(file: &[u8]) -> Option<&[u8]> {
    let (digest, code) = file.split_at_checked(DIGEST_BYTES)?;
    (Sha256::digest(code).as_slice() == digest).then_some(code)
}

/// Marks a file as recently used.
fn touch(path: &Path) {
    let touched = File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
    if let Err(error) = touched {
        tracing::debug!(file = %path.display(), %error, "time of use not recorded");
    }
}

#[cfg(unix)]
fn make_private(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Whether the directory is closed to others, and belongs to the owner of this process's files.
#[cfg(unix)]
fn is_private(directory: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(directory)?;
    let own = tempfile::tempfile_in(directory)?.metadata()?.uid();
    Ok(metadata.mode() & 0o077 == 0 && metadata.uid() == own)
}

#[cfg(not(unix))]
fn make_private(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).create(directory)
}

/// Elsewhere a user's cache directory is private by custom.
#[cfg(not(unix))]
fn is_private(_directory: &Path) -> io::Result<bool> {
    Ok(true)
}
