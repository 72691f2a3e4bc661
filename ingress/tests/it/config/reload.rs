//! Reloads while serving: a changed file, SIGHUP, a renewed certificate.

use std::path::{Path, PathBuf};

use h8s_ingress::{ApplyError, Config};
use h8s_test_support::process::program;
use h8s_test_support::{Bus, Process, eventually};

use crate::server::protocols::{Tls, certificate};
use crate::support::*;

/// `h8sd` with a configuration file.
struct Program {
    process: Process,
    address: std::net::SocketAddr,
    operators: std::net::SocketAddr,
    file: PathBuf,
    _directory: tempfile::TempDir,
    _bus: Bus,
}

async fn h8sd(configuration: &str) -> Program {
    let bus = Bus::embedded().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("h8sd.toml");
    let fixed = format!("listen = '127.0.0.1:0'\nadmin-listen = '127.0.0.1:0'\nnats-url = '{}'\n", bus.url());
    std::fs::write(&file, format!("{fixed}{configuration}")).unwrap();
    let mut process =
        Process::start(program(env!("CARGO_BIN_EXE_h8sd")).arg("--config").arg(&file).env("NO_COLOR", "1"));
    let line = process.wait_for_line("listening on ").await;
    let address = line.rsplit(' ').next().unwrap().parse().unwrap();
    let line = process.wait_for_line("operators: http://").await;
    let operators = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).unwrap();
    Program {
        address,
        operators: operators.parse().unwrap(),
        process,
        file,
        _directory: directory,
        _bus: bus,
    }
}

impl Program {
    /// Replaces the file's content after the lines with addresses.
    fn write(&self, configuration: &str) {
        let text = std::fs::read_to_string(&self.file).unwrap();
        let fixed: Vec<&str> = text.lines().take(3).collect();
        std::fs::write(&self.file, format!("{}\n{configuration}", fixed.join("\n"))).unwrap();
    }

