//! hyper alone: the lower bound for a gateway.

use std::convert::Infallible;
use std::future::ready;

use bytes::Bytes;
use h8s_benches::{accept_all, runtime};
use http::Request;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;

use crate::page;

/// The argument that selects the server role.
pub(crate) const ROLE: &str = "--alone";

/// Never returns.
pub(crate) fn run() {
    let page = page::head().map(|()| Full::new(Bytes::from(page::body())));
    runtime().block_on(accept_all(|stream| {
        let page = page.clone();
        let answer = service_fn(move |_: Request<Incoming>| ready(Ok::<_, Infallible>(page.clone())));
        http1::Builder::new().serve_connection(stream, answer)
    }));
}
