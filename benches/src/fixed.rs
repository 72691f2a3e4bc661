//! A service that does nothing: what is left is what it costs to be asked.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower_service::Service;

/// Answers everything with the same response, and looks at nothing.
#[derive(Clone, Debug)]
pub struct Fixed(Response<Full<Bytes>>);

impl Fixed {
    /// A service with this answer.
    pub fn new(answer: Response<()>, body: Bytes) -> Self {
        Self(answer.map(|()| Full::new(body)))
    }
}

impl<B> Service<Request<B>> for Fixed {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(self.0.clone()))
    }
}
