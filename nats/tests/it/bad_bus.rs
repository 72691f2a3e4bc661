//! A bus that loses, repeats and reorders messages, disconnects and reconnects: exact bytes or a visible error, soon.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use h8s_nats::{BodyError, ExchangeError, Requester, RequesterConfig};
use h8s_test_support::fault_proxy::{FaultProxy, Faults};
use http::Response;
use http_body_util::{BodyExt, StreamBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::exchange::frames;
use crate::fixture::{
    body, eventually, exchange, full, get, host, over_both_buses, request, requester, requester_with,
    responder, within,
};

/// Both ends send a beat every 5 s.
const THREE_BEATS: Duration = Duration::from_secs(15);

/// Runs an exchange of many messages; returns the exact bytes or the error.
async fn echo(requester: &Requester, n: usize) -> Result<(), String> {
    let sent: Bytes = (0..400_000 + n).map(|position| (position.wrapping_mul(n + 7) >> 3) as u8).collect();
    let pieces: Vec<_> = sent.chunks(9_000).map(Bytes::copy_from_slice).collect();
    let upload = futures_util::stream::iter(
        pieces.into_iter().map(|piece| Ok::<_, h8s_nats::BoxError>(http_body::Frame::data(piece))),
    );
    let response = requester.send(&host(), request("POST", "/", body(StreamBody::new(upload)))).await;
    let response = response.map_err(|error| error.to_string())?;
    let received = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
    assert!(received == sent, "{} of {} bytes arrived without an error", received.len(), sent.len());
    Ok(())
}

over_both_buses! {
    async fn t16_exact_bytes_or_a_visible_error_when_one_message_in_a_hundred_is_harmed(bus) {
        let proxy = FaultProxy::start(&bus.url(), Faults::none()).await;
        let _responder = responder(&proxy.url(), "/*", |request| async move {
            Ok(Response::new(body(request.into_body())))
        })
        .await;
        let config = RequesterConfig::default().request_timeout(Duration::from_secs(5));
        let requester = requester_with(&bus.url(), config).await;
        // Announcements are not disturbed: the test is about exchanges.
        let faults = Faults::none().dropping(0.01).duplicating(0.01).swapping(0.01).seed(16);
        let on_exchanges = |subject: &str| subject.starts_with("h8s.inbox.") || subject.starts_with("h8s.x.");
        proxy.set_faults(faults.on_subjects(on_exchanges));

        let exchanges = (0..120).map(|n| {
            let requester = requester.clone();
            tokio::spawn(async move { echo(&requester, n).await })
        });
        let results = within(futures_util::future::join_all(exchanges)).await;

        let results: Vec<_> = results.into_iter().map(|result| result.expect("exact bytes or an error")).collect();
        let exact = results.iter().filter(|result| result.is_ok()).count();
        let counts = proxy.counts();
        // A message is swapped only if another one follows at once, which is rare.
        assert!(counts.dropped > 5 && counts.duplicated > 5 && counts.swapped > 0, "{counts:?}");
        assert!(exact > 10, "{exact} of {} were exact", results.len());
        assert!(exact < results.len(), "nothing was harmed");
        eventually("nothing is left behind", async || requester.open_exchanges() == 0).await;
    }

    async fn nats_goes_away_in_mid_exchange_and_comes_back(mut bus) {
        let _responder = responder(&bus.url(), "/*", |request| async move {
            match request.uri().path() {
                "/never" => std::future::pending().await,
                "/echo" => Ok(Response::new(body(request.into_body()))),
                _ => Ok(Response::new(full("well"))),
            }
        })
        .await;
        let requester = requester(&bus.url()).await;
        let (pieces, upload) = mpsc::channel::<Bytes>(1);
        let upload = body(StreamBody::new(frames(upload)));
        let streaming = requester.send(&host(), request("POST", "/echo", upload)).await;
        let mut streaming = streaming.unwrap().into_body();
        pieces.send(Bytes::from_static(b"before")).await.unwrap();
        assert_eq!(within(streaming.frame()).await.unwrap().unwrap().into_data().unwrap(), "before");
        let unanswered = tokio::spawn({
            let requester = requester.clone();
            async move { requester.send(&host(), get("/never")).await.map(drop) }
        });
        eventually("both are open", async || requester.open_exchanges() == 2).await;

        bus.stop().await;
        eventually("the gateway notices", async || !requester.is_connected()).await;
        assert!(!requester.is_ready());
        let error = requester.send(&host(), get("/")).await.unwrap_err();
        assert!(matches!(error, ExchangeError::Disconnected), "{error:?}");
        // Published during the outage: a stream that may have lost bytes must not look whole.
        let lost = pieces.send(Bytes::from_static(b"lost"));
        let _ = tokio::time::timeout(Duration::from_millis(100), lost).await;
        bus.restart().await;

        let error = within(unanswered).await.unwrap().unwrap_err();
        assert!(matches!(error, ExchangeError::Disturbed | ExchangeError::PeerGone | ExchangeError::Lost), "{error:?}");
        drop(pieces);
        let ended = within(streaming.collect()).await;
        match ended {
            Ok(rest) => assert_eq!(rest.to_bytes(), "lost", "whole, or an error"),
            Err(error) => assert!(matches!(error, BodyError::Lost | BodyError::PeerGone | BodyError::Aborted { .. }), "{error:?}"),
        }
        eventually("it works again by itself", async || {
            requester.is_ready() && requester.send(&host(), get("/")).await.is_ok()
        })
        .await;
        eventually("nothing is left behind", async || requester.open_exchanges() == 0).await;
    }

    async fn a_responder_that_dies_in_mid_upload_is_noticed_at_the_next_frame(bus) {
        let proxy = FaultProxy::start(&bus.url(), Faults::none()).await;
        let _dying = responder(&proxy.url(), "/*", |request| async move {
            Ok(Response::new(body(request.into_body())))
        })
        .await;
        let requester = requester(&bus.url()).await;
        let (pieces, upload) = mpsc::channel::<Bytes>(1);
        let upload = body(StreamBody::new(frames(upload)));
        let mut echo = requester.send(&host(), request("POST", "/", upload)).await.unwrap().into_body();
        pieces.send(Bytes::from_static(b"one")).await.unwrap();
        within(echo.frame()).await.unwrap().unwrap();

        proxy.refuse(true);
        proxy.cut();
        let start = Instant::now();
        // Slow enough that the window outlasts the server's detection.
        let feeding = tokio::spawn(async move {
            while pieces.send(Bytes::from_static(b"more")).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        let error = within(async {
            loop {
                if let Err(error) = echo.frame().await.expect("an end without an error is a lie") {
                    return error;
                }
            }
        })
        .await;
        assert!(matches!(error, BodyError::PeerGone), "{error:?}");
        assert!(start.elapsed() < Duration::from_secs(5), "by the server's word, not by silence");
        within(feeding).await.unwrap();
    }

    async fn a_responder_that_dies_in_silence_is_missed_at_the_next_beat(bus) {
        let proxy = FaultProxy::start(&bus.url(), Faults::none()).await;
        let _dying = responder(&proxy.url(), "/*", |_| async {
            let begun = futures_util::stream::iter([Ok::<_, h8s_nats::BoxError>(http_body::Frame::data(Bytes::from_static(b"begun")))]);
            Ok(Response::new(body(StreamBody::new(begun.chain(futures_util::stream::pending())))))
        })
        .await;
        let requester = requester(&bus.url()).await;
        let mut quiet = requester.send(&host(), get("/")).await.unwrap().into_body();
        assert_eq!(within(quiet.frame()).await.unwrap().unwrap().into_data().unwrap(), "begun");

        proxy.refuse(true);
        proxy.cut();
        let ended = tokio::time::timeout(THREE_BEATS, quiet.frame()).await.expect("it was missed before the third beat");

        assert!(matches!(ended, Some(Err(BodyError::PeerGone))), "{ended:?}");
        drop(quiet);
        eventually("nothing is left behind", async || requester.open_exchanges() == 0).await;
    }

    async fn a_request_that_was_taken_and_never_mentioned_again_ends_after_three_beats(bus) {
        let proxy = FaultProxy::start(&bus.url(), Faults::none()).await;
        let _frozen = responder(&proxy.url(), "/*", |_| async { Ok(Response::new(full("well"))) }).await;
        let config = RequesterConfig::default().request_timeout(Duration::from_secs(120));
        let requester = requester_with(&bus.url(), config).await;
        assert_eq!(exchange(&requester, get("/")).await.body(), "well");

        proxy.freeze();
        let ended = tokio::time::timeout(2 * THREE_BEATS, requester.send(&host(), get("/"))).await;

        let error = ended.expect("the silence was noticed").unwrap_err();
        assert!(matches!(error, ExchangeError::PeerGone), "{error:?}");
    }

    async fn t24_a_header_that_is_not_utf8_ends_only_the_exchange_that_it_hits(bus) {
        let _responder = responder(&bus.url(), "/*", |_| async { Ok(Response::new(full("well"))) }).await;
        // A request published on the dropped connection is lost, and times out.
        let config = RequesterConfig::default().request_timeout(Duration::from_secs(1));
        let requester = requester_with(&bus.url(), config).await;
        let stop = Arc::new(AtomicBool::new(false));
        let failures = Arc::new(AtomicUsize::new(0));
        let load: Vec<_> = (0..8)
            .map(|_| {
                let (requester, stop, failures) = (requester.clone(), stop.clone(), failures.clone());
                tokio::spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        if within(requester.send(&host(), get("/"))).await.is_err() {
                            failures.fetch_add(1, Ordering::Relaxed);
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                    }
                })
            })
            .collect();

        for subject in ["h8s.http.GET.example.app._", "h8s.control.interest.register.example.app", "h8s.control.interest.list"] {
            broken_header(&bus.url(), subject).await;
            eventually("the connection is back", async || requester.is_connected()).await;
        }
        // While the plain connection reconnects, only the gateway refuses requests.
        eventually("all is well", async || requester.send(&host(), get("/")).await.is_ok()).await;
        broken_header(&bus.url(), "h8s.x.ANY.example.app._.%2A").await;
        let start = Instant::now();
        eventually("native exchanges are back", async || requester.send(&host(), get("/")).await.is_ok()).await;
        assert!(start.elapsed() < Duration::from_secs(5));

        stop.store(true, Ordering::Relaxed);
        for task in load {
            within(task).await.unwrap();
        }
        assert_eq!(exchange(&requester, get("/")).await.body(), "well");
    }
}

/// Publishes a header block that is not valid UTF-8, on which async-nats drops its connection.
async fn broken_header(url: &str, subject: &str) {
    let mut stream = TcpStream::connect(url.trim_start_matches("nats://")).await.unwrap();
    let block = b"NATS/1.0\r\nX: \xff\r\n\r\n";
    let mut publish = b"CONNECT {\"verbose\":false,\"headers\":true}\r\n".to_vec();
    publish.extend(format!("HPUB {subject} {} {}\r\n", block.len(), block.len()).bytes());
    publish.extend(block);
    publish.extend(b"\r\nPING\r\n");
    stream.write_all(&publish).await.unwrap();
    let mut answer = Vec::new();
    while !answer.windows(4).any(|window| window == b"PONG") {
        assert_ne!(within(stream.read_buf(&mut answer)).await.unwrap(), 0, "{answer:?}");
    }
}
