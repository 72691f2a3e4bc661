//! Uploads longer than the request timeout: a moving one does not time out, a stalled one does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use h8s_nats::{BoxError, ExchangeContext, ExchangeError, RequesterConfig};
use h8s_wire::Frame as WireFrame;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::expect::{ByHand, accepted, well};
use crate::fixture::{
    ServiceBody, body, exchange, full, host, over_both_buses, request, requester_with, responder, within,
};
use crate::plain::{EVERYTHING, subscriber};

/// Long enough for a busy machine to move a piece in time.
const TIMEOUT: Duration = Duration::from_secs(1);

fn config() -> RequesterConfig {
    RequesterConfig::default().request_timeout(TIMEOUT)
}

/// Eight pieces, a quarter of the timeout before each: twice the timeout in total.
fn paced() -> ServiceBody {
    let pieces = stream::iter(0..8).then(|n| async move {
        tokio::time::sleep(TIMEOUT / 4).await;
        Ok::<_, BoxError>(Frame::data(Bytes::from(format!("{n} "))))
    });
    body(StreamBody::new(pieces))
}

const ALL_PIECES: &str = "0 1 2 3 4 5 6 7 ";

/// Endless while it is read; counts the pieces.
fn endless(pieces: Arc<AtomicUsize>) -> ServiceBody {
    let pieces = stream::repeat_with(move || {
        pieces.fetch_add(1, Ordering::Relaxed);
        Ok::<_, BoxError>(Frame::data(Bytes::from_static(&[7; 100_000])))
    });
    body(StreamBody::new(pieces))
}

/// One piece, then pending for ever.
fn stopping() -> ServiceBody {
    let first = stream::iter([Ok::<_, BoxError>(Frame::data(Bytes::from_static(b"first")))]);
    body(StreamBody::new(first.chain(stream::pending())))
}

fn due_in(timeout: Duration, body: ServiceBody) -> Request<ServiceBody> {
    let mut request = request("POST", "/", body);
    let deadline = Some(Instant::now() + timeout);
    request.extensions_mut().insert(ExchangeContext::default().deadline(deadline));
    request
}

