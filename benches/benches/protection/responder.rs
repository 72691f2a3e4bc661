//! A native responder as a separate process: small responses, large ones, and an upload sink.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use h8s_benches::native;
use h8s_nats::Body;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use tower_service::Service;

/// The argument that selects the responder role; the NATS URL follows.
pub(crate) const ROLE: &str = "--responder";
/// The path of small responses.
pub(crate) const SMALL: &str = "/small";
/// The path of responses larger than all buffers on the way to a client that does not read.
pub(crate) const LARGE: &str = "/large";
const LARGE_BYTES: usize = 512 * 1024;

/// Never returns.
pub(crate) fn run(nats_url: &str) {
    let answers = Answers { large: Bytes::from(vec![b'x'; LARGE_BYTES]) };
    native::run(nats_url, "127.0.0.1", "/*", answers);
}

#[derive(Clone)]
struct Answers {
    large: Bytes,
}

impl Service<Request<Body>> for Answers {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let large = self.large.clone();
        Box::pin(async move {
            if request.method() == Method::POST {
                // No client reads the response to an interrupted upload.
                let _ = request.into_body().collect().await;
                return Ok(Response::default());
            }
            let is_large = request.uri().path() == LARGE;
            Ok(Response::new(if is_large { large.into() } else { Full::from("hello, world\n") }))
        })
    }
}
