//! hyper alone: no gateway can cost less.

use std::convert::Infallible;
use std::future::ready;

use bytes::Bytes;
use h8s_benches::runtime;
use http::Request;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::page;

/// The argument by which this program knows that it is the server.
pub(crate) const ROLE: &str = "--alone";

/// Never returns.
pub(crate) fn run() {
    let page = page::head().map(|()| Full::new(Bytes::from(page::body())));
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        println!("listening on {}", listener.local_addr().expect("a listener has an address"));
        loop {
            let (stream, _) = listener.accept().await.expect("a listener accepts");
            stream.set_nodelay(true).expect("a socket");
            let page = page.clone();
            let answer = service_fn(move |_: Request<Incoming>| ready(Ok::<_, Infallible>(page.clone())));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        }
    });
}
