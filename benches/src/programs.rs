//! The programs, built as for production but for whole-program optimisation, each a process.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use h8s_test_support::process::{Process, program};
use h8s_test_support::{eventually, http_client};

/// All that benches start. Always all of them in one call of cargo: which features dependencies have depends on what is
/// built together, and a bench that built a part would have wasmtime built again for it, and for the next one.
const PACKAGES: [&str; 4] = ["h8s-cli", "h8s-host", "h8s-ingress", "h8s-reverse"];

/// Programs of the workspace, in a target directory of their own: beside the benches, whose dependencies have other
/// features, each would be built again whenever the other was.
#[derive(Debug)]
pub struct Programs(PathBuf);

impl Programs {
    /// Builds them when a process first asks, in `target/programs` if this is `target/release/deps/websockets-…`.
    ///
    /// # Panics
    ///
    /// When they do not build.
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

    /// One of them, not configured by the environment.
    pub fn command(&self, name: &str) -> Command {
        unconfigured(self.0.join(name))
    }
}

/// This program once more, in the role that its first argument names.
pub fn role(arguments: &[&str]) -> Process {
    Process::start(unconfigured(this_program()).args(arguments))
}

/// A command that costs the same whoever runs it: nothing in the environment configures it, or has it trace its errors.
pub fn unconfigured(file: impl AsRef<OsStr>) -> Command {
    let mut command = program(file);
    command.env_remove("RUST_BACKTRACE");
    command
}

fn this_program() -> PathBuf {
    std::env::current_exe().expect("a program knows its file")
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
