//! `h8s dev` while its components change: saved changes are served.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use h8s_test_support::guests::guest;
use h8s_test_support::within;
use http::StatusCode;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::programs::{Dev, component};

/// A build takes a second or two, and much longer on a loaded machine.
const BUILD_DEADLINE: Duration = Duration::from_secs(120);

/// Waits until the component answers like this. Every answer before must be a 200.
async fn answers(dev: &Dev, expected: &str) {
    let answered = async {
        loop {
            let (status, _, body) = dev.get("/ok").await;
            assert_eq!(status, StatusCode::OK);
            if String::from_utf8_lossy(&body).contains(expected) {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    within(BUILD_DEADLINE, answered).await;
}

#[tokio::test]
async fn a_saved_file_is_served() {
    // given a component's file
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("app.wasm");
    std::fs::copy(guest("guests"), &file).unwrap();
    let mut dev = Dev::start(&[file.to_str().unwrap()]).await;
    answers(&dev, "ok\n").await;
    // when another component is written over it, then that one is served
    std::fs::copy(guest("hello"), &file).unwrap();
    answers(&dev, "<code>/ok</code>").await;
    dev.process.wait_for_line("component app: swapped (").await;
    // and when it is not a component, then that is logged, and the running version is still served
    std::fs::write(&file, "not at all").unwrap();
    dev.process.wait_for_line("app.wasm: not a WebAssembly file; keeping the running version").await;
    answers(&dev, "<code>/ok</code>").await;
    // and a component is served again
    std::fs::copy(guest("guests"), &file).unwrap();
    answers(&dev, "ok\n").await;
}

/// A component's directory: a separate package that shares the guests' target directory, and so their dependencies.
struct Package(TempDir);

const MANIFEST: &str = r#"
[package]
name = "edited"
version = "0.1.0"
edition = "2024"

[lib]
crate-type = ["cdylib"]

[dependencies]
wstd = "0.6.8"

[workspace]

[profile.release]
opt-level = "s"
lto = true
codegen-units = 1
panic = "abort"
strip = "debuginfo"
"#;

const SOURCE: &str = r#"
use wstd::http::{Body, Error, Request, Response};

#[wstd::http_server]
async fn main(_request: Request<Body>) -> Result<Response<Body>, Error> {
    Ok(Response::new(concat!("first, ", include_str!("../answer.txt")).into()))
}
"#;

impl Package {
    fn new() -> Self {
        component("hello");
        let package = Self(tempfile::tempdir().unwrap());
        let components = Path::new(env!("CARGO_MANIFEST_DIR")).join("../components");
        std::fs::create_dir_all(package.path(".cargo")).unwrap();
        std::fs::create_dir(package.path("src")).unwrap();
        let target = components.canonicalize().unwrap().join("target");
        package.write(".cargo/config.toml", &format!("[build]\ntarget-dir = {target:?}\n"));
        package.write("Cargo.toml", MANIFEST);
        std::fs::copy(components.join("Cargo.lock"), package.path("Cargo.lock")).unwrap();
        package.write("src/lib.rs", SOURCE);
        package.write("answer.txt", "second");
        package.build();
        package
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Builds the dependencies before the test.
    fn build(&self) {
        let mut cargo = Command::new("cargo");
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR"] {
            cargo.env_remove(name);
        }
        let arguments = ["build", "--release", "--target", "wasm32-wasip2"];
        let built =
            cargo.env_remove("RUSTC_WRAPPER").args(arguments).current_dir(self.0.path()).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    }
}

#[tokio::test]
async fn saved_sources_are_built_and_served() {
    // given a component that is built from a directory
    let package = Package::new();
    let mut dev = Dev::start(&[package.0.path().to_str().unwrap()]).await;
    answers(&dev, "first, second").await;
    // when its source changes, then so does its answer
    package.write("src/lib.rs", &SOURCE.replace("first", "1st"));
    answers(&dev, "1st, second").await;
    let line = dev.process.wait_for_line("s and swapped").await;
    assert!(line.contains("edited: rebuilt in "), "{line}");
    // when it does not compile, then cargo reports it, and the running version is still served
    package.write("src/lib.rs", "this is not Rust");
    within(BUILD_DEADLINE, async {
        while !dev.process.output().contains("edited: build failed; keeping the running version") {
            answers(&dev, "1st, second").await;
        }
    })
    .await;
    assert!(dev.process.stderr().contains("error: expected one of"), "{}", dev.process.stderr());
    // when it compiles again, and another of its files changes, then both are served
    package.write("src/lib.rs", SOURCE);
    answers(&dev, "first, second").await;
    package.write("answer.txt", "2nd");
    answers(&dev, "first, 2nd").await;
}
