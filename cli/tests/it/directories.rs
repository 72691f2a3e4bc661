//! `h8s dev` with directories, which it builds.

use std::path::{Path, PathBuf};

use h8s_test_support::process::Process;
use http::StatusCode;

use crate::programs::{Dev, component, h8s_dev};

fn hello() -> PathBuf {
    // Built with its dependencies, so that cargo has little left to do.
    component("hello");
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../components/hello")
}

#[tokio::test]
async fn a_directory_is_built_and_served() {
    let dev = Dev::start(&[hello().to_str().unwrap()]).await;

    assert_eq!(dev.get("/anything").await.0, StatusCode::OK);
    // Cargo's output is passed on.
    assert!(dev.process.stderr().contains("Finished"), "{}", dev.process.stderr());
}

#[tokio::test]
async fn the_current_directory_is_served_if_it_is_a_component() {
    let dev = Dev::start_in(hello(), &[]).await;

    assert_eq!(dev.get("/anything").await.0, StatusCode::OK);
}

async fn refused_in(directory: &Path, arguments: &[&str]) -> String {
    let mut dev = Process::start(h8s_dev(arguments).args(["--listen=127.0.0.1:0"]).current_dir(directory));
    assert_eq!(dev.wait_for_exit().await.code(), Some(2), "{}", dev.output());
    dev.stderr()
}

#[tokio::test]
async fn another_current_directory_is_refused_with_an_example() {
    let directory = tempfile::tempdir().unwrap();

    let stderr = refused_in(directory.path(), &[]).await;

    assert!(
        stderr.contains("no component to serve") && stderr.contains("h8s dev components/hello"),
        "{stderr}"
    );
}

#[tokio::test]
async fn a_directory_without_a_component_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let manifest = |text: &str| std::fs::write(directory.path().join("Cargo.toml"), text).unwrap();

    assert!(refused_in(directory.path(), &["."]).await.contains(".: no Cargo.toml"));
    manifest("[workspace]\n");
    assert!(refused_in(directory.path(), &["."]).await.contains("has no [package]"));
    manifest("[package]\nname = \"plain\"\nedition = \"2024\"\n[workspace]\n");
    std::fs::create_dir(directory.path().join("src")).unwrap();
    std::fs::write(directory.path().join("src/lib.rs"), "").unwrap();
    assert!(refused_in(directory.path(), &["."]).await.contains("cdylib"));
}

#[tokio::test]
async fn a_failed_build_is_reported_by_cargo_and_by_h8s() {
    let directory = tempfile::tempdir().unwrap();
    let manifest =
        "[package]\nname = \"broken\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n[workspace]\n";
    std::fs::write(directory.path().join("Cargo.toml"), manifest).unwrap();
    std::fs::create_dir(directory.path().join("src")).unwrap();
    std::fs::write(directory.path().join("src/lib.rs"), "this is not Rust").unwrap();

    let stderr = refused_in(directory.path(), &[]).await;

    assert!(stderr.contains("error: expected one of"), "{stderr}");
    assert!(stderr.trim_end().ends_with(".: build failed; see cargo's output above"), "{stderr}");
}
