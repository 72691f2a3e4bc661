//! Which clients get a WebSocket, over which protocol, and the responses to all others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use h8s_ingress::{Config, WebSocketConfig};
use h8s_nats::{Accept, Responder, WebSocketUpgrade};
use h8s_test_support::eventually;
use h8s_test_support::http_client::HttpClient;
use h8s_test_support::websocket_client::Upgrade;
use http::Response;

use crate::fixture::*;
use crate::server::protocols::certificate;
use crate::support::{hello, start, start_with};

/// A responder that counts requests.
async fn counting(bus: &Bus) -> (Responder, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let own = move |websocket| {
        counted.fetch_add(1, Ordering::Relaxed);
        echo(websocket)
    };
    (owner(bus, Accept::default(), own).await, count)
}

async fn status(upgrade: Upgrade) -> u16 {
    match upgrade.send().await {
        Ok(_) => 101,
        Err(refusal) => refusal.head.status,
    }
}

#[tokio::test]
async fn handshakes_that_are_none_are_refused_before_anybody_hears_of_them() {
    let bus = Bus::embedded().await;
    let (_responder, count) = counting(&bus).await;
    let gateway = Gateway::start(&bus).await.serving().await;
    let good = || gateway.upgrade("/");

    for (expected, upgrade) in [
        (400, good().without("Sec-WebSocket-Key")),
        (400, good().set("Sec-WebSocket-Key", "short")),
        (400, good().header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")),
        (400, good().header("Content-Length", "2")),
        (400, good().header("Transfer-Encoding", "chunked")),
        (426, good().set("Sec-WebSocket-Version", "8")),
        (426, good().without("Sec-WebSocket-Version")),
        (403, good().origin("https://evil.example")),
        (403, good().origin("null")),
        (400, good().header("Host", "other.example")),
    ] {
        let shown = format!("{upgrade:?}");
        assert_eq!(status(upgrade).await, expected, "{shown}");
    }

    let refusal = good().set("Sec-WebSocket-Version", "8").send().await.unwrap_err();
    assert_eq!(refusal.head.header("sec-websocket-version"), Some("13"));
    assert_eq!(refusal.head.header("upgrade"), Some("websocket"));
    assert_eq!(count.load(Ordering::Relaxed), 0);
    assert_eq!(gateway.ingress.metric("h8s_ingress_rescued_total", "reason=\"origin\"").await, 2.0);
}

#[tokio::test]
async fn tokens_of_connection_and_upgrade_are_lists() {
    let bus = Bus::embedded().await;
    let _responder = echoing(&bus).await;
    let gateway = Gateway::start(&bus).await.serving().await;
    for (connection, upgrade) in
        [("keep-alive, Upgrade", "websocket"), ("upgrade", "WebSocket"), ("Upgrade", "h2c, websocket")]
    {
        let asked = gateway.upgrade("/").set("Connection", connection).set("Upgrade", upgrade);
        assert_eq!(status(asked).await, 101, "{connection} {upgrade}");
    }
}

/// Other tokens are ignored, as without WebSocket support.
#[tokio::test]
async fn what_does_not_ask_for_a_websocket_is_an_ordinary_request() {
    let ingress = start(hello()).await;
    for fields in [
        "Connection: Upgrade\nUpgrade: h2c\n",
        "Upgrade: websocket\n",
        "Connection: Upgrade, HTTP2-Settings\n",
    ] {
        let answer = ingress.ask(&format!("GET / HTTP/1.1\nHost: a\n{fields}")).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "hello"), "{fields}");
    }
}

