//! The number of components in one host. Each number has its own NATS server, gateway and host.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use h8s_benches::programs::{Gateway, Programs};
use h8s_benches::{Load, Report, TrackedProcess, answer, with_note};
use h8s_test_support::guests::guest;
use h8s_test_support::{NatsServer, Process, eventually, http_client};
use tempfile::TempDir;

use crate::range::{self, Range};

/// The numbers of components.
const SERVED: [u32; 2] = [1, 100];
/// The number of concurrent requests, each on its own connection.
const CONCURRENCY: usize = 64;

/// Compiling a hundred takes half a minute, in every run: a host's cache keeps fewer.
const COMPILED: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// One host, and the other processes of its chain.
struct Setup {
    gateway: Gateway,
    nats: NatsServer,
    host: Process,
    /// The component files.
    _directory: TempDir,
}

pub(crate) async fn measure(report: &mut Report) {
    println!(
        "components: `echo` without a body, {CONCURRENCY} concurrent requests, each in a fresh instance"
    );
    let mut stands = Vec::new();
    for count in SERVED {
        stands.push((count, Setup::start(count).await));
    }
    // Starts only now: a gateway's timeouts are shorter than compiling a hundred components takes.
    let mut one = Range::new("by components in a host, requests to one");
    let mut all = Range::new("by components in a host, requests to all in turn");
    for (count, setup) in &mut stands {
        let processes = setup.processes();
        one.add(*count as usize, setup.load(0..1), &processes);
        all.add(*count as usize, setup.load(0..*count), &processes);
    }
    range::measure(vec![one, all], report);
}

impl Setup {
    async fn start(components: u32) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let nats = NatsServer::start().await;
        let mut command = Programs::built().command("h8s-host");
        command.args(["--host", "127.0.0.1", "--nats-url", &nats.url(), "--no-cache", "--config"]);
        let mut host = Process::start(command.arg(configuration(directory.path(), components)));
        is_ready(&mut host).await;
        let gateway = Gateway::start(Programs::built(), &nats.url(), &[]).await;
        for component in 0..components {
            let url = format!("http://{}{}", gateway.address, path(component));
            eventually("it answers", async || http_client::get(&url).await.0 == 200).await;
        }
        Self { gateway, nats, host, _directory: directory }
    }

    fn processes(&mut self) -> Vec<TrackedProcess> {
        vec![
            TrackedProcess::of("h8sd", &self.gateway.process),
            TrackedProcess::of("nats-server", self.nats.process()),
            TrackedProcess::of("h8s-host", &self.host),
        ]
    }

    fn load(&self, components: std::ops::Range<u32>) -> Load {
        let request = |component| answer::get(self.gateway.address, &path(component)).into_bytes();
        Load::open_in_turn(self.gateway.address, components.map(request).collect(), b"", CONCURRENCY)
    }
}

/// Waits longer than the other benches.
async fn is_ready(host: &mut Process) {
    let begin = Instant::now();
    while !host.output().contains("h8s_host: ready") {
        assert!(host.is_running() && begin.elapsed() < COMPILED, "no host: {}", host.output());
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn path(component: u32) -> String {
    format!("/part-{component}/small")
}

/// The configuration file of a host with this number of components, each a separate file with its own code.
fn configuration(directory: &Path, components: u32) -> PathBuf {
    let original = fs::read(guest("echo")).expect("it was built");
    let table = |number: u32| {
        let file = directory.join(format!("part-{number}.wasm"));
        fs::write(&file, with_note(&original, number)).expect("it can be written");
        format!("[[component]]\nfile = {file:?}\npath = \"/part-{number}/*\"\n")
    };
    let file = directory.join("host.toml");
    fs::write(&file, (0..components).map(table).collect::<String>()).expect("it can be written");
    file
}
