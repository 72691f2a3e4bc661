//! Where Python with pinned packages comes from.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::store::{self, run};

/// What scripts can import besides the standard library, as pip requirements.
const PACKAGES: [&str; 7] = [
    "nats-py==2.16.0",
    "websockets==17.4",
    "grpcio==1.85.1",
    "httpbin==0.10.4",
    // httpbin's documented server: it streams, and accepts chunked bodies.
    "gunicorn==27.0.1",
    "requests==2.34.2",
    "pytest==9.2.0",
];

/// Unpacks the archive in the directory that is the argument.
const UNPACK: &str = "
import pathlib, sys, tarfile
[archive] = pathlib.Path(sys.argv[1]).glob('*.tar.gz')
tarfile.open(archive).extractall(sys.argv[1], filter='data')
archive.unlink()
";

/// The interpreter of the virtual environment, made once per process.
///
/// # Errors
///
/// There is no `python3`, or pip cannot install the packages; with their output.
pub(crate) fn interpreter() -> Result<&'static Path, String> {
    static INTERPRETER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    INTERPRETER.get_or_init(environment).as_deref().map_err(Clone::clone)
}

fn environment() -> Result<PathBuf, String> {
    let interpreter = |home: &Path| home.join("bin/python");
    // The system's Python may have been upgraded since.
    let is_usable = |home: &Path| run(Command::new(interpreter(home)).args(["-I", "-c", ""])).is_ok();
    let home = store::environment("python", &PACKAGES, "PyPI", is_usable, |home| install(home, &PACKAGES));
    home.map(|home| interpreter(&home)).map_err(|why| {
        format!(
            "The tests need python3 with venv and pip, and a package index with {PACKAGES:?}: {why}\n\
             Install python3 and python3-venv, or let pip reach an index."
        )
    })
}

/// The unpacked source distribution of a package, such as `requests==2.34.2`.
///
/// # Errors
///
/// pip cannot fetch it; with its output.
///
/// # Panics
///
/// When `package` has no version.
pub(crate) fn sources(package: &str) -> Result<PathBuf, String> {
    let (name, _) = package.split_once("==").unwrap_or_else(|| panic!("{package:?} has no version"));
    let python = interpreter()?;
    let home = store::environment(
        &format!("{name}-sources"),
        &[package],
        "PyPI",
        |_| true,
        |home| unpack(python, package, name, home),
    )
    .map_err(|why| format!("The tests need the sources of {package} from a package index: {why}"))?;
    Ok(home.join(package.replace("==", "-")))
}

fn unpack(python: &Path, package: &str, name: &str, home: &Path) -> Result<(), String> {
    let pip = ["-I", "-m", "pip", "download", "--disable-pip-version-check", "--quiet", "--no-deps"];
    let mut download = Command::new(python);
    run(download.args(pip).args(["--no-binary", name, package, "--dest"]).arg(home))?;
    run(Command::new(python).args(["-I", "-c", UNPACK]).arg(home)).map(drop)
}

/// Makes a virtual environment with these packages; its interpreter's packages are below `lib`.
pub(super) fn install(home: &Path, packages: &[&str]) -> Result<(), String> {
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(home))?;
    let pip = ["-I", "-m", "pip", "install", "--disable-pip-version-check", "--quiet"];
    run(Command::new(home.join("bin/python")).args(pip).args(packages)).map(drop)
}