/// T10: a foreign page's WebSocket would carry the user's cookies, so the gateway refuses it.
#[tokio::test]
async fn t10_only_pages_of_the_host_or_of_allowed_origins_connect() {
    let bus = Bus::embedded().await;
    let (_responder, count) = counting(&bus).await;
    let allowed_origins = "https://friend.example, https://*.apps.example".parse().unwrap();
    let config = websockets(WebSocketConfig { allowed_origins, ..WebSocketConfig::default() });
    let gateway = Gateway::with(&bus, config).await.serving().await;

    for (origin, expected) in [
        ("https://evil.example", 403),
        ("https://app.example.evil.example", 403),
        ("http://friend.example", 403),
        ("https://app.example:8443", 403),
        ("https://app.example", 101),
        ("http://app.example", 101),
        ("https://friend.example", 101),
        ("https://one.apps.example", 101),
    ] {
        let upgrade = gateway.upgrade("/").origin(origin).header("Cookie", "session=secret");
        assert_eq!(status(upgrade).await, expected, "{origin}");
    }
    assert_eq!(status(gateway.upgrade("/")).await, 101, "not a browser");
    assert_eq!(count.load(Ordering::Relaxed), 5);
}

#[tokio::test]
async fn websockets_are_admitted_as_requests_are() {
    let bus = Bus::embedded().await;
    let _responder = echoing(&bus).await;
    let config = Config {
        host_filters: "app.example,other.example".parse().unwrap(),
        authorization_key: Some("Bearer k".parse().unwrap()),
        track_interest: true,
        ..config()
    };
    let gateway = Gateway::with(&bus, config).await.serving().await;
    let keyed = || gateway.upgrade("/").header("Authorization", "Bearer k");

    assert_eq!(status(keyed()).await, 101);
    assert_eq!(status(gateway.upgrade("/")).await, 403);
    assert_eq!(status(keyed().host("unserved.example")).await, 404);
    assert_eq!(status(keyed().host("other.example")).await, 404);
}

#[tokio::test]
async fn beyond_the_limit_it_is_503_and_no_responder_is_asked() {
    let bus = Bus::embedded().await;
    let (_responder, count) = counting(&bus).await;
    let config = websockets(WebSocketConfig { max_open: 1, ..WebSocketConfig::default() });
    let gateway = Gateway::with(&bus, config).await.serving().await;
    let first = gateway.connect().await;

    let refusal = gateway.upgrade("/").send().await.unwrap_err();
    assert_eq!((refusal.head.status, refusal.head.header("retry-after")), (503, Some("5")));
    assert_eq!(count.load(Ordering::Relaxed), 1);

    drop(first);
    gateway.ingress.metric_becomes("h8s_ingress_websockets", "", 0.0).await;
    // The place is free after the responder has handled the end.
    eventually("there is a place again", async || gateway.upgrade("/").send().await.is_ok()).await;
}

#[tokio::test]
async fn the_permit_of_the_http_connection_is_given_back() {
    let bus = Bus::embedded().await;
    let _responder = echoing(&bus).await;
    let gateway = Gateway::with(&bus, Config { max_connections: 1, ..config() }).await.serving().await;

    let mut first = gateway.connect().await;
    let mut second = gateway.connect().await;

    first.text("1").await;
    second.text("2").await;
    assert_eq!((first.next().await, second.next().await), (text_event("1"), text_event("2")));
    assert_eq!(gateway.ingress.metric("h8s_ingress_connections ", "").await, 2.0);
}

#[tokio::test]
async fn no_responder_is_503_and_a_publish_only_gateway_has_no_websockets() {
    let ingress = start(hello()).await;
    let upgrade =
        |address| h8s_test_support::websocket_client::WebSocketClient::upgrade(&format!("http://{address}/"));
    assert_eq!(status(upgrade(ingress.address)).await, 503);

    let ingress = start_with(Config { publish_only: true, ..Config::default() }, hello()).await;
    assert_eq!(status(upgrade(ingress.address)).await, 501);
}

