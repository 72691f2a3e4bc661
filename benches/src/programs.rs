//! The programs, built as for production but for whole-program optimisation, each a process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use h8s_test_support::process::{Process, program};
use h8s_test_support::{eventually, http_client};

/// A gateway that is ready.
#[derive(Debug)]
pub struct Gateway {
    /// Ends with it.
    pub process: Process,
    /// Where clients connect.
    pub address: SocketAddr,
}

impl Gateway {
    /// On loopback, with `flags` beside the addresses.
    ///
    /// # Panics
    ///
    /// When it cannot be built or does not become ready.
    pub async fn start(nats_url: &str, flags: &[&str]) -> Self {
        let mut command = program(built("h8sd"));
        command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--nats-url", nats_url]);
        let mut process = Process::start(command.args(flags));
        let address = listens(&mut process).await;
        let line = process.wait_for_line("operators: ").await;
        let ready = line.split_once("operators: ").and_then(|(_, rest)| rest.split("/healthz").next());
        let ready = format!("{}/readyz", ready.expect("it says where"));
        eventually("the gateway is ready", async || http_client::get(&ready).await.0 == 200).await;
        Self { process, address }
    }
}

/// The address at the end of the line in which a program says that it is `listening on` it.
///
/// # Panics
///
/// When it does not say so.
pub async fn listens(process: &mut Process) -> SocketAddr {
    let line = process.wait_for_line("listening on ").await;
    line.rsplit(' ').next().and_then(|address| address.parse().ok()).expect("it says where")
}

/// A program of the workspace, where this one was built: `target/release`, of `target/release/deps/websockets-…`.
///
/// # Panics
///
/// When it does not build.
pub fn built(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(build).join(name)
}

/// Builds all of them, whichever is wanted: together they have the same dependencies with the same features for every bench,
/// which are built once.
fn build() -> PathBuf {
    let bench = std::env::current_exe().expect("a program knows its file");
    let directory = bench.ancestors().nth(2).expect("benches are in target/release/deps").to_owned();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--locked", "--profile", "bench", "--bins"]);
    cargo.args(
        ["h8s-ingress", "h8s-host-provider", "h8s-reverse"].map(|package| format!("--package={package}")),
    );
    cargo.arg("--target-dir").arg(directory.parent().expect("it is in a target directory"));
    assert!(cargo.status().is_ok_and(|status| status.success()), "the programs do not build");
    directory
}
