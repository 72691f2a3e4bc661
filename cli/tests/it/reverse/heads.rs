//! Heads of requests and responses arrive complete and unchanged.

use h8s_test_support::http_client::{HttpClient, empty, full, get};
use h8s_test_support::raw_client::{RawClient, RawResponse};
use h8s_test_support::raw_origin::RawOrigin;
use h8s_test_support::{Bus, Tool, needs, over_both_buses};
use http::Request;

use super::{echoing_origin, ok};
use crate::programs::{Daemon, Gateway, gateway_and_daemon};

/// Unusual, but valid targets.
const TARGETS: [&str; 10] = [
    "/",
    "/?",
    "/a%2Fb//c/?x=%20&&y",
    "//evil.example/x",
    "/%7Euser/%zz/%",
    "/a;b=c,d/@!$&'()*+",
    "/../up/./here/..",
    "/x?y=/../&z=http://a.example/?b",
    "/{}|^[]\\?{}|^[]\\`'",
    "/%00%0d%0aX:%20y",
];

async fn sent(gateway: &Gateway, request: impl AsRef<[u8]>) -> RawResponse {
    let mut client = RawClient::connect(&gateway.url).await;
    client.send(request).await;
    client.response().await
}

over_both_buses! {
    async fn methods_and_targets_arrive_as_they_were_sent(bus) {
        let origin = echoing_origin().await;
        let (gateway, _daemon) = gateway_and_daemon(&bus, &origin.url()).await;
        let methods = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "M-SEARCH", "get"];
        let gets = TARGETS.map(|target| ("GET", target));
        let all = methods.map(|method| (method, "/a%2fB?c")).into_iter().chain(gets).chain([("OPTIONS", "*")]);

        for (method, target) in all {
            let answer = sent(&gateway, format!("{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")).await;

            assert_eq!((answer.head.status, answer.text()), (200, format!("{method} {target}")), "{target}");
        }
        assert!(origin.faults().is_empty(), "{:?}", origin.faults());
    }
}

#[tokio::test]
async fn fields_arrive_in_their_order_with_any_byte() {
    let bus = Bus::embedded().await;
    let origin = echoing_origin().await;
    let (gateway, _daemon) = gateway_and_daemon(&bus, &origin.url()).await;
    let many: String = (0..90).map(|number| format!("X-Many: {number}\r\n")).collect();
    let request = [
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Bytes: caf\xe9 \xff\r\nX-Empty:\r\nConnection: x-hop\r\nX-Hop: 1\r\n"
            .as_slice(),
        b"Cookie: a=1\r\nAuthorization: Basic eDp5\r\nAccept-Encoding: gzip, br\r\nUser-Agent: raw\r\n",
        many.as_bytes(),
        b"\r\n",
    ];

    assert_eq!(sent(&gateway, request.concat()).await.head.status, 200);

    let head = origin.last().head;
    assert_eq!(head.all("x-many"), (0..90).map(|number| number.to_string()).collect::<Vec<_>>());
    let has = |bytes: &[u8]| head.raw.windows(bytes.len()).any(|window| window.eq_ignore_ascii_case(bytes));
    assert!(has(b"x-bytes: caf\xe9 \xff\r\n"), "{:?}", String::from_utf8_lossy(&head.raw));
    assert_eq!((head.all("x-empty"), head.all("x-hop")), (vec![""], vec![]));
    assert_eq!((head.all("cookie"), head.all("authorization")), (vec!["a=1"], vec!["Basic eDp5"]));
    assert_eq!((head.all("accept-encoding"), head.all("user-agent")), (vec!["gzip, br"], vec!["raw"]));
}

#[tokio::test]
async fn cookies_of_http2_are_one_field_again() {
    let bus = Bus::embedded().await;
    let origin = echoing_origin().await;
    let (gateway, _daemon) = gateway_and_daemon(&bus, &origin.url()).await;
    let mut client = HttpClient::http2(&gateway.url).await;

    let request = Request::get("/x").header("cookie", "a=1").header("cookie", "b=2").body(empty()).unwrap();
    assert_eq!(client.exchange(request).await.2, "GET /x");

    assert_eq!(origin.last().head.all("cookie"), ["a=1; b=2"]);
    assert_eq!(origin.last().head.header("host"), Some(gateway.url.trim_start_matches("http://")));
}

