//! `h8s-host` whose component files change while it runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use h8s_nats::Requester;
use h8s_test_support::guests::guest;
use h8s_test_support::process::{Process, program};
use h8s_test_support::{Bus, eventually};
use http::StatusCode;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::edge::{gateway, post};

/// A host with one component, whose file is ours to change; and a gateway.
struct Fixture {
    host: Process,
    requester: Requester,
    file: PathBuf,
    _files: TempDir,
    _bus: Bus,
}

impl Fixture {
    async fn start(flags: &[&str]) -> Self {
        let bus = Bus::embedded().await;
        let files = tempfile::tempdir().unwrap();
        let file = files.path().join("app.wasm");
        std::fs::copy(guest("guests"), &file).unwrap();
        let (cache, url) = (files.path().join("cache"), bus.url());
        let mut command = program(env!("CARGO_BIN_EXE_h8s-host"));
        command.arg(&file).arg("--cache-dir").arg(&cache).args(["--nats-url", &url]).args(flags);
        let mut host = Process::start(&mut command);
        host.wait_for_line("ready").await;
        let requester = gateway(&url).await;
        assert_eq!(who(&requester).await, "guests");
        Self { host, requester, file, _files: files, _bus: bus }
    }

    /// Puts another guest in the place of the file, as most builds do: whole, by a new name.
    fn put(&self, name: &str) {
        let new = self.file.with_extension("new");
        std::fs::copy(guest(name), &new).unwrap();
        std::fs::rename(new, &self.file).unwrap();
    }

    async fn becomes(&self, name: &str) {
        eventually(&format!("{name} takes over"), async || who(&self.requester).await == name).await;
    }
}

/// Which of the two guests answers.
async fn who(requester: &Requester) -> &'static str {
    match post(requester, "localhost", "/ok", "").await {
        (StatusCode::OK, said) if said == "ok\n" => "guests",
        (StatusCode::OK, said) if said.contains("<code>/ok</code>") => "hello",
        odd => panic!("{odd:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_replaced_is_swapped_in_under_load() {
    // given clients that send requests without a pause, answered by one or the other
    let mut fixture = Fixture::start(&["--watch"]).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        let (requester, is_over) = (fixture.requester.clone(), Arc::clone(&is_over));
        clients.spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                who(&requester).await;
            }
        });
    }
    // when the file is another, then so are the answers
    for name in ["hello", "guests", "hello"] {
        fixture.put(name);
        fixture.becomes(name).await;
    }
    // and none was lost
    is_over.store(true, Ordering::Relaxed);
    clients.join_all().await;
    fixture.host.wait_for_line("component app: swapped (").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_written_slowly_is_swapped_in_when_it_is_whole() {
    let mut fixture = Fixture::start(&["--watch"]).await;
    let whole = std::fs::read(guest("hello")).unwrap();
    // when half of another is written over the file
    std::fs::write(&fixture.file, &whole[..whole.len() / 2]).unwrap();
    // then that is logged, and the running version stays
    let said = fixture.host.wait_for_line("keeping the running version").await;
    assert!(said.contains("ERROR") && said.contains("app.wasm: invalid: "), "{said}");
    assert_eq!(who(&fixture.requester).await, "guests");
    // and with the rest it takes over
    append(&fixture.file, &whole[whole.len() / 2..]);
    fixture.becomes("hello").await;
}

fn append(file: &Path, bytes: &[u8]) {
    use std::io::Write as _;
    std::fs::File::options().append(true).open(file).unwrap().write_all(bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_gone_is_missed_once_and_may_come_back() {
    let mut fixture = Fixture::start(&["--watch"]).await;
    std::fs::remove_file(&fixture.file).unwrap();
    let said =
        fixture.host.wait_for_line("app.wasm: there is no such file; keeping the running version").await;
    assert!(said.contains("WARN"), "{said}");
    assert_eq!(who(&fixture.requester).await, "guests");
    // when it comes back
    fixture.put("hello");
    fixture.becomes("hello").await;
    assert_eq!(fixture.host.output().matches("there is no such file").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_swaps_without_watching() {
    let mut fixture = Fixture::start(&[]).await;
    fixture.host.signal("HUP");
    fixture.host.wait_for_line("component app: unchanged, not reloaded").await;
    // when the file changes, then nothing happens before SIGHUP
    fixture.put("hello");
    assert_eq!(who(&fixture.requester).await, "guests");
    fixture.host.signal("HUP");
    fixture.becomes("hello").await;
    // and it drains as ever
    fixture.host.terminate();
    assert!(fixture.host.wait_for_exit().await.success());
}
