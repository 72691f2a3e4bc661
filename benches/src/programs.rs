//! Builds and starts the programs as separate processes: production builds without whole-program optimisation.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use h8s_test_support::process::{Process, program};
use h8s_test_support::{eventually, http_client};

/// The programs that benches start. Always built in one cargo command: the features of dependencies depend on the set of
/// packages, and building a part of them would rebuild wasmtime.
const PACKAGES: [&str; 4] = ["h8s-cli", "h8s-host", "h8s-ingress", "h8s-reverse"];

/// The programs of the workspace, in a separate target directory: in the benches' own, whose dependencies have other
/// features, each would cause a rebuild of the other.
#[derive(Debug)]
pub struct Programs(PathBuf);

impl Programs {
    /// Builds the programs on first use, in `target/programs` if this is `target/release/deps/websockets-…`.
    ///
    /// # Panics
    ///
    /// If the build fails.
    pub fn built() -> &'static Self {
        static BUILT: OnceLock<Programs> = OnceLock::new();
        BUILT.get_or_init(Self::build)
    }

    fn build() -> Self {
        let bench = this_program();
        let target = bench.ancestors().nth(3).expect("benches are in target/release/deps").join("programs");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--locked", "--profile", "bench", "--bins", "--target-dir"]);
        cargo.arg(&target).args(PACKAGES.map(|package| format!("--package={package}")));
        assert!(cargo.status().is_ok_and(|status| status.success()), "the programs do not build");
        Self(target.join("release"))
    }

    /// The command of one program, without configuration from the environment.
    pub fn command(&self, name: &str) -> Command {
        unconfigured(self.0.join(name))
    }
}

/// Starts this program again, in the role that its first argument selects.
pub fn role(arguments: &[&str]) -> Process {
    Process::start(unconfigured(this_program()).args(arguments))
}

/// A command that is independent of the environment: no configuration, no backtraces.
pub fn unconfigured(file: impl AsRef<OsStr>) -> Command {
    let mut command = program(file);
    command.env_remove("RUST_BACKTRACE");
    command
}

fn this_program() -> PathBuf {
    std::env::current_exe().expect("a program knows its file")
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    /// Its process, which ends when dropped.
    pub process: Process,
    /// The address for clients.
    pub address: SocketAddr,
    /// The URL for operators: `http://127.0.0.1:…`.
    pub operators: String,
}

impl Gateway {
    /// Starts a gateway on loopback with these additional flags.
    ///
    /// # Panics
    ///
    /// If it does not become ready.
    pub async fn start(programs: &Programs, nats_url: &str, flags: &[&str]) -> Self {
        let mut command = programs.command("h8sd");
        command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--nats-url", nats_url]);
        let mut process = Process::start(command.args(flags));
        let address = listens(&mut process).await;
        let line = process.wait_for_line("operators: ").await;
        let operators = line.split_once("operators: ").and_then(|(_, rest)| rest.split("/healthz").next());
        let operators = operators.expect("the line contains the address").to_owned();
        let ready = format!("{operators}/readyz");
        eventually("the gateway is ready", async || http_client::get(&ready).await.0 == 200).await;
        Self { process, address, operators }
    }
}

/// Reads the address at the end of a program's line `listening on …`.
///
/// # Panics
///
/// If the program does not print it.
pub async fn listens(process: &mut Process) -> SocketAddr {
    let line = process.wait_for_line("listening on ").await;
    line.rsplit(' ').next().and_then(|address| address.parse().ok()).expect("the line contains the address")
}
