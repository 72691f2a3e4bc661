//! Whole exchanges: the received bytes equal the sent ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h8s_nats::{ExchangeContext, Responder};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::mpsc;

use crate::fixture::{
    Service, body, exchange, full, get, host, interest, link, over_both_buses, request, requester, responder,
    service, within,
};

over_both_buses! {
    async fn unary_in_one_message_each_way(bus) {
        let _responder = responder(&bus.url(), "/*", |request| async move {
            assert_eq!(request.uri().to_string(), "http://app.example/a%2Fb//c?x=%20&y");
            assert_eq!(request.headers()["x-latin"].as_bytes(), b"caf\xe9");
            assert_eq!(request.headers()["host"], "app.example");
            let context = request.extensions().get::<ExchangeContext>().unwrap();
            assert_eq!(context.client, Some([192, 0, 2, 7].into()));
            assert!(context.deadline.is_some());
            let body = request.into_body().collect().await?.to_bytes();
            Ok(Response::builder().status(201).header("x-answer", "yes").body(full(body))?)
        })
        .await;
        let requester = requester(&bus.url()).await;

        let mut request = request("POST", "/a%2Fb//c?x=%20&y", full("hello"));
        request.headers_mut().insert("x-latin", HeaderValue::from_bytes(b"caf\xe9").unwrap());
        request.extensions_mut().insert(ExchangeContext::default().client(Some([192, 0, 2, 7].into())));
        let response = exchange(&requester, request).await;

        assert_eq!(response.status(), StatusCode::CREATED);
        assert_eq!(response.headers()["x-answer"], "yes");
        assert_eq!(response.body(), "hello");
        assert_eq!(requester.open_exchanges(), 0);
    }

    async fn both_directions_stream_at_once(bus) {
        let _responder = responder(&bus.url(), "/*", |request| async move {
            Ok(Response::new(body(request.into_body())))
        })
        .await;
        let requester = requester(&bus.url()).await;

        // Each piece is sent after the previous one has returned.
        let (pieces, upload) = mpsc::channel::<Bytes>(1);
        let upload = StreamBody::new(frames(upload));
        let response = within(requester.send(&host(), request("POST", "/", body(upload)))).await.unwrap();
        let mut echo = response.into_body();
        for n in 0..100 {
            let piece = Bytes::from(format!("piece {n}"));
            pieces.send(piece.clone()).await.unwrap();
            let back = within(echo.frame()).await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(back, piece);
        }
        drop(pieces);
        assert!(within(echo.frame()).await.is_none());
    }

    async fn trailers_travel_both_ways(bus) {
        let _responder = responder(&bus.url(), "/*", |request| async move {
            let collected = request.into_body().collect().await?;
            let trailers = collected.trailers().cloned().unwrap_or_default();
            assert_eq!(trailers["x-sum"], "7");
            Ok(Response::new(body(full(collected.to_bytes()).with_trailers(async move { Some(Ok(trailers)) }))))
        })
        .await;
        let requester = requester(&bus.url()).await;

        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("7"));
        let sent = trailers.clone();
        let upload = full("body").with_trailers(async move { Some(Ok(sent)) });
        let response = requester.send(&host(), request("POST", "/", body(upload))).await.unwrap();
        let collected = within(response.into_body().collect()).await.unwrap();

        assert_eq!(collected.trailers(), Some(&trailers));
        assert_eq!(collected.to_bytes(), "body");
    }

    async fn every_request_is_executed_exactly_once_by_one_of_the_responders(bus) {
        // T18
        let executed = Arc::new(AtomicUsize::new(0));
        let mut responders = Vec::new();
        for _ in 0..3 {
            let executed = executed.clone();
            responders.push(responder(&bus.url(), "/*", move |_| {
                executed.fetch_add(1, Ordering::Relaxed);
                async { Ok(Response::new(full("done"))) }
            }).await);
        }
        let requester = requester(&bus.url()).await;
        let requests = (0..300).map(|_| exchange(&requester, get("/")));
        for response in within(futures_util::future::join_all(requests)).await {
            assert_eq!(response.body(), "done");
        }
        assert_eq!(executed.load(Ordering::Relaxed), 300);
    }

    async fn services_of_different_types_share_a_responder_that_reports_its_end(bus) {
        /// Not `Sync`, like tower's `BoxCloneService`.
        #[derive(Clone)]
        struct Local(std::cell::Cell<u8>);
        let local = Local(std::cell::Cell::new(7));
        let builder = Responder::builder(link(&bus.url()).await);
        let one = service(|_| async { Ok(http::Response::new(full("one"))) });
        let other = Service(move |_| {
            let number = local.0.get();
            async move { Ok(http::Response::new(full(format!("other {number}")))) }
        });
        let responder = builder.serve(interest("/one"), one).serve(interest("/other"), other).start().await.unwrap();
        let requester = requester(&bus.url()).await;
        let closed = responder.closed();

        assert_eq!(exchange(&requester, get("/one")).await.body(), "one");
        assert_eq!(exchange(&requester, get("/other")).await.body(), "other 7");
        assert!(tokio::time::timeout(Duration::ZERO, responder.closed()).await.is_err());
        assert!(responder.drain(Duration::from_secs(5)).await);
        within(closed).await;
    }

    async fn the_most_specific_pattern_answers(bus) {
        let mut responders = Vec::new();
        for path in ["/*", "/api/*", "/api/users"] {
            let answer = move |_| async move { Ok(Response::new(full(path))) };
            responders.push(responder(&bus.url(), path, answer).await);
        }
        let requester = requester(&bus.url()).await;
        for (path, pattern) in
            [("/", "/*"), ("/apix", "/*"), ("/api", "/api/*"), ("/api/users/7", "/api/*"), ("/api/users", "/api/users")]
        {
            assert_eq!(exchange(&requester, get(path)).await.body(), pattern, "{path}");
        }
    }
}

/// The pieces of a channel as body frames.
pub(crate) fn frames(
    mut pieces: mpsc::Receiver<Bytes>,
) -> impl futures_util::Stream<Item = Result<http_body::Frame<Bytes>, h8s_nats::BoxError>> {
    futures_util::stream::poll_fn(move |cx| {
        pieces.poll_recv(cx).map(|piece| piece.map(|piece| Ok(http_body::Frame::data(piece))))
    })
}
