//! Limits, timeouts, and backends that are not there.

use std::time::Duration;

use h8s_nats::{ExchangeContext, LoggedError, Refused};
use h8s_reverse::Cut;
use h8s_test_support::raw_origin::RawOrigin;
use h8s_test_support::{eventually, soon};
use http_body_util::BodyExt;
use tokio::time::Instant;

use crate::stand::{call, get, in_front_of, is_unanswered, ok, refusal, request, served_once};

#[tokio::test]
async fn at_the_limit_one_waits_its_turn_and_the_next_is_refused() {
    let origin = RawOrigin::bind().await;
    let service = in_front_of(&origin.url(), |backend| backend.max_connections = 1);
    let asking = |path: &'static str| {
        let service = service.clone();
        tokio::spawn(async move { call(&service, request("GET", path, "")).await.map(drop) })
    };
    let first = asking("/1");
    let mut connection = origin.accept().await;
    connection.request().await;
    let second = asking("/2");
    // On this runtime's one thread the second has queued up by then.
    tokio::task::yield_now().await;
    let refused = refusal(&service).await;

    connection.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").await;
    let mut connection = origin.accept().await;
    let turn = connection.request().await;
    connection.send(ok("")).await;

    assert_eq!((refused, turn.head.target.as_str()), (Some(Refused::Busy), "/2"));
    assert!(first.await.unwrap().is_ok() && second.await.unwrap().is_ok());
}

#[tokio::test]
async fn nobody_waits_for_a_turn_for_more_than_a_second() {
    let origin = RawOrigin::bind().await;
    let service = in_front_of(&origin.url(), |backend| backend.max_connections = 1);
    let held = tokio::spawn({
        let service = service.clone();
        async move { call(&service, request("GET", "/", "")).await.map(drop) }
    });
    let mut connection = origin.accept().await;
    connection.request().await;

    let waited = refusal(&service).await;

    held.abort();
    assert_eq!(waited, Some(Refused::Busy));
}

#[tokio::test]
async fn a_backend_that_is_away_is_unreachable_and_found_again() {
    let origin = RawOrigin::bind().await;
    let (url, address) = (origin.url(), origin.address());
    drop(origin);
    let service = in_front_of(&url, |_| {});

    let away = refusal(&service).await;
    let origin = RawOrigin::bind_to(address).await.serve(|_| ok("back"));
    eventually("it is back", async || call(&service, request("GET", "/", "")).await.is_ok()).await;

    assert_eq!((away, origin.faults().len()), (Some(Refused::Unreachable), 0));
}

#[tokio::test]
async fn a_backend_that_does_not_finish_connecting_is_unreachable_in_time() {
    // It never answers the TLS handshake.
    let origin = RawOrigin::bind().await;
    let (_, ca) = crate::tls::certificate();
    let url = origin.url().replace("http:", "https:");
    let service = in_front_of(&url, |backend| {
        backend.connect_timeout = Duration::from_millis(50);
        backend.ca = Some(ca.path().to_owned());
    });

    assert_eq!(refusal(&service).await, Some(Refused::Unreachable));
}

#[tokio::test]
async fn a_backend_that_never_answers_is_left_after_the_gateway_has_given_up() {
    let origin = RawOrigin::bind().await;
    let service = in_front_of(&origin.url(), |_| {});
    let mut asked = request("GET", "/", "");
    let deadline = Some(Instant::now() + Duration::from_millis(10));
    asked.extensions_mut().insert(ExchangeContext::default().deadline(deadline));

    let asked =
        tokio::spawn(
            async move { call(&service, asked).await.is_err_and(|error| error.is::<LoggedError>()) },
        );
    let mut connection = origin.accept().await;
    connection.request().await;

    assert!(asked.await.unwrap());
    assert_eq!(connection.read_to_end().await, b"");
}

#[tokio::test]
async fn a_body_in_which_nothing_moves_is_cut() {
    let origin = RawOrigin::bind().await;
    let service = in_front_of(&origin.url(), |backend| backend.idle_timeout = Duration::from_millis(50));
    let asked = tokio::spawn(async move { get(&service, "/").await });
    let mut connection = origin.accept().await;
    connection.request().await;
    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome").await;

    let cut = soon(asked.await.unwrap().collect()).await.unwrap_err();

    assert!(matches!(cut, Cut::Idle(_)), "{cut}");
    assert_eq!(connection.read_to_end().await, b"");
}

#[tokio::test]
async fn what_is_no_response_ends_the_connection() {
    let long = format!("HTTP/1.1 200 OK\r\nX-Long: {}\r\nContent-Length: 0\r\n\r\n", "a".repeat(70_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", "X: a\r\n".repeat(300));
    for answer in [
        "",
        "hello\r\n\r\n",
        "HTTP/1.1 999999 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na",
        "HTTP/1.1 200 OK\r\nX: a\r\n folded: b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nNa me: a\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: \0\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 99 Odd\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        &long,
        &many,
    ] {
        let origin = RawOrigin::bind().await;
        let service = in_front_of(&origin.url(), |_| {});
        let asked = tokio::spawn(async move { is_unanswered(&service).await });
        let mut connection = origin.accept().await;
        connection.request().await;
        connection.send(answer).await;
        if answer.is_empty() {
            drop(connection);
        } else {
            connection.read_to_end().await;
        }

        let shown = answer.get(..60).unwrap_or(answer);
        assert!(asked.await.unwrap(), "{shown:?}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error() {
    for broken in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nx\r\n",
    ] {
        let origin = RawOrigin::bind().await;
        let service = in_front_of(&origin.url(), |_| {});
        let asked = tokio::spawn(async move { get(&service, "/").await.collect().await });
        let mut connection = origin.accept().await;
        connection.request().await;
        connection.send(broken).await;
        drop(connection);

        let cut = soon(asked).await.unwrap().unwrap_err();

        assert!(matches!(cut, Cut::Backend(_)), "{broken:?}: {cut}");
    }
}

#[tokio::test]
async fn a_request_that_may_have_been_written_is_not_sent_again() {
    let origin = RawOrigin::bind().await;
    let service = in_front_of(&origin.url(), |_| {});
    let mut connection = served_once(&origin, &service).await;

    let asked = tokio::spawn(async move { is_unanswered(&service).await });
    connection.request().await;
    drop(connection);

    assert!(asked.await.unwrap());
}
