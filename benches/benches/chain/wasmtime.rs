//! `wasmtime serve`, if installed, with its defaults and with the pool settings of `h8s-host`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use h8s_benches::programs::unconfigured;
use h8s_test_support::Process;

/// `host-provider/src/engine.rs` in the program's own flags, with its default sizes. (The scan for resident pages wants a
/// machine without swap, or it is not safe.)
const POOL: [&str; 10] = [
    "pooling-allocator=y",
    "pooling-total-component-instances=1000",
    "pooling-total-stacks=1000",
    "pooling-total-core-instances=100000",
    "pooling-total-memories=4000",
    "pooling-total-tables=8000",
    "pooling-max-memory-size=134217728",
    "pooling-pagemap-scan=auto",
    "pooling-memory-keep-resident=2097152",
    "pooling-table-keep-resident=524288",
];

/// An installed program.
#[derive(Debug)]
pub(crate) struct Wasmtime {
    file: PathBuf,
    /// Its version.
    pub(crate) version: String,
}

/// A server of one component.
#[derive(Debug)]
pub(crate) struct Serving {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

impl Wasmtime {
    /// Searches the `PATH`, then cargo's install directory.
    pub(crate) fn find() -> Option<Self> {
        let installed = std::env::home_dir().map(|home| home.join(".cargo/bin/wasmtime"));
        let files = [Some(PathBuf::from("wasmtime")), installed];
        files.into_iter().flatten().find_map(|file| {
            let output = Command::new(&file).arg("--version").output().ok()?;
            let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            output.status.success().then_some(Self { file, version })
        })
    }

    /// The command that installs the version that `h8s-host` contains.
    pub(crate) fn how_to_install() -> String {
        let lock = include_str!("../../../Cargo.lock");
        let package = lock.split_once("name = \"wasmtime\"\nversion = \"").map(|(_, rest)| rest);
        let version = package.and_then(|rest| rest.split('"').next()).expect("the host has a wasmtime");
        format!("cargo install wasmtime-cli --version {version} --locked")
    }

    /// Starts it with its defaults.
    pub(crate) async fn serve(&self, component: &Path) -> Serving {
        self.serve_with(&[], component).await
    }

    /// Starts it with the pool settings of `h8s-host`.
    pub(crate) async fn serve_pooled(&self, component: &Path) -> Serving {
        let flags: Vec<&str> = POOL.iter().flat_map(|flag| ["-O", flag]).collect();
        self.serve_with(&flags, component).await
    }

    async fn serve_with(&self, flags: &[&str], component: &Path) -> Serving {
        let mut command = unconfigured(&self.file);
        // Rust components read the environment; here it is empty.
        command.args(["serve", "-S", "cli", "--addr", "127.0.0.1:0"]).args(flags);
        let mut process = Process::start(command.arg(component));
        let line = process.wait_for_line("Serving HTTP on http://").await;
        let address = line.rsplit("http://").next().and_then(|rest| rest.trim_end_matches('/').parse().ok());
        Serving { process, address: address.expect("the line contains the address") }
    }
}
