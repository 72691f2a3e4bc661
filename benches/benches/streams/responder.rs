//! A native responder as a separate process: generates bodies of any length, compares uploads, and has small
//! responses.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use h8s_benches::contents::{Comparison, Contents};
use h8s_benches::native;
use h8s_nats::{Body, BodyError};
use http::{Method, Request, Response};
use http_body_util::{Either, Full};
use tower_service::Service;

/// The argument that selects the responder role; the NATS URL follows.
pub(crate) const ROLE: &str = "--responder";
/// The path of small responses.
pub(crate) const SMALL: &str = "/native/small";
/// The path that compares an upload and returns its size.
pub(crate) const UP: &str = "/native/";

/// The path of a body with a given number of bytes.
pub(crate) fn down(bytes: u64) -> String {
    format!("/native/{bytes}")
}

/// Never returns.
pub(crate) fn run(nats_url: &str) {
    native::run(nats_url, "127.0.0.1", "/native/*", Answers);
}

#[derive(Clone, Copy)]
struct Answers;

type Answer = Response<Either<Full<Bytes>, Contents>>;

impl Service<Request<Body>> for Answers {
    type Response = Answer;
    type Error = BodyError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, BodyError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(async move {
            if request.method() == Method::POST {
                let bytes = Comparison::all(request.into_body()).await?;
                return Ok(text(bytes.to_string()));
            }
            let last = request.uri().path().rsplit('/').next().unwrap_or_default();
            Ok(match last.parse() {
                Ok(bytes) => large(bytes),
                Err(_) => text("hello, world\n".to_owned()),
            })
        })
    }
}

fn text(text: String) -> Answer {
    Response::new(Either::Left(Full::from(text)))
}

fn large(bytes: u64) -> Answer {
    let response = Response::builder().header(http::header::CONTENT_LENGTH, bytes);
    response.body(Either::Right(Contents::of(bytes))).expect("it is a response")
}
