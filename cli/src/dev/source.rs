//! A component's directory, built by cargo.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

/// The compilation target of components.
pub(crate) const TARGET: &str = "wasm32-wasip2";

/// Why a directory yields no component. Displays as one sentence that begins with the directory.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error("{}: no Cargo.toml in this directory; name a .wasm file, or a component's directory", .directory.display())]
    NoManifest { directory: PathBuf },
    #[error("{}: Cargo.toml has no [package]; name the directory of one component", .directory.display())]
    NoPackage { directory: PathBuf },
    #[error("{}: cannot run {program} ({source}); install Rust (https://rustup.rs), or name a .wasm file", .directory.display())]
    NoCargo { directory: PathBuf, program: &'static str, source: io::Error },
    #[error(
        "{}: Rust's target {TARGET} is not installed, and installing it failed ({why}); run `rustup target add {TARGET}`",
        .directory.display()
    )]
    NoTarget { directory: PathBuf, why: String },
    #[error("{}: build failed; see cargo's output above", .directory.display())]
    BuildFailed { directory: PathBuf },
    #[error("{}: the build made no .wasm file; Cargo.toml needs [lib] with crate-type = [\"cdylib\"]", .directory.display())]
    NoArtifact { directory: PathBuf },
    #[error("{}: the build made several .wasm files ({}); name the directory of one component", .directory.display(), .names.join(", "))]
    SeveralArtifacts { directory: PathBuf, names: Vec<String> },
}

/// Builds the component in `directory`, with cargo's output on standard error. Returns its file.
///
/// # Errors
/// See [`SourceError`].
///
/// # Cancel safety
/// Dropping it kills cargo.
pub(crate) async fn build(directory: &Path, is_quiet: bool) -> Result<PathBuf, SourceError> {
    let owned = || directory.to_owned();
    let Ok(manifest) = std::fs::read_to_string(directory.join("Cargo.toml")) else {
        return Err(SourceError::NoManifest { directory: owned() });
    };
    // Checked before building: cargo would build a whole workspace first. Cargo reports invalid TOML itself.
    if manifest.parse().is_ok_and(|manifest: toml::Table| !manifest.contains_key("package")) {
        return Err(SourceError::NoPackage { directory: owned() });
    }
    ensure_target(directory).await?;
    let artifacts = cargo_build(directory, is_quiet).await?;
    the_component(directory, artifacts)
}

fn command(program: &str, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory).stdin(Stdio::null()).kill_on_drop(true);
    command
}

fn no_cargo(directory: &Path, program: &'static str) -> impl FnOnce(io::Error) -> SourceError {
    move |source| SourceError::NoCargo { directory: directory.to_owned(), program, source }
}

/// Installs the target if it is missing, with rustup.
async fn ensure_target(directory: &Path) -> Result<(), SourceError> {
    let printed = command("rustc", directory).args(["--print", "target-libdir", "--target", TARGET]).output();
    let printed = printed.await.map_err(no_cargo(directory, "rustc"))?;
    // Cargo reports an error of rustc better.
    if !printed.status.success() || Path::new(String::from_utf8_lossy(&printed.stdout).trim()).is_dir() {
        return Ok(());
    }
    eprintln!("Rust's target {TARGET} is not installed: running `rustup target add {TARGET}`");
    let added = command("rustup", directory).args(["target", "add", TARGET]).stdout(io::stderr()).status();
    let why = match added.await {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => format!("rustup failed, {status}"),
        Err(error) => format!("cannot run rustup: {error}"),
    };
    Err(SourceError::NoTarget { directory: directory.to_owned(), why })
}

/// Runs cargo; returns the artifacts that it reports.
async fn cargo_build(directory: &Path, is_quiet: bool) -> Result<Vec<Artifact>, SourceError> {
    let mut cargo = command("cargo", directory);
    cargo.args(["build", "--release", "--target", TARGET, "--message-format=json-render-diagnostics"]);
    if is_quiet {
        cargo.arg("--quiet");
    }
    let mut cargo = cargo.stdout(Stdio::piped()).spawn().map_err(no_cargo(directory, "cargo"))?;
    let mut artifacts = Vec::new();
    if let Some(stdout) = cargo.stdout.take() {
        let mut lines = BufReader::new(stdout).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            artifacts.extend(Artifact::read(&line));
        }
    }
    match cargo.wait().await.map_err(no_cargo(directory, "cargo"))? {
        status if status.success() => Ok(artifacts),
        _ => Err(SourceError::BuildFailed { directory: directory.to_owned() }),
    }
}

