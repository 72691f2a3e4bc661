//! The programs as processes, on free ports.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

use h8s_test_support::guests::guest;
use h8s_test_support::http_client::{self, Answer};
use h8s_test_support::process::{Process, program};
use h8s_test_support::{Bus, eventually};
use http::StatusCode;

/// The sources of the separate programs, relative to the workspace.
const SOURCES: [&str; 7] =
    ["Cargo.lock", "settings/src", "wire/src", "nats/src", "ingress/src", "host-provider/src", "reverse/src"];
/// The programs, and their packages.
const PROGRAMS: [(&str, &str); 3] =
    [("h8sd", "h8s-ingress"), ("h8s-host", "h8s-host"), ("h8srd", "h8s-reverse")];

/// A guest's file, as an argument.
pub(crate) fn component(name: &str) -> String {
    guest(name).to_str().unwrap().to_owned()
}

/// `h8s dev`, serving.
pub(crate) struct Dev {
    pub(crate) process: Process,
    pub(crate) url: String,
    pub(crate) nats_url: String,
}

impl Dev {
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        Self::start_in(".", arguments).await
    }

    pub(crate) async fn start_in(directory: impl AsRef<Path>, arguments: &[&str]) -> Self {
        let mut command = h8s_dev(arguments);
        command.args(["--listen", "127.0.0.1:0"]).current_dir(directory);
        let mut process = Process::start(&mut command);
        let line = process.wait_for_line("h8s dev is at ").await;
        let url = line.rsplit(' ').next().unwrap().to_owned();
        let watch = process.wait_for_line("nats sub").await;
        process.wait_for_line("Ctrl-C").await;
        Self { process, url, nats_url: watch.rsplit(' ').next().unwrap().to_owned() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        http_client::get(&format!("{}{path}", self.url)).await
    }
}

/// `h8s dev` with these arguments. Its builds do not inherit the settings of the test's own build.
pub(crate) fn h8s_dev(arguments: &[&str]) -> Command {
    let mut command = program(env!("CARGO_BIN_EXE_h8s"));
    for name in
        ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR", "RUSTC_WRAPPER"]
    {
        command.env_remove(name);
    }
    command.arg("dev").args(arguments);
    command
}

/// `h8sd`, ready.
pub(crate) struct Gateway {
    pub(crate) process: Process,
    /// For clients.
    pub(crate) url: String,
    /// For operators.
    pub(crate) operators: String,
}

impl Gateway {
    pub(crate) async fn start(nats_url: &str, flags: &[&str]) -> Self {
        let mut process = Process::start(gateway_command(nats_url).args(flags));
        let line = process.wait_for_line("listening on ").await;
        let url = format!("http://{}", line.rsplit(' ').next().unwrap());
        let line = process.wait_for_line("operators: ").await;
        let operators =
            line.split_once("operators: ").unwrap().1.split("/healthz").next().unwrap().to_owned();
        let gateway = Self { process, url, operators };
        eventually("the gateway is ready", async || gateway.is_ready().await).await;
        gateway
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        http_client::get(&format!("{}{path}", self.url)).await
    }

    pub(crate) async fn status(&self, path: &str) -> u16 {
        self.get(path).await.0.as_u16()
    }

    pub(crate) async fn is_ready(&self) -> bool {
        http_client::get(&format!("{}/readyz", self.operators)).await.0 == StatusCode::OK
    }
}

/// `h8sd` on any port.
pub(crate) fn gateway_command(nats_url: &str) -> Command {
    let mut command = program(built("h8sd"));
    command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--nats-url", nats_url]);
    command
}

/// `h8s-host` with one component, for this host.
pub(crate) fn host_command(nats_url: &str, host: &str, name: &str) -> Command {
    let mut command = program(built("h8s-host"));
    command.args(["--host", host, "--nats-url", nats_url, &component(name)]);
    command
}

/// `h8s-host`, ready, serving components for the host `127.0.0.1`, which the tests' clients request.
pub(crate) struct Host {
    pub(crate) process: Process,
    _config: tempfile::NamedTempFile,
}

impl Host {
    /// Serves these components, each by its path, all with `flags`.
    pub(crate) async fn start(nats_url: &str, served: &[(&str, &str)], flags: &[&str]) -> Self {
        Self::serving(nats_url, "127.0.0.1", served, flags).await
    }

