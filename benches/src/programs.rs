//! The programs, built as for production but for whole-program optimisation, each a process.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use h8s_test_support::process::{Process, program};
use h8s_test_support::{eventually, http_client};

/// Programs of the workspace, in a target directory of their own: beside the benches, whose dependencies have other
/// features, each would be built again whenever the other was.
#[derive(Debug)]
pub struct Programs(PathBuf);

impl Programs {
    /// Builds those of `packages`, in `target/programs/websockets` if this is `target/release/deps/websockets-…`.
    ///
    /// # Panics
    ///
    /// When they do not build.
    pub fn build(packages: &[&str]) -> Self {
        let bench = std::env::current_exe().expect("a program knows its file");
        let target = bench.ancestors().nth(3).expect("benches are in target/release/deps");
        let name = bench.file_name().and_then(OsStr::to_str).and_then(|name| name.rsplit_once('-'));
        let target = target.join("programs").join(name.expect("cargo names benches").0);
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--locked", "--profile", "bench", "--bins", "--target-dir"]);
        cargo.arg(&target).args(packages.iter().map(|package| format!("--package={package}")));
        assert!(cargo.status().is_ok_and(|status| status.success()), "{packages:?} do not build");
        Self(target.join("release"))
    }

    /// One of them, not configured by the environment.
    pub fn command(&self, name: &str) -> Command {
        program(self.0.join(name))
    }
}

/// A gateway that is ready.
#[derive(Debug)]
pub struct Gateway {
    /// Ends with it.
    pub process: Process,
    /// Where clients connect.
    pub address: SocketAddr,
    /// Where operators do: `http://127.0.0.1:…`.
    pub operators: String,
}

impl Gateway {
    /// On loopback, with `flags` beside the addresses.
    ///
    /// # Panics
    ///
    /// When it does not become ready.
    pub async fn start(programs: &Programs, nats_url: &str, flags: &[&str]) -> Self {
        let mut command = programs.command("h8sd");
        command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--nats-url", nats_url]);
        let mut process = Process::start(command.args(flags));
        let address = listens(&mut process).await;
        let line = process.wait_for_line("operators: ").await;
        let operators = line.split_once("operators: ").and_then(|(_, rest)| rest.split("/healthz").next());
        let operators = operators.expect("it says where").to_owned();
        let ready = format!("{operators}/readyz");
        eventually("the gateway is ready", async || http_client::get(&ready).await.0 == 200).await;
        Self { process, address, operators }
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
