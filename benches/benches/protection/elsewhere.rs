//! A server unrelated to the gateway: hyper over HTTP/2, with the gateway's limit of resets. It shows what a flood costs the machine.

use std::convert::Infallible;
use std::future::ready;
use std::net::SocketAddr;

use bytes::Bytes;
use h8s_benches::programs::{listens, role};
use h8s_benches::{accept_all, runtime};
use h8s_test_support::process::Process;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioExecutor;

/// The argument that selects the server role.
pub(crate) const ROLE: &str = "--elsewhere";

/// The number of streams reset before they are accepted that closes a connection: the gateway's own limit.
const RESETS: usize = 50;

/// The server process. Stops when dropped.
pub(crate) struct Elsewhere {
    _process: Process,
    pub(crate) address: SocketAddr,
}

impl Elsewhere {
    pub(crate) async fn start() -> Self {
        let mut process = role(&[ROLE]);
        let address = listens(&mut process).await;
        Self { _process: process, address }
    }
}

/// Never returns.
pub(crate) fn run() {
    runtime().block_on(accept_all(|stream| {
        let empty = || Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()));
        let answer = service_fn(move |_: Request<Incoming>| ready(empty()));
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.max_pending_accept_reset_streams(RESETS);
        http.serve_connection(stream, answer)
    }));
}
