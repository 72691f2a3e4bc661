//! Where fetched tools are kept: `target/test-tools` of the workspace.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::fetching;

/// The directory, created if missing. It ignores `CARGO_TARGET_DIR`: all builds share one copy.
pub(super) fn directory() -> PathBuf {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-tools");
    fs::create_dir_all(&directory)
        .unwrap_or_else(|error| panic!("{} cannot be created: {error}", directory.display()));
    directory.canonicalize().unwrap_or_else(|error| panic!("{} cannot be read: {error}", directory.display()))
}

/// Waits for the lock of that name, which test processes share. Released on drop, or when the process ends.
pub(super) fn lock(name: &str) -> File {
    let path = directory().join(format!(".{name}.lock"));
    let file =
        File::create(&path).unwrap_or_else(|error| panic!("{} cannot be created: {error}", path.display()));
    file.lock().unwrap_or_else(|error| panic!("{} cannot be locked: {error}", path.display()));
    file
}

/// The directory `name` with `contents`, reused if it is usable, else made anew from `registry`. One test process makes
/// it while others wait.
///
/// # Errors
///
/// It cannot be made, or `H8S_TEST_OFFLINE` forbids it.
pub(super) fn environment(
    name: &str,
    contents: &[&str],
    registry: &str,
    is_usable: impl FnOnce(&Path) -> bool,
    make: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let home = directory().join(name);
    // Written last: a directory without it is incomplete.
    let stamp = home.join("packages");
    let _lock = lock(name);
    if fs::read_to_string(&stamp).is_ok_and(|made| made == contents.join("\n")) && is_usable(&home) {
        return Ok(home);
    }
    fetching(&contents.join(", "), registry)?;
    // It may not exist yet.
    let _ = fs::remove_dir_all(&home);
    fs::create_dir_all(&home).map_err(|error| format!("{} cannot be created: {error}", home.display()))?;
    make(&home)?;
    fs::write(&stamp, contents.join("\n"))
        .map_err(|error| format!("{} cannot be written: {error}", stamp.display()))?;
    Ok(home)
}

/// Runs a command; returns its standard output.
///
/// # Errors
///
/// It cannot be run, or fails; with all its output.
pub(super) fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?} cannot be run: {error}"))?;
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(out);
    }
    let err = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?} failed ({}):\n{out}{err}", output.status))
}
