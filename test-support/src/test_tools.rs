//! Where programs that tests need, and that a machine may lack, are kept: `target/test-tools` of the workspace.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The directory, made if need be. It does not follow `CARGO_TARGET_DIR`: one copy does for all builds.
pub(crate) fn directory() -> PathBuf {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-tools");
    fs::create_dir_all(&directory)
        .unwrap_or_else(|error| panic!("{} cannot be made: {error}", directory.display()));
    directory.canonicalize().unwrap_or_else(|error| panic!("{} cannot be read: {error}", directory.display()))
}

/// Waits until no other test process holds the lock of that name. Given back on drop, or when the process ends.
pub(crate) fn lock(name: &str) -> File {
    let path = directory().join(format!(".{name}.lock"));
    let file =
        File::create(&path).unwrap_or_else(|error| panic!("{} cannot be made: {error}", path.display()));
    file.lock().unwrap_or_else(|error| panic!("{} cannot be locked: {error}", path.display()));
    file
}

/// The directory of that name, holding `contents`: as it was made earlier if it is usable, or made now, by one test
/// process while the others wait.
pub(crate) fn environment(
    name: &str,
    contents: &[&str],
    is_usable: impl FnOnce(&Path) -> bool,
    make: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let home = directory().join(name);
    // Written last: without it the directory is made anew.
    let stamp = home.join("packages");
    let _lock = lock(name);
    if fs::read_to_string(&stamp).is_ok_and(|made| made == contents.join("\n")) && is_usable(&home) {
        return Ok(home);
    }
    eprintln!("making {}", home.display());
    // Where it never was, there is nothing to remove.
    let _ = fs::remove_dir_all(&home);
    fs::create_dir_all(&home).map_err(|error| format!("{} cannot be made: {error}", home.display()))?;
    make(&home)?;
    fs::write(&stamp, contents.join("\n")).map_err(|error| format!("no stamp can be written: {error}"))?;
    Ok(home)
}

/// What a command wrote to standard output, or all that it wrote when it failed.
pub(crate) fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?} does not run: {error}"))?;
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(out);
    }
    let err = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?} failed ({}):\n{out}{err}", output.status))
}