    /// [`start`](Self::start) for another host.
    pub(crate) async fn serving(nats_url: &str, host: &str, served: &[(&str, &str)], flags: &[&str]) -> Self {
        let table = |(path, name): &(&str, &str)| {
            format!("[[component]]\nfile = {:?}\npath = {path:?}\n", component(name))
        };
        let config = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(config.path(), served.iter().map(table).collect::<String>()).unwrap();
        let mut command = program(built("h8s-host"));
        command.args(["--host", host, "--nats-url", nats_url, "--config"]).arg(config.path());
        let mut process = Process::start(command.args(flags));
        process.wait_for_line("h8s_host: ready").await;
        Self { process, _config: config }
    }
}

/// `h8srd`, ready.
pub(crate) struct Daemon {
    pub(crate) process: Process,
    _config: Option<tempfile::NamedTempFile>,
}

impl Daemon {
    /// Answers from this backend for the host `127.0.0.1`, which the tests' clients request.
    pub(crate) async fn start(nats_url: &str, backend: &str, flags: &[&str]) -> Self {
        let mut command =
            h8srd(&["--nats-url", nats_url, "--hostname", "127.0.0.1", "--backend-url", backend]);
        Self::run(command.args(flags)).await
    }

    /// Starts with a configuration file.
    pub(crate) async fn with_config(nats_url: &str, config: &str, flags: &[&str]) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), config).unwrap();
        let mut command = h8srd(&["--nats-url", nats_url]);
        let daemon = Self::run(command.arg("--config").arg(file.path()).args(flags)).await;
        Self { _config: Some(file), ..daemon }
    }

    /// Waits until it is ready.
    pub(crate) async fn run(command: &mut Command) -> Self {
        let mut process = Process::start(command);
        process.wait_for_line(": ready").await;
        Self { process, _config: None }
    }
}

/// `h8srd` with these arguments.
pub(crate) fn h8srd(arguments: &[&str]) -> Command {
    let mut command = program(built("h8srd"));
    command.args(arguments);
    command
}

/// A gateway, and a daemon in front of this backend.
pub(crate) async fn gateway_and_daemon(bus: &Bus, backend: &str) -> (Gateway, Daemon) {
    let daemon = Daemon::start(&bus.url(), backend, &[]).await;
    (Gateway::start(&bus.url(), &[]).await, daemon)
}

/// A gateway, and a host that serves hello at `/*` and echo at `/echo/*`. The gateway knows both interests.
pub(crate) async fn gateway_and_host(bus: &Bus) -> (Gateway, Host) {
    let host = Host::start(&bus.url(), &[("/*", "hello"), ("/echo/*", "echo")], &[]).await;
    let gateway = Gateway::start(&bus.url(), &["--request-timeout", "5s"]).await;
    (gateway, host)
}

/// A program of another crate of the workspace. Cargo builds it beside `h8s` with the rest of the workspace; if it is
/// missing or out of date, it is built now.
fn built(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let directory = BUILT.get_or_init(|| {
        let directory = Path::new(env!("CARGO_BIN_EXE_h8s")).parent().unwrap().to_owned();
        let oldest = PROGRAMS.map(|(name, _)| modified(&directory.join(name))).into_iter().min().unwrap();
        if oldest.is_none_or(|oldest| sources_modified() > oldest) {
            build(&directory);
        }
        directory
    });
    directory.join(name)
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

/// When the sources were last changed.
fn sources_modified() -> SystemTime {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut paths: Vec<PathBuf> = SOURCES.iter().map(|source| workspace.join(source)).collect();
    let mut last = SystemTime::UNIX_EPOCH;
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(path.read_dir().unwrap().map(|entry| entry.unwrap().path()));
        } else {
            last = last.max(modified(&path).unwrap());
        }
    }
    last
}

/// Builds into the directory of `h8s`: `target/debug`, or that of another profile.
fn build(directory: &Path) {
    let profile = match directory.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        profile => profile,
    };
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Cargo's variables about the test's own package would make some build scripts run again.
    for (name, _) in std::env::vars_os() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"]
            .iter()
            .any(|prefix| name.to_string_lossy().starts_with(prefix))
        {
            cargo.env_remove(name);
        }
    }
    cargo.args(["build", "--bins", "--profile", profile]);
    cargo.args(PROGRAMS.iter().flat_map(|(_, package)| ["--package", package]));
    let built = cargo.arg("--target-dir").arg(directory.parent().unwrap()).status();
    assert!(built.is_ok_and(|status| status.success()), "the programs do not build");
}
