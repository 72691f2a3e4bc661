//! A native responder as a process of its own.

use h8s_nats::{Bus, ConnectOptions, HttpService, Responder};
use h8s_wire::{Interest, MethodPattern};

use crate::lanes::runtime;

/// Serves everything at `host` and `path` with `service`, and prints `ready`. Never returns.
///
/// # Panics
///
/// When it cannot be served.
pub fn run(nats_url: &str, host: &str, path: &str, service: impl HttpService) {
    run_at(nats_url, host, &[path.to_owned()], service);
}

/// The same at several paths.
///
/// # Panics
///
/// When one of them cannot be served.
pub fn run_at(nats_url: &str, host: &str, paths: &[String], service: impl HttpService) {
    runtime().block_on(async {
        let config = ConnectOptions::new(nats_url).expect("a bus has a URL");
        let link = Bus::connect(config).await.expect("the bus can be connected to");
        let interest = |path: &String| Interest {
            host: host.parse().expect("it is a host"),
            path: path.parse().expect("it is a pattern"),
            method: MethodPattern::Any,
        };
        let builder = paths
            .iter()
            .map(interest)
            .fold(Responder::builder(link), |builder, interest| builder.serve(interest, service.clone()));
        let _responder = builder.start().await.expect("a responder starts");
        println!("ready");
        std::future::pending::<()>().await;
    });
}