    /// The status of a request on a new connection.
    async fn status(&self, host: &str) -> u16 {
        let mut client = Raw::connect(self.address).await;
        client.send(&format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await;
        Answer::parse(&client.rest().await).status
    }

    async fn metrics(&self) -> String {
        let mut client = Raw::connect(self.operators).await;
        client.send("GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        client.rest().await
    }
}

/// No responder serves the host. Only an authorized client receives this status.
const UNANSWERED: u16 = 503;
const FILTERED: u16 = 404;

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_takes_effect_by_itself_also_on_connections_that_are_open() {
    let h8sd = h8sd("host-filters = 'a.example'").await;
    let mut open = Raw::connect(h8sd.address).await;
    open.send("GET / HTTP/1.1\r\nHost: b.example\r\n\r\n").await;
    open.until("not served here").await;

    h8sd.write("host-filters = 'b.example'");

    eventually("b is served", async || h8sd.status("b.example").await == UNANSWERED).await;
    assert_eq!(h8sd.status("a.example").await, FILTERED);
    open.send("GET / HTTP/1.1\r\nHost: b.example\r\n\r\n").await;
    open.until("No responder serves").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_mistakes_changes_nothing_and_all_of_them_are_said() {
    let mut h8sd = h8sd("host-filters = 'a.example'").await;

    h8sd.write("host-filters = 'b.example'\nrequest-timeout = '5'\nmax-conections = 7");

    h8sd.process.wait_for_line("request-timeout = \"5\"").await;
    let both = h8sd.process.stderr();
    assert!(both.contains("did you mean max-connections"), "{both}");
    assert_eq!((h8sd.status("a.example").await, h8sd.status("b.example").await), (UNANSWERED, FILTERED));
    let metrics = h8sd.metrics().await;
    assert!(metrics.contains("h8s_ingress_reloads_total{result=\"refused\"} 1"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_a_restart_is_refused_by_name_with_all_the_rest() {
    let mut h8sd = h8sd("host-filters = 'a.example'").await;

    h8sd.write("host-filters = 'b.example'\ngrace-period = '7s'\nsubject-prefix = 'other'");

    h8sd.process.wait_for_line("grace-period has changed; restart to apply it").await;
    h8sd.process.wait_for_line("subject-prefix has changed").await;
    assert_eq!((h8sd.status("a.example").await, h8sd.status("b.example").await), (UNANSWERED, FILTERED));
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reads_everything_again_and_ends_nothing() {
    let h8sd = h8sd("").await;
    let mut open = Raw::connect(h8sd.address).await;
    open.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    open.until("No responder serves").await;

    for times in 1..=3 {
        h8sd.process.signal("HUP");
        let taken = format!("h8s_ingress_reloads_total{{result=\"taken\"}} {times}");
        eventually("it is read again", async || h8sd.metrics().await.contains(&taken)).await;
    }

    open.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    open.until("No responder serves").await;
}

fn configuration_of(tls: &Tls) -> String {
    let path = |path: &Path| path.display().to_string();
    format!("tls-cert = '{}'\ntls-key = '{}'", path(&tls.files.certificates), path(&tls.files.key))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_served_without_being_told() {
    let (served, renewed) = (certificate(), certificate());
    let mut h8sd = h8sd(&configuration_of(&served)).await;
    assert!(served.is_trusted_at(h8sd.address).await);

    // A renewal replaces the files one after the other. In between, certificate and key do not match.
    std::fs::copy(&renewed.files.certificates, &served.files.certificates).unwrap();
    h8sd.process.wait_for_line("certificate reload failed").await;
    assert!(served.is_trusted_at(h8sd.address).await);
    std::fs::copy(&renewed.files.key, &served.files.key).unwrap();

    h8sd.process.wait_for_line("certificate reloaded").await;
    assert!(renewed.is_trusted_at(h8sd.address).await && !served.is_trusted_at(h8sd.address).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_while_the_configuration_is_broken() {
    let (served, renewed) = (certificate(), certificate());
    let mut h8sd = h8sd(&configuration_of(&served)).await;
    h8sd.write(&format!("{}\nno-such-key = 1", configuration_of(&served)));
    h8sd.process.wait_for_line("no-such-key").await;

    std::fs::copy(&renewed.files.key, &served.files.key).unwrap();
    std::fs::copy(&renewed.files.certificates, &served.files.certificates).unwrap();

    eventually("it is renewed", async || renewed.is_trusted_at(h8sd.address).await).await;
}

async fn greeted(ingress: &Running) -> Raw {
    let mut client = ingress.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.until("hello").await;
    client
}

#[tokio::test]
async fn fewer_connections_take_hold_as_clients_leave_and_more_at_once() {
    let limited = |max_connections| Config { max_connections, ..Config::default() };
    let ingress = start_with(limited(3), hello()).await;
    let open = [greeted(&ingress).await, greeted(&ingress).await, greeted(&ingress).await];

    ingress.apply(limited(1)).unwrap();
    drop(open);
    // The gateway was already accepting this connection when the limit was lowered.
    let mut last = greeted(&ingress).await;
    let mut waiting = ingress.connect().await;
    waiting.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    ingress.metric_becomes("h8s_ingress_connections ", "", 1.0).await;
    last.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    last.until("hello").await;
    assert_eq!(ingress.metric("h8s_ingress_accepted_connections_total", "").await, 4.0);

    ingress.apply(limited(2)).unwrap();
    waiting.until("hello").await;
}

#[tokio::test]
async fn tls_is_neither_turned_on_nor_off_and_a_bad_certificate_changes_nothing() {
    let tls = certificate();
    let ingress = start_with(Config { tls: Some(tls.files.clone()), ..Config::default() }, hello()).await;

    assert!(matches!(ingress.apply(Config::default()), Err(ApplyError::TlsChoice)));
    std::fs::write(&tls.files.key, "no key").unwrap();
    let config = Config { tls: Some(tls.files.clone()), publish_only: true, ..Config::default() };
    assert!(matches!(ingress.apply(config), Err(ApplyError::Tls(_))));

    let stream = tls.connect(&ingress, &["h2"]).await;
    let answer = in_time(http2_on(stream).await.send_request(get("https://localhost/"))).await.unwrap();
    assert_eq!(answer.headers()["content-length"], "5");
}
