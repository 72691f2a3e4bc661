//! Uploads that take longer than the gateway's response timeout, which only the gateway knows.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h8s_nats::ExchangeError;
use h8s_test_support::over_both_buses;
use h8s_test_support::raw_origin::RawOrigin;
use http::Request;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use tokio::sync::mpsc;

use crate::harness::ok;
use crate::websocket_fixture::{daemon, gateway, host, within};

/// Long enough for one piece on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The pieces sent into a channel, until it is closed.
struct Pieces(mpsc::Receiver<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

fn upload() -> (Request<Pieces>, mpsc::Sender<Bytes>) {
    let (pieces, body) = mpsc::channel(1);
    let request = Request::post("/").header("host", "app.example").body(Pieces(body));
    (request.unwrap(), pieces)
}

over_both_buses! {
    async fn an_upload_with_progress_gets_a_response(bus) {
        let origin = RawOrigin::bind().await;
        let _daemon = daemon(&bus, &origin.url(), |_| {}).await;
        let (gateway, host) = (gateway(&bus, TIMEOUT).await, host());
        let (request, pieces) = upload();
        // given a client that takes twice the gateway's timeout
        tokio::spawn(async move {
            for _ in 0..8 {
                tokio::time::sleep(TIMEOUT / 4).await;
                pieces.send(Bytes::from_static(b"piece ")).await.unwrap();
            }
        });
        // when the backend responds with the body that it has read
        let backend = async {
            let mut connection = origin.accept().await;
            let read = connection.request().await.body;
            connection.send(ok(std::str::from_utf8(&read).unwrap())).await;
        };
        let (response, ()) = within(async { tokio::join!(gateway.send(&host, request), backend) }).await;
        // then the client receives it
        let body = within(response.unwrap().into_body().collect()).await.unwrap().to_bytes();
        assert_eq!(body, "piece ".repeat(8));
    }

    async fn a_backend_is_dropped_when_the_gateway_gives_up(bus) {
        let origin = RawOrigin::bind().await;
        let _daemon = daemon(&bus, &origin.url(), |_| {}).await;
        let (gateway, host) = (gateway(&bus, TIMEOUT).await, host());
        // given an upload without progress
        let (request, pieces) = upload();
        pieces.send(Bytes::from_static(b"first")).await.unwrap();
        // when
        let (sent, mut connection) = within(async { tokio::join!(gateway.send(&host, request), origin.accept()) }).await;
        // then
        let error = sent.map(drop).unwrap_err();
        assert!(matches!(error, ExchangeError::Timeout), "{error:?}");
        let head = connection.head().await;
        assert_eq!(head.target, "/");
        connection.read_to_end().await;
    }
}