#[tokio::test]
async fn the_backend_sees_the_client_and_the_configured_host() {
    needs!(Tool::NatsServer);
    let bus = Bus::real().await;
    let origin = echoing_origin().await;
    let backend = origin.address().to_string();
    for host_header in ["keep", "backend", "app.internal:8443"] {
        let mut daemon = Daemon::start(&bus.url(), &origin.url(), &["--host-header", host_header]).await;
        let gateway = Gateway::start(&bus.url(), &[]).await;

        assert_eq!(get(&format!("{}/x", gateway.url)).await.0, 200);

        let asked = gateway.url.trim_start_matches("http://");
        let expected = match host_header {
            "keep" => asked,
            "backend" => &backend,
            fixed => fixed,
        };
        let head = origin.last().head;
        assert_eq!(head.all("host"), [expected]);
        assert_eq!(head.all("x-forwarded-for"), ["127.0.0.1"]);
        assert_eq!(
            (head.all("x-forwarded-proto"), head.all("x-forwarded-host")),
            (vec!["http"], vec![asked])
        );
        daemon.process.terminate();
        assert!(daemon.process.wait_for_exit().await.success());
    }
}

#[tokio::test]
async fn claims_of_untrusted_clients_do_not_arrive() {
    let bus = Bus::embedded().await;
    let origin = echoing_origin().await;
    let (gateway, _daemon) = gateway_and_daemon(&bus, &origin.url()).await;
    let lies = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Proto: gopher\r\nX-H8s-Connection: 1\r\n";

    sent(&gateway, format!("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n{lies}\r\n")).await;

    let raw = String::from_utf8_lossy(&origin.last().head.raw).to_lowercase();
    for lie in ["6.6.6.6", "evil", "gopher", "x-h8s"] {
        assert!(!raw.contains(lie), "{raw}");
    }
}

#[tokio::test]
async fn a_response_arrives_unchanged() {
    let bus = Bus::embedded().await;
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\x36\x05\x00\x00\x00";
    let head = format!(
        "HTTP/1.1 207 Whatever\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie: b=2\r\nContent-Encoding: gzip\r\nX-Hop: 1\r\n\
         Connection: x-hop\r\nETag: \"x\"\r\nServer: raw\r\nDate: Sat, 21 Nov 2026 04:00:00 GMT\r\nContent-Length: {}\r\n\r\n",
        gzip.len()
    );
    let origin = RawOrigin::answering([head.as_bytes(), gzip].concat()).await;
    let (gateway, _daemon) = gateway_and_daemon(&bus, &origin.url()).await;

    let (status, headers, body) = get(&format!("{}/", gateway.url)).await;

    assert_eq!((status.as_u16(), &body[..]), (207, &gzip[..]));
    assert_eq!(headers.get_all("set-cookie").iter().collect::<Vec<_>>(), ["a=1; Path=/", "b=2"]);
    for (name, value) in [
        ("content-encoding", "gzip"),
        ("etag", "\"x\""),
        ("server", "raw"),
        ("date", "Sat, 21 Nov 2026 04:00:00 GMT"),
        ("content-length", &gzip.len().to_string()),
    ] {
        assert_eq!(headers.get_all(name).iter().collect::<Vec<_>>(), [value], "{name}");
    }
    assert!(!headers.contains_key("x-hop"), "{headers:?}");
}

#[tokio::test]
async fn responses_without_a_body_have_none_and_keep_their_length() {
    // given a backend with persistent connections
    let bus = Bus::embedded().await;
    let origin = RawOrigin::bind().await.serve(|request| match request.head.target.as_str() {
        "/head" => b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nX-A: head\r\n\r\n".to_vec(),
        "/204" => b"HTTP/1.1 204 No Content\r\nX-A: 204\r\n\r\n".to_vec(),
        "/304" => {
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\nETag: \"e\"\r\nX-A: 304\r\n\r\n".to_vec()
        }
        _ => ok("whole"),
    });
    let (gateway, _daemon) = gateway_and_daemon(&bus, &origin.url()).await;
    let mut client = HttpClient::http1(&gateway.url).await;
    // when
    for (method, path, length) in
        [("HEAD", "/head", Some("12345")), ("GET", "/204", None), ("GET", "/304", None)]
    {
        let request = Request::builder().method(method).uri(path).body(empty()).unwrap();
        let (_, headers, body) = client.exchange(request).await;
        // then
        assert_eq!((headers["x-a"].to_str().unwrap(), body.len()), (&path[1..], 0));
        assert_eq!(headers.get("content-length").map(|value| value.to_str().unwrap()), length, "{path}");
        assert_eq!(client.exchange(Request::post("/x").body(full("")).unwrap()).await.2, "whole");
    }
    assert_eq!(origin.faults(), Vec::<String>::new());
}
