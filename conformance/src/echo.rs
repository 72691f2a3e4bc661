//! The service: accepts every WebSocket, and answers each message with itself.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use h8s_nats::{Accept, Body, Incoming, WebSocket, WebSocketUpgrade};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower_service::Service;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Echo;

impl Service<Request<Body>> for Echo {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let Some(upgrade) = request.extensions_mut().remove::<WebSocketUpgrade>() else {
            let mut refusal = Response::new(Full::from("WebSockets only\n"));
            *refusal.status_mut() = StatusCode::UPGRADE_REQUIRED;
            return ready(Ok(refusal));
        };
        let (response, websocket) = upgrade.accept(Accept::default()).expect("accepted once");
        tokio::spawn(echo(websocket));
        ready(Ok(response.map(|()| Full::default())))
    }
}

/// Until the connection is over, or somebody else's.
async fn echo(mut websocket: WebSocket) {
    let sender = websocket.sender();
    while let Incoming::Message { message, .. } = websocket.next().await {
        if sender.send(message).await.is_err() {
            return;
        }
    }
}
