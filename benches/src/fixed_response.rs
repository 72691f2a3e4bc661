//! A service that does nothing, so that only the cost of calling it remains.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower_service::Service;

/// Responds to every request with the same response, without reading it.
#[derive(Clone, Debug)]
pub struct FixedResponse(Response<Full<Bytes>>);

impl FixedResponse {
    /// A service with this response.
    pub fn new(answer: Response<()>, body: Bytes) -> Self {
        Self(answer.map(|()| Full::new(body)))
    }
}

impl<B> Service<Request<B>> for FixedResponse {
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