#[tokio::test]
async fn a_refusal_is_the_responders_response() {
    let bus = Bus::embedded().await;
    let refusing = |request: http::Request<_>| {
        let response = match request.uri().path() {
            "/secret" => Response::builder().status(401).header("www-authenticate", "Basic").body(full("no")),
            "/moved" => Response::builder().status(302).header("location", "/else").body(full("")),
            _ => Response::builder().status(200).body(full("what is a WebSocket?")),
        };
        std::future::ready(Ok(response.unwrap()))
    };
    let _responder = responder(&bus, refusing).await;
    let gateway = Gateway::start(&bus).await.serving().await;

    let secret = gateway.upgrade("/secret").send().await.unwrap_err();
    assert_eq!((secret.head.status, secret.text().as_str(), secret.complete), (401, "no", true));
    assert_eq!(secret.head.header("www-authenticate"), Some("Basic"));
    let moved = gateway.upgrade("/moved").send().await.unwrap_err();
    assert_eq!((moved.head.status, moved.head.header("location")), (302, Some("/else")));
    assert_eq!(status(gateway.upgrade("/")).await, 502);
}

#[tokio::test]
async fn subprotocols_are_the_responders_choice_among_those_offered() {
    let bus = Bus::embedded().await;
    let choosing = |mut request: http::Request<_>| {
        let upgrade = request.extensions_mut().remove::<WebSocketUpgrade>().unwrap();
        let protocol = request.uri().path().trim_start_matches('/').to_owned();
        let protocol = Some(protocol).filter(|protocol| !protocol.is_empty());
        let (mut response, websocket) = upgrade.accept(Accept::default().protocol(protocol)).unwrap();
        response.headers_mut().insert("set-cookie", "a=1".parse().unwrap());
        response.headers_mut().insert("sec-websocket-extensions", "permessage-deflate".parse().unwrap());
        tokio::spawn(echo(websocket));
        std::future::ready(Ok(response.map(|()| full(""))))
    };
    let _responder = responder(&bus, choosing).await;
    let gateway = Gateway::start(&bus).await.serving().await;
    let offering = |path: &str| gateway.upgrade(path).protocols("chat, superchat");

    let client = offering("/superchat").send().await.unwrap();
    assert_eq!((client.protocol(), client.header("set-cookie")), (Some("superchat"), Some("a=1")));
    assert_eq!(client.header("sec-websocket-extensions"), None);
    assert_eq!(offering("/").send().await.unwrap().protocol(), None);
    assert_eq!(status(offering("/invented")).await, 502);
    assert_eq!(status(gateway.upgrade("/chat")).await, 502);
}

/// The responder's request, without the fields that concern only the client and the gateway.
#[tokio::test]
async fn the_responder_gets_an_extended_connect_and_knows_the_client() {
    let bus = Bus::embedded().await;
    let (asked, mut asks) = tokio::sync::mpsc::unbounded_channel();
    let _responder = responder(&bus, move |request| {
        asked.send(request.map(drop)).unwrap();
        std::future::ready(Ok(Response::builder().status(403).body(full("")).unwrap()))
    })
    .await;
    let gateway = Gateway::start(&bus).await.serving().await;
    let upgrade = gateway
        .upgrade("/a?b=c")
        .protocols("chat")
        .header("Sec-WebSocket-Extensions", "permessage-deflate")
        .header("X-H8s-Original-Path", "/admin")
        .header("X-Forwarded-For", "6.6.6.6")
        .header("Cookie", "a=1");

    assert_eq!(status(upgrade).await, 403);

    let request = soon(asks.recv()).await.unwrap();
    assert_eq!(
        (request.method().as_str(), request.uri().path_and_query().unwrap().as_str()),
        ("CONNECT", "/a?b=c")
    );
    let mut names: Vec<_> = request.headers().keys().map(|name| name.as_str()).collect();
    names.retain(|name| *name != "host");
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "cookie",
            "sec-websocket-protocol",
            "traceparent",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-request-id"
        ]
    );
    assert_eq!(request.headers()["x-forwarded-for"], "127.0.0.1");
}

