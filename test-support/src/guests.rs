//! Components for tests, built from `components/` when first needed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

const TARGET: &str = "wasm32-wasip2";

/// The built file of a component of `components/`: `hello`, `websocket-echo`, `guests` …
///
/// The first call in a process runs cargo, which is quick when nothing has changed.
///
/// # Panics
///
/// When they do not build, with cargo's output; or when there is no component of that name.
pub fn guest(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    // A library's file is named after its Rust identifier.
    let file = BUILT.get_or_init(build).join(name.replace('-', "_")).with_extension("wasm");
    assert!(
        file.is_file(),
        "components/ builds no component named {name}: {} does not exist",
        file.display()
    );
    file
}

fn build() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../components");
    let target_dir = workspace.join("target");
    fs::create_dir_all(&target_dir).expect("components/target can be made");
    // Test binaries run in parallel, and one of them may have to install the target.
    let lock =
        File::create(target_dir.join(".test-build-lock")).expect("components/target can be written to");
    lock.lock().expect("a file can be locked");
    install_target();
    let output = run(cargo()
        .current_dir(&workspace)
        .args(["build", "--release", "--locked", "--target", TARGET])
        .arg("--target-dir")
        .arg(&target_dir));
    assert!(
        output.status.success(),
        "the components in {} do not build:\n{}",
        workspace.display(),
        text(&output)
    );
    target_dir.join(TARGET).join("release")
}

/// Cargo without the settings of the build that this test belongs to: flags for coverage, for example, break guests.
fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for name in
        ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR", "RUSTC_WRAPPER"]
    {
        cargo.env_remove(name);
    }
    cargo
}

fn install_target() {
    let sysroot = run(Command::new("rustc").args(["--print", "sysroot"]));
    let installed = Path::new(text(&sysroot).trim()).join("lib/rustlib").join(TARGET);
    if sysroot.status.success() && installed.is_dir() {
        return;
    }
    eprintln!("the target {TARGET} is not installed: running `rustup target add {TARGET}`");
    let added = run(Command::new("rustup").args(["target", "add", TARGET]));
    assert!(added.status.success(), "`rustup target add {TARGET}` failed:\n{}", text(&added));
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"))
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat()).into_owned()
}
