//! Every way in which an exchange ends early: visible at both ends, and at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h8s_nats::{BodyError, BoxError, ExchangeError, Refused, RequesterConfig};
use h8s_wire::AbortCode;
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::exchange::frames;
use crate::fixture::{
    ServiceBody, body, eventually, exchange, full, get, host, over_both_buses, request, requester,
    requester_with, responder, within,
};

/// Notifies its receiver on drop.
struct Guard(Option<mpsc::UnboundedSender<()>>);

impl Guard {
    fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<()>) {
        let (sender, dropped) = mpsc::unbounded_channel();
        (Arc::new(Self(Some(sender))), dropped)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.take().unwrap().send(());
    }
}

/// One piece, then pending for ever; keeps `held` until it is dropped.
fn stuck<T: Send + 'static>(held: T) -> ServiceBody {
    let mut first = Some(Bytes::from_static(b"first"));
    body(StreamBody::new(futures_util::stream::poll_fn(move |_| {
        let _ = &held;
        match first.take() {
            Some(first) => std::task::Poll::Ready(Some(Ok::<_, BoxError>(Frame::data(first)))),
            None => std::task::Poll::Pending,
        }
    })))
}

fn config(request_timeout: Duration) -> RequesterConfig {
    RequesterConfig::default().request_timeout(request_timeout)
}