over_both_buses! {
    async fn an_upload_that_moves_is_waited_for(bus) {
        let _responder = responder(&bus.url(), "/*", |request| async move {
            Ok(Response::new(full(request.into_body().collect().await?.to_bytes())))
        })
        .await;
        let requester = requester_with(&bus.url(), config()).await;

        let answer = exchange(&requester, request("POST", "/", paced())).await;

        assert_eq!(answer.body(), ALL_PIECES);
    }

    async fn an_upload_to_a_plain_responder_is_waited_for(bus) {
        let _subscriber =
            subscriber(&bus, EVERYTHING, |message| vec![(vec![], message.payload.clone())]).await;
        let requester = requester_with(&bus.url(), config()).await;

        let answer = exchange(&requester, request("POST", "/x", paced())).await;

        assert_eq!(answer.body(), ALL_PIECES);
    }

    async fn an_upload_is_published_however_long_it_takes(bus) {
        let (seen, mut requests) = mpsc::unbounded_channel();
        let _subscriber = subscriber(&bus, EVERYTHING, move |message| {
            seen.send(message.payload.clone()).unwrap();
            vec![]
        })
        .await;
        let requester = requester_with(&bus.url(), config()).await;

        within(requester.publish(&host(), request("POST", "/x", paced()))).await.unwrap();

        assert_eq!(within(requests.recv()).await.unwrap(), ALL_PIECES);
    }

    async fn after_an_upload_the_answer_is_due_as_ever(bus) {
        let (read, mut reads) = mpsc::unbounded_channel();
        let _responder = responder(&bus.url(), "/*", move |request| {
            let read = read.clone();
            async move {
                read.send(request.into_body().collect().await?.to_bytes()).unwrap();
                std::future::pending().await
            }
        })
        .await;
        let requester = requester_with(&bus.url(), config()).await;

        let error = within(requester.send(&host(), request("POST", "/", paced()))).await.unwrap_err();

        assert!(matches!(error, ExchangeError::Timeout), "{error:?}");
        assert_eq!(reads.recv().now_or_never().unwrap().unwrap(), ALL_PIECES);
    }

    async fn an_upload_without_a_reader_times_out(bus) {
        let _silent = responder(&bus.url(), "/*", |request| async move {
            let _unread = request;
            std::future::pending().await
        })
        .await;
        let requester = requester_with(&bus.url(), config()).await;
        let pieces = Arc::new(AtomicUsize::new(0));

        let upload = endless(pieces.clone());
        let error = within(requester.send(&host(), request("POST", "/", upload))).await.unwrap_err();

        assert!(matches!(error, ExchangeError::Timeout), "{error:?}");
        let sent = pieces.load(Ordering::Relaxed);
        assert!((1..20).contains(&sent), "{sent} pieces: a window, and what is on the way to it");
    }

    async fn an_upload_that_its_client_does_not_go_on_with_ends(bus) {
        let _responder = responder(&bus.url(), "/native", |request| async move {
            Ok(Response::new(full(request.into_body().collect().await?.to_bytes())))
        })
        .await;
        let _subscriber = subscriber(&bus, EVERYTHING, |_| vec![]).await;
        let requester = requester_with(&bus.url(), config()).await;
        for path in ["/native", "/plain"] {
            let error = within(requester.send(&host(), request("POST", path, stopping()))).await.unwrap_err();

            assert!(matches!(error, ExchangeError::Timeout), "{path}: {error:?}");
        }
    }

    async fn a_requests_own_deadline_is_not_put_off(bus) {
        let (record, mut deadlines) = mpsc::unbounded_channel();
        let _responder = responder(&bus.url(), "/native", move |request| {
            record.send(request.extensions().get::<ExchangeContext>().unwrap().deadline).unwrap();
            async move { Ok(Response::new(full(request.into_body().collect().await?.to_bytes()))) }
        })
        .await;
        let _subscriber = subscriber(&bus, EVERYTHING, |_| vec![(vec![], "never".into())]).await;
        let requester = requester_with(&bus.url(), config()).await;
        for path in ["/native", "/plain"] {
            let mut request = due_in(TIMEOUT / 2, paced());
            *request.uri_mut() = path.parse().unwrap();

            let error = within(requester.send(&host(), request)).await.unwrap_err();

            assert!(matches!(error, ExchangeError::Timeout), "{path}: {error:?}");
        }
        assert!(within(deadlines.recv()).await.unwrap().is_some());
    }

    async fn the_head_carries_the_timeout_where_it_is_known(bus) {
        let _responder = responder(&bus.url(), "/*", |request| async move {
            let deadline = request.extensions().get::<ExchangeContext>().unwrap().deadline;
            Ok(Response::new(full(if deadline.is_some() { "known" } else { "unknown" })))
        })
        .await;
        let requester = requester_with(&bus.url(), config()).await;
        for (asked, expected) in [
            (request("GET", "/", full("")), "known"),
            (request("POST", "/", full("all of it")), "known"),
            (request("POST", "/", stopping()), "unknown"),
            (due_in(10 * TIMEOUT, stopping()), "known"),
        ] {
            assert_eq!(exchange(&requester, asked).await.body(), expected);
        }
    }

    async fn an_upload_moves_while_its_reader_consumes_it(bus) {
        // given an upload that has been sent whole, to a responder that reads slowly
        let mut by_hand = ByHand::start_with(&bus, config()).await;
        let requester = by_hand.requester.clone();
        let upload = full(vec![7; 400_000]);
        let sending = tokio::spawn(async move { exchange(&requester, request("POST", "/", upload)).await });
        let (_, gateway, id) = by_hand.opening().await;
        by_hand.say(&gateway, id, &WireFrame::Credit { limit: 1 << 20, handled: 1 }).await;
        let mut frames = 2;
        while !matches!(by_hand.next_frame().await, WireFrame::End { .. }) {
            frames += 1;
        }
        // when it acknowledges what it has read often enough
        for handled in 2..=frames {
            tokio::time::sleep(TIMEOUT / 2).await;
            by_hand.say(&gateway, id, &WireFrame::Credit { limit: 1 << 20, handled }).await;
        }
        by_hand.say(&gateway, id, &well()).await;
        // then its answer is in time
        assert!(frames > 3, "{frames} frames take longer than the timeout");
        assert_eq!(within(sending).await.unwrap().status(), 200);
    }

    async fn an_invented_acknowledgement_is_not_progress(bus) {
        let mut by_hand = ByHand::start_with(&bus, config()).await;
        let requester = by_hand.requester.clone();
        let upload = request("POST", "/", stopping());
        let mut sending = tokio::spawn(async move { requester.send(&host(), upload).await.map(drop) });
        let (_, gateway, id) = by_hand.opening().await;
        by_hand.say(&gateway, id, &accepted()).await;

        // Acknowledges more and more bytes that were never sent.
        let lies = async {
            for handled in 100.. {
                by_hand.say(&gateway, id, &WireFrame::Credit { limit: 1 << 20, handled }).await;
                tokio::time::sleep(TIMEOUT / 10).await;
            }
        };
        let ended = within(async {
            tokio::select! {
                ended = &mut sending => ended.unwrap(),
                () = lies => unreachable!("lies have no end"),
            }
        });

        let error = ended.await.unwrap_err();
        assert!(matches!(error, ExchangeError::Timeout), "{error:?}");
    }
}
