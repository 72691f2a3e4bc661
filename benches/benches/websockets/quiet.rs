//! A responder that accepts every WebSocket, and has nothing to say.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use h8s_nats::{Accept, Body, Incoming, WebSocketUpgrade};
use http::{Request, Response};
use http_body_util::Empty;
use tower_service::Service;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Quiet;

impl Service<Request<Body>> for Quiet {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let upgrade = request.extensions_mut().remove::<WebSocketUpgrade>();
        let (response, mut websocket) =
            upgrade.expect("only WebSockets are announced").accept(Accept::default()).expect("accepted once");
        tokio::spawn(async move { while let Incoming::Message { .. } = websocket.next().await {} });
        ready(Ok(response.map(|()| Empty::new())))
    }
}
