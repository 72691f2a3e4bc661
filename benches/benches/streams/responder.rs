//! A native responder in a process of its own: makes bodies of any length, compares those that it gets, and has small
//! answers.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use h8s_benches::contents::{Comparison, Contents};
use h8s_benches::native;
use h8s_nats::{Body, BodyError};
use http::{Method, Request, Response};
use http_body_util::{Either, Full};
use tower_service::Service;

/// The argument by which this program knows that it is the responder; the URL of NATS follows.
pub(crate) const ROLE: &str = "--responder";
/// What it answers with a few bytes.
pub(crate) const SMALL: &str = "/native/small";
/// Where it compares what it gets, and says how much that was.
pub(crate) const UP: &str = "/native/";

/// Where it makes a body of so many bytes.
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