/// A `.wasm` file that cargo has made, or found up to date.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Artifact {
    manifest: PathBuf,
    file: PathBuf,
}

impl Artifact {
    /// Reads a line of `cargo build --message-format=json`. `None` for other messages.
    fn read(line: &str) -> Option<Self> {
        let message: Value = serde_json::from_str(line).ok()?;
        if message.get("reason")? != "compiler-artifact" {
            return None;
        }
        let files = message.get("filenames")?.as_array()?.iter().filter_map(Value::as_str).map(PathBuf::from);
        let file = files.into_iter().find(|file| file.extension() == Some(OsStr::new("wasm")))?;
        Some(Self { manifest: message.get("manifest_path")?.as_str()?.into(), file })
    }
}

/// Dependencies may be components, too; the directory's own take precedence.
fn the_component(directory: &Path, artifacts: Vec<Artifact>) -> Result<PathBuf, SourceError> {
    let manifest = directory.join("Cargo.toml").canonicalize().unwrap_or_default();
    let is_own = |artifact: &Artifact| artifact.manifest.canonicalize().is_ok_and(|path| path == manifest);
    let (own, others): (Vec<Artifact>, Vec<Artifact>) = artifacts.into_iter().partition(is_own);
    let mut built = if own.is_empty() { others } else { own };
    match built.len() {
        0 => Err(SourceError::NoArtifact { directory: directory.to_owned() }),
        1 => Ok(built.remove(0).file),
        _ => {
            let name = |artifact: &Artifact| artifact.file.file_name()?.to_str().map(str::to_owned);
            let names = built.iter().filter_map(name).collect();
            Err(SourceError::SeveralArtifacts { directory: directory.to_owned(), names })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact(manifest: &Path, file: &str) -> Artifact {
        Artifact { manifest: manifest.to_owned(), file: file.into() }
    }

    #[test]
    fn only_wasm_artifacts_are_read() {
        let line = |reason: &str, file: &str| {
            let message = serde_json::json!({
                "reason": reason, "manifest_path": "/a/Cargo.toml", "filenames": ["/t/a.d", file],
            });
            Artifact::read(&message.to_string())
        };

        assert_eq!(
            line("compiler-artifact", "/t/a.wasm"),
            Some(artifact(Path::new("/a/Cargo.toml"), "/t/a.wasm"))
        );
        assert_eq!(line("compiler-artifact", "/t/a.rlib"), None);
        assert_eq!(line("build-finished", "/t/a.wasm"), None);
        assert_eq!(Artifact::read("   Compiling a"), None);
        assert_eq!(Artifact::read("{}"), None);
    }

    #[test]
    fn the_directory_s_own_component_precedes_its_dependencies() {
        let directory = tempfile::tempdir().unwrap();
        let manifest = directory.path().join("Cargo.toml");
        std::fs::write(&manifest, "").unwrap();
        let (own, other) = (artifact(&manifest, "own.wasm"), artifact(Path::new("/x/Cargo.toml"), "x.wasm"));

        let chosen = |artifacts: &[&Artifact]| {
            let artifacts = artifacts.iter().map(|artifact| (*artifact).clone()).collect();
            the_component(directory.path(), artifacts).map_err(|error| error.to_string())
        };
        assert_eq!(chosen(&[&other, &own]).unwrap(), Path::new("own.wasm"));
        assert_eq!(chosen(&[&other]).unwrap(), Path::new("x.wasm"));
        assert!(chosen(&[]).unwrap_err().contains("cdylib"));
        assert!(chosen(&[&other, &other]).unwrap_err().contains("x.wasm, x.wasm"));
    }
}
