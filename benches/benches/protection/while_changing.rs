//! Measures the load while the gateway's configuration or a component changes.

use std::fs;
use std::time::Duration;

use h8s_benches::programs::{Gateway, Programs};
use h8s_benches::with_note;
use h8s_test_support::NatsServer;
use h8s_test_support::guests::guest;
use h8s_test_support::process::Process;

use crate::limited::Limited;
use crate::open_loop_load::{OpenLoopLoad, Target};
use crate::report::Report;
use crate::setup::{Setup, TIME, answers};
use crate::tls::{Certificates, replace};

/// The number of times that the file is replaced. Every second time a signal is sent as well.
const RELOADS: u32 = 20;
const RENEWALS: usize = 5;
/// Files are polled five times a second, and read once they are stable between two polls.
const RENEWED: Duration = Duration::from_millis(1500);
/// Compiling a component takes a while, and a processor.
const SWAPS: u32 = 5;

/// Replaces the configuration file, and sends SIGHUP.
pub(crate) async fn reload(report: &mut Report) {
    println!("reload: 2,000 requests a second while the configuration is read again {RELOADS} times");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("h8sd.toml");
    replace(&file, b"max-body-size = \"1MiB\"\n");
    let setup = Setup::start(&["--config", file.to_str().expect("its name is text")]).await;
    let alone = OpenLoopLoad::run(&setup.target(), TIME).await;
    report.load("alone", &alone, None);
    let counted = Limited::of(&setup.gateway).await;

    let steady = OpenLoopLoad::start(&setup.target());
    for number in 1..=RELOADS {
        replace(&file, format!("max-body-size = \"{}MiB\"\n", 1 + number).as_bytes());
        if number.is_multiple_of(2) {
            setup.gateway.process.signal("HUP");
        }
        tokio::time::sleep(TIME / RELOADS).await;
    }
    report.load("while it is read again", &steady.stop(), None);
    report.note("counted", &Limited::of(&setup.gateway).await.since(&counted));
}

/// Replaces the certificate files while new connections arrive.
pub(crate) async fn certificate(report: &mut Report) {
    println!(
        "certificate: 2,000 requests a second over TLS while the certificate is renewed {RENEWALS} times"
    );
    let certificates = Certificates::make();
    let (chain, key) = (certificates.chain(), certificates.key());
    let flags = [&chain, &key].map(|file| file.to_str().expect("its name is text"));
    let setup = Setup::start(&["--tls-cert", flags[0], "--tls-key", flags[1]]).await;
    let target = Target { tls: Some(certificates.trusted()), ..setup.target() };
    let alone = OpenLoopLoad::run(&target, TIME).await;
    report.load("alone", &alone, None);
    let counted = Limited::of(&setup.gateway).await;

    let steady = OpenLoopLoad::start(&target);
    for number in 1..=RENEWALS {
        certificates.install(number);
        tokio::time::sleep(RENEWED).await;
    }
    report.load("while it is renewed", &steady.stop(), None);
    report.note("counted", &Limited::of(&setup.gateway).await.since(&counted));
}

/// Replaces the component file under a watching host.
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
    let alone = OpenLoopLoad::run(&target, TIME).await;
    report.load("alone", &alone, None);

    let steady = OpenLoopLoad::start(&target);
    for number in 0..SWAPS {
        replace(&component, &with_note(&original, number));
        tokio::time::sleep(TIME / SWAPS + Duration::from_secs(1)).await;
    }
    report.load("while it is replaced", &steady.stop(), None);
    report.note("swapped", &format!("{} times", host.output().matches(": swapped").count()));
}
