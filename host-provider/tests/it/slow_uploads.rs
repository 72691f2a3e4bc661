//! A request's body that takes longer to come than the component has time: what counts is the last piece that it took.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{Method, Request, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::time::Instant;

use crate::log;
use crate::stand::{assert_unharmed, call, idle, request, serve, short, text};

/// Long enough for a busy machine to move a piece in time.
const TIMEOUT_MS: u64 = 1_000;

type Piece = std::io::Result<Frame<Bytes>>;

/// Eight pieces, with a quarter of the timeout before each: twice the timeout in all.
fn paced() -> impl Stream<Item = Piece> + Send + 'static {
    stream::iter(0..8).then(|n| async move {
        tokio::time::sleep(Duration::from_millis(TIMEOUT_MS / 4)).await;
        Ok(Frame::data(Bytes::from(format!("{n} "))))
    })
}

/// There is always more of it.
fn endless() -> impl Stream<Item = Piece> + Send + 'static {
    stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(&[7; 1_000]))))
}

fn post<S>(path: &str, pieces: S) -> Request<StreamBody<S>> {
    let mut request = request(Method::GET, path).map(|_empty| StreamBody::new(pieces));
    *request.method_mut() = Method::POST;
    request
}

#[tokio::test]
async fn a_guest_is_waited_for_while_it_takes_more() {
    let service = serve("guests", short(TIMEOUT_MS)).await;

    let response = call(&service, post("/read-first", paced())).await.unwrap();

    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(text(response.into_body()).await.unwrap(), "16\n");
}

#[tokio::test]
async fn a_message_is_waited_for_while_more_of_it_comes() {
    let service = serve("message-guests", short(TIMEOUT_MS)).await;

    let response = call(&service, post("/mirror", paced())).await.unwrap();

    assert_eq!(response.status(), StatusCode::OK);
    assert!(text(response.into_body()).await.unwrap().ends_with("\n0 1 2 3 4 5 6 7 "));
}

#[tokio::test]
async fn a_guest_that_takes_nothing_ends() {
    let service = serve("guests", short(50)).await;

    let response = call(&service, post("/never-answer", endless())).await.unwrap();

    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    log::line(&[&log::of(&service), "no response head within"]).await;
    assert_unharmed(&service).await;
}

#[tokio::test]
async fn a_guest_does_not_wait_for_ever_for_more() {
    let service = serve("guests", short(50)).await;
    let first = stream::iter([Ok(Frame::data(Bytes::from_static(b"first")))]);

    let response =
        call(&service, post("/read-first", first.chain(stream::pending::<Piece>()))).await.unwrap();

    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    idle(&service).await;
}

#[tokio::test]
async fn the_gateways_deadline_is_not_put_off() {
    // given a gateway that gives up before all can have come
    let service = serve("guests", short(TIMEOUT_MS)).await;
    let mut request = post("/read-first", paced());
    let deadline = Some(Instant::now() + Duration::from_millis(TIMEOUT_MS / 2));
    let context = h8s_nats::ExchangeContext::default().deadline(deadline);
    request.extensions_mut().insert(context);
    // when
    let response = call(&service, request).await.unwrap();
    // then
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    idle(&service).await;
}