over_both_buses! {
    async fn no_responder(bus) {
        let requester = requester(&bus.url()).await;
        let start = Instant::now();
        let error = requester.send(&host(), get("/")).await.unwrap_err();
        assert!(matches!(error, ExchangeError::NoResponders), "{error:?}");
        assert!(start.elapsed() < Duration::from_secs(2), "not after a timeout");
        assert_eq!(requester.open_exchanges(), 0);
    }

    async fn the_client_leaves_before_the_response(bus) {
        let (called, mut calls) = mpsc::unbounded_channel();
        let _responder = responder(&bus.url(), "/*", move |_| {
            let (guard, dropped) = Guard::new();
            called.send(dropped).unwrap();
            async move {
                let _guard = guard;
                std::future::pending().await
            }
        })
        .await;
        let requester = requester(&bus.url()).await;
        let sender = requester.clone();
        let client = tokio::spawn(async move { sender.send(&host(), get("/")).await.map(drop) });

        let mut dropped = within(calls.recv()).await.unwrap();
        client.abort();

        within(dropped.recv()).await.unwrap();
        eventually("the exchange is forgotten", async || requester.open_exchanges() == 0).await;
    }

    async fn the_client_leaves_in_mid_body(bus) {
        let (guard, mut dropped) = Guard::new();
        let weak = std::sync::Mutex::new(Some(guard));
        let guard = Arc::new(weak);
        let _responder = responder(&bus.url(), "/*", move |_| {
            let held = guard.lock().unwrap().take();
            async move { Ok(Response::new(stuck(held))) }
        })
        .await;
        let requester = requester(&bus.url()).await;

        let mut response = requester.send(&host(), get("/")).await.unwrap();
        assert_eq!(within(response.body_mut().frame()).await.unwrap().unwrap().into_data().unwrap(), "first");
        drop(response);

        within(dropped.recv()).await.unwrap();
        eventually("the exchange is forgotten", async || requester.open_exchanges() == 0).await;
    }

    async fn the_client_s_upload_breaks(bus) {
        let (seen, mut errors) = mpsc::unbounded_channel();
        let (called, mut calls) = mpsc::unbounded_channel();
        let _responder = responder(&bus.url(), "/*", move |request| {
            let (seen, called) = (seen.clone(), called.clone());
            async move {
                called.send(()).unwrap();
                let error = request.into_body().collect().await.map(|_| ()).unwrap_err();
                seen.send(error).unwrap();
                Ok(Response::new(full("never seen")))
            }
        })
        .await;
        let requester = requester(&bus.url()).await;
        let (pieces, upload) = mpsc::channel::<Result<Frame<Bytes>, BoxError>>(4);
        let mut upload = upload;
        let upload = body(StreamBody::new(futures_util::stream::poll_fn(move |cx| upload.poll_recv(cx))));
        pieces.send(Ok(Frame::data(Bytes::from_static(b"half")))).await.unwrap();
        let sender = requester.clone();
        let sending = tokio::spawn(async move { sender.send(&host(), request("POST", "/", upload)).await });
        within(calls.recv()).await.unwrap();
        pieces.send(Err("the client's connection broke".into())).await.unwrap();

        let error = within(sending).await.unwrap().unwrap_err();
        assert!(matches!(error, ExchangeError::RequestBody(_)), "{error:?}");
        let seen = within(errors.recv()).await.unwrap();
        assert!(matches!(seen, BodyError::Aborted { code: AbortCode::Failed, .. } | BodyError::Cancelled), "{seen:?}");
    }

    async fn the_responder_stops_reading(bus) {
        let _responder = responder(&bus.url(), "/*", |request| async move {
            drop(request);
            Ok(Response::new(full("enough")))
        })
        .await;
        let requester = requester(&bus.url()).await;
        let (pieces, upload) = mpsc::channel::<Bytes>(1);
        let upload = body(StreamBody::new(frames(upload)));
        let response = exchange(&requester, request("POST", "/", upload)).await;
        assert_eq!(response.body(), "enough");
        within(pieces.closed()).await;
    }

    async fn the_service_fails_before_the_response(bus) {
        let _responder = responder(&bus.url(), "/*", |_| async { Err("out of order".into()) }).await;
        let requester = requester(&bus.url()).await;
        match requester.send(&host(), get("/")).await.unwrap_err() {
            ExchangeError::Aborted { code: AbortCode::Failed, reason } => assert_eq!(reason, "out of order"),
            error => panic!("{error:?}"),
        }
    }

    async fn the_service_panics(bus) {
        let _responder = responder(&bus.url(), "/*", |request| async move {
            assert_ne!(request.uri().path(), "/panic", "on purpose");
            Ok(Response::new(full("fine")))
        })
        .await;
        let requester = requester(&bus.url()).await;
        let error = requester.send(&host(), get("/panic")).await.unwrap_err();
        assert!(matches!(error, ExchangeError::Aborted { code: AbortCode::Failed, .. }), "{error:?}");
        assert_eq!(exchange(&requester, get("/")).await.body(), "fine");
    }

    async fn the_service_fails_in_mid_body(bus) {
        let _responder = responder(&bus.url(), "/*", |_| async {
            let (pieces, source) = mpsc::channel::<Result<Frame<Bytes>, BoxError>>(1);
            let mut source = source;
            tokio::spawn(async move {
                pieces.send(Ok(Frame::data(Bytes::from(vec![7; 200_000])))).await.unwrap();
                pieces.send(Err("the disk is gone".into())).await.unwrap();
            });
            Ok(Response::new(body(StreamBody::new(futures_util::stream::poll_fn(move |cx| source.poll_recv(cx))))))
        })
        .await;
        let requester = requester(&bus.url()).await;
        let response = requester.send(&host(), get("/")).await.unwrap();
        let error = within(response.into_body().collect()).await.map(|_| ()).unwrap_err();
        assert!(matches!(error, BodyError::Aborted { code: AbortCode::Failed, .. }), "{error:?}");
    }

    async fn the_responder_stops_at_once(bus) {
        let stopped = responder(&bus.url(), "/*", |_| async { Ok(Response::new(stuck(()))) }).await;
        let requester = requester(&bus.url()).await;
        let mut response = requester.send(&host(), get("/")).await.unwrap();
        within(response.body_mut().frame()).await.unwrap().unwrap();
        drop(stopped);
        let error = within(response.body_mut().frame()).await.unwrap().unwrap_err();
        assert!(matches!(error, BodyError::Aborted { code: AbortCode::Stopping, .. } | BodyError::PeerGone), "{error:?}");
    }

    async fn no_response_within_the_timeout(bus) {
        let (guard, mut dropped) = Guard::new();
        let guard = Arc::new(std::sync::Mutex::new(Some(guard)));
        let _responder = responder(&bus.url(), "/*", move |_| {
            let held = guard.lock().unwrap().take();
            async move {
                let _held = held;
                std::future::pending().await
            }
        })
        .await;
        let requester = requester_with(&bus.url(), config(Duration::from_millis(200))).await;
        let error = requester.send(&host(), get("/")).await.unwrap_err();
        assert!(matches!(error, ExchangeError::Timeout), "{error:?}");
        within(dropped.recv()).await.unwrap();
    }

    async fn a_busy_responder_sends_the_exchange_elsewhere(bus) {
        let refusals = Arc::new(AtomicUsize::new(0));
        let counter = refusals.clone();
        let _busy = responder(&bus.url(), "/*", move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            async { Err(Refused::Busy.into()) }
        })
        .await;
        let requester = requester(&bus.url()).await;
        let error = requester.send(&host(), request("POST", "/", full("again"))).await.unwrap_err();
        assert!(matches!(error, ExchangeError::Refused(Refused::Busy)), "{error:?}");
        assert_eq!(refusals.load(Ordering::Relaxed), 6, "one attempt and five more");

        let _free = responder(&bus.url(), "/*", |request| async move {
            let body = request.into_body().collect().await?.to_bytes();
            Ok(Response::new(full(body)))
        })
        .await;
        let mut answered = 0;
        for _ in 0..50 {
            match requester.send(&host(), request("POST", "/", full("again"))).await {
                Ok(response) => {
                    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "again");
                    answered += 1;
                }
                Err(error) => assert!(matches!(error, ExchangeError::Refused(_)), "{error:?}"),
            }
        }
        assert!(answered >= 40, "{answered} of 50 found the free one");
    }

    async fn a_responder_without_its_backend_passes_the_exchange_to_another(bus) {
        let attempts = Arc::new(AtomicUsize::new(0));
        let counter = attempts.clone();
        let _cut_off = responder(&bus.url(), "/*", move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            async { Err(Refused::Unreachable.into()) }
        })
        .await;
        let requester = requester(&bus.url()).await;

        let error = requester.send(&host(), request("POST", "/", full("again"))).await.unwrap_err();

        assert!(matches!(error, ExchangeError::Refused(Refused::Unreachable)), "{error:?}");
        assert_eq!(attempts.load(Ordering::Relaxed), 6, "one attempt and five more");
    }

    async fn a_stale_announcement_costs_a_round_trip_and_no_failure(bus) {
        let general = responder(&bus.url(), "/*", |_| async { Ok(Response::new(full("general"))) }).await;
        let requester = requester(&bus.url()).await;
        let client = async_nats::connect(&bus.url()).await.unwrap();
        let stale = r#"{"host":"app.example","path":"/stale/*","dialects":["native"]}"#;
        client.publish("h8s.control.interest.register.example.app", stale.into()).await.unwrap();
        client.flush().await.unwrap();
        eventually("it is taken in", async || requester.announced_interests() == 2).await;
        assert_eq!(exchange(&requester, get("/stale/x")).await.body(), "general");
        assert_eq!(requester.announced_interests(), 1, "forgotten");
        general.drain(Duration::from_secs(5)).await;
    }

    async fn a_request_may_wait_for_its_responder(bus) {
        let patient = RequesterConfig::default().request_timeout(Duration::from_secs(15)).wait_for_responder(Some(Duration::from_secs(10)));
        let requester = requester_with(&bus.url(), patient).await;
        let sender = requester.clone();
        let mut waiting = tokio::spawn(async move { exchange(&sender, request("POST", "/", full("early"))).await });
        let early = tokio::time::timeout(Duration::from_millis(250), &mut waiting).await;
        assert!(early.is_err(), "no responder is connected");
        let _late = responder(&bus.url(), "/*", |request| async move {
            let body = request.into_body().collect().await?.to_bytes();
            Ok(Response::new(full(body)))
        })
        .await;
        assert_eq!(within(waiting).await.unwrap().body(), "early");
    }

    async fn drain_loses_nothing(bus) {
        let answer = |_| async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok(Response::new(full("done")))
        };
        let first = responder(&bus.url(), "/*", answer).await;
        let requester = requester(&bus.url()).await;
        let stop = Arc::new(AtomicUsize::new(0));
        let load = (0..32).map(|_| {
            let (requester, stop) = (requester.clone(), stop.clone());
            tokio::spawn(async move {
                let mut done = 0;
                while stop.load(Ordering::Relaxed) == 0 {
                    assert_eq!(exchange(&requester, get("/")).await.body(), "done");
                    done += 1;
                }
                done
            })
        });
        let load: Vec<_> = load.collect();

        let mut current = first;
        for _ in 0..5 {
            let next = responder(&bus.url(), "/*", answer).await;
            assert!(within(current.drain(Duration::from_secs(10))).await, "all exchanges ended in time");
            current = next;
        }
        stop.store(1, Ordering::Relaxed);

        let mut total = 0;
        for task in load {
            total += within(task).await.unwrap();
        }
        assert!(total > 500, "{total} requests were enough to notice a loss");
    }
}
