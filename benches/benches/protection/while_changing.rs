//! The load while the gateway's configuration changes, and while a component does.

use std::fs;
use std::time::Duration;

use h8s_benches::programs::{Gateway, Programs};
use h8s_benches::with_note;
use h8s_test_support::NatsServer;
use h8s_test_support::guests::guest;
use h8s_test_support::process::Process;

use crate::limited::Limited;
use crate::report::Report;
use crate::stand::{Stand, TIME, answers};
use crate::steady::{Steady, Target};
use crate::tls::{Certificates, replace};

/// So often is the file written, and is every second time a signal sent besides.
const RELOADS: u32 = 20;
const RENEWALS: usize = 5;
/// Files are looked at five times a second, and read when they have not changed since the last look.
const RENEWED: Duration = Duration::from_millis(1500);
/// Compiling a component takes a while, and a processor.
const SWAPS: u32 = 5;

/// The configuration file changes, and SIGHUP comes.
pub(crate) async fn reload(report: &mut Report) {
    println!("reload: 2,000 requests a second while the configuration is read again {RELOADS} times");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("h8sd.toml");
    replace(&file, b"max-body-size = \"1MiB\"\n");
    let stand = Stand::start(&["--config", file.to_str().expect("its name is text")]).await;
    let alone = Steady::run(&stand.target(), TIME).await;
    report.load("alone", &alone, None);
    let counted = Limited::of(&stand.gateway).await;

    let steady = Steady::start(&stand.target());
    for number in 1..=RELOADS {
        replace(&file, format!("max-body-size = \"{}MiB\"\n", 1 + number).as_bytes());
        if number.is_multiple_of(2) {
            stand.gateway.process.signal("HUP");
        }
        tokio::time::sleep(TIME / RELOADS).await;
    }
    report.load("while it is read again", &steady.stop(), None);
    report.note("counted", &Limited::of(&stand.gateway).await.since(&counted));
}

/// The certificate's files change, and new connections come all the time.
pub(crate) async fn certificate(report: &mut Report) {
    println!(
        "certificate: 2,000 requests a second over TLS while the certificate is renewed {RENEWALS} times"
    );
    let certificates = Certificates::make();
    let (chain, key) = (certificates.chain(), certificates.key());
    let flags = [&chain, &key].map(|file| file.to_str().expect("its name is text"));
    let stand = Stand::start(&["--tls-cert", flags[0], "--tls-key", flags[1]]).await;
    let target = Target { tls: Some(certificates.trusted()), ..stand.target() };
    let alone = Steady::run(&target, TIME).await;
    report.load("alone", &alone, None);
    let counted = Limited::of(&stand.gateway).await;

    let steady = Steady::start(&target);
    for number in 1..=RENEWALS {
        certificates.install(number);
        tokio::time::sleep(RENEWED).await;
    }
    report.load("while it is renewed", &steady.stop(), None);
    report.note("counted", &Limited::of(&stand.gateway).await.since(&counted));
}

/// A component's file changes, and its host watches.
pub(crate) async fn swap(report: &mut Report) {
    println!("swap: 2,000 requests a second to a component that is replaced {SWAPS} times");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let component = directory.path().join("hello.wasm");
    let original = fs::read(guest("hello")).expect("it was built");
    replace(&component, &original);
    let nats = NatsServer::start().await;
    let mut command = Programs::built().command("h8s-host");
    command.args(["--host", "127.0.0.1", "--nats-url", &nats.url(), "--no-cache", "--watch"]).arg(&component);
    let mut host = Process::start(&mut command);
    host.wait_for_line("h8s_host: ready").await;
    let gateway = Gateway::start(Programs::built(), &nats.url(), &[]).await;
    answers(&gateway, "/api").await;
    let target = Target { address: gateway.address, path: "/api", tls: None };
    let alone = Steady::run(&target, TIME).await;
    report.load("alone", &alone, None);

    let steady = Steady::start(&target);
    for number in 0..SWAPS {
        replace(&component, &with_note(&original, number));
        tokio::time::sleep(TIME / SWAPS + Duration::from_secs(1)).await;
    }
    report.load("while it is replaced", &steady.stop(), None);
    report.note("swapped", &format!("{} times", host.output().matches(": swapped").count()));
}