over_both_buses! {
    async fn several_websockets_over_one_http2_connection(bus) {
        let (_responder, mut received) = hearing(&bus).await;
        let gateway = Gateway::start(&bus).await.serving().await;
        let mut http2 = HttpClient::http2(&format!("http://{}", gateway.ingress.address)).await;

        let mut first = gateway.upgrade("/1").over_http2(&mut http2).await.unwrap();
        let mut second = gateway.upgrade("/2").over_http2(&mut http2).await.unwrap();
        first.text("first").await;
        assert_eq!(soon(received.recv()).await, Some(incoming("first")));
        second.ping("there?").await;
        assert_eq!(second.next().await, Event::Pong("there?".into()));
        first.close(4000, "bye").await;

        assert_eq!(first.rest().await, [Event::Close(4000, "bye".into()), Event::End]);
        assert_eq!(soon(received.recv()).await, Some(ended(4000, "bye")));
        second.text("second").await;
        assert_eq!(soon(received.recv()).await, Some(incoming("second")));
    }
}

#[tokio::test]
async fn over_http2_refusals_are_responses_and_large_messages_pass() {
    let bus = Bus::embedded().await;
    let _responder = echoing(&bus).await;
    let gateway = Gateway::start(&bus).await.serving().await;
    let mut http2 = HttpClient::http2(&format!("http://{}", gateway.ingress.address)).await;

    let foreign = gateway.upgrade("/").origin("https://evil.example").over_http2(&mut http2).await;
    assert_eq!(foreign.unwrap_err().0, 403);
    let old =
        gateway.upgrade("/").set("Sec-WebSocket-Version", "8").over_http2(&mut http2).await.unwrap_err();
    assert_eq!((old.0.as_u16(), old.1["sec-websocket-version"].to_str().unwrap()), (426, "13"));

    let mut client = gateway.upgrade("/").over_http2(&mut http2).await.unwrap();
    let large: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
    client.binary(&large).await;
    assert!(client.message().await == Event::Binary(large), "differs");
}

#[tokio::test]
async fn over_http2_other_protocols_and_tunnels_are_501() {
    let ingress = start(hello()).await;
    let mut http2 = HttpClient::http2(&format!("http://{}", ingress.address)).await;
    let connect = |protocol: Option<&'static str>| {
        let mut request = http::Request::connect(format!("http://{}/", ingress.address));
        if let Some(protocol) = protocol {
            request = request.extension(hyper::ext::Protocol::from_static(protocol));
        }
        request.body(h8s_test_support::http_client::empty()).unwrap()
    };

    for protocol in [Some("connect-udp"), None] {
        let mut status = None;
        // Extended CONNECT fails at the client until the server's SETTINGS arrive.
        eventually("there is an answer", async || {
            status = http2.send(connect(protocol)).await.ok().map(|response| response.status().as_u16());
            status.is_some()
        })
        .await;
        assert_eq!(status, Some(501), "{protocol:?}");
    }
}

#[tokio::test]
async fn over_tls_it_is_the_same() {
    let bus = Bus::embedded().await;
    let (_responder, mut received) = hearing(&bus).await;
    let tls = certificate();
    let gateway =
        Gateway::with(&bus, Config { tls: Some(tls.files.clone()), ..config() }).await.serving().await;
    let stream = tls.connect(&gateway.ingress, &["http/1.1"]).await;
    let mut client = gateway.upgrade("/").origin("https://app.example").over(stream).await.unwrap();

    client.text("secret").await;
    assert_eq!(soon(received.recv()).await, Some(incoming("secret")));
    client.ping("there?").await;
    assert_eq!(client.next().await, Event::Pong("there?".into()));
    client.close(4000, "bye").await;

    assert_eq!(client.rest().await, [Event::Close(4000, "bye".into()), Event::End]);
    assert_eq!(soon(received.recv()).await, Some(ended(4000, "bye")));
}
