//! A native responder that does nothing, in a process of its own: what is left is what gateway, NATS and it cost.

use bytes::Bytes;
use h8s_benches::{Fixed, runtime};
use h8s_nats::{Link, NatsConfig, Responder};
use h8s_wire::{Interest, MethodPattern};
use http::Response;
use http::header::CONTENT_TYPE;

use crate::backend::ANSWER;

/// The argument by which this program knows that it is the responder; the URL of NATS follows.
pub(crate) const ROLE: &str = "--native";

/// What it serves; everything else is the reverse daemon's.
pub(crate) const PATH: &str = "/native/*";

/// Never returns.
pub(crate) fn run(nats_url: &str) {
    runtime().block_on(async {
        let config = NatsConfig::anonymous(nats_url).expect("a bus has a URL");
        let link = Link::connect(&config).await.expect("the bus can be connected to");
        let interest = Interest {
            host: "127.0.0.1".parse().expect("it is a host"),
            path: PATH.parse().expect("it is a pattern"),
            method: MethodPattern::Any,
        };
        let answer = Response::builder().header(CONTENT_TYPE, "text/plain").body(());
        let service = Fixed::new(answer.expect("it is a response"), Bytes::from_static(ANSWER));
        let _responder =
            Responder::builder(link).serve(interest, service).start().await.expect("a responder starts");
        println!("ready");
        std::future::pending::<()>().await;
    });
}
