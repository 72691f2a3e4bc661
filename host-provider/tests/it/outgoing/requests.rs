//! Requests that guests send: where to, within which limits, and how they fail.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use h8s_host::{ComponentService, ComponentSource, Limits, OutgoingSource};
use h8s_test_support::eventually;
use h8s_test_support::raw_origin::RawOrigin;
use http::{Request, StatusCode};
use http_body::Frame;
use http_body_util::{Full, StreamBody};

use crate::component::swap::variant;
use crate::fixture::{assert_unharmed, call, engine, idle, serve_on, source, text};
use crate::log;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// A component that may send requests to these hosts.
pub(crate) async fn allowing(hosts: &[&str], limits: Limits) -> ComponentService {
    let allowed = hosts.iter().map(|host| host.parse().unwrap()).collect();
    let outgoing = OutgoingSource { allowed, ca: None };
    serve_on(engine(), ComponentSource { outgoing, ..source("guests", limits) }).await
}

/// `http://localhost:PORT`: by a name, which is looked up.
fn by_name(address: SocketAddr) -> String {
    format!("http://localhost:{}", address.port())
}

async fn in_front_of(address: SocketAddr) -> ComponentService {
    allowing(&[&by_name(address)], Limits::default()).await
}

/// A request for a guest that is controlled by headers.
fn asking(behaviour: &str, headers: &[(&str, &str)], body: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::post(format!("http://localhost{behaviour}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(body)).unwrap()
}

async fn controlled(service: &ComponentService, behaviour: &str, headers: &[(&str, &str)]) -> String {
    let response = call(service, asking(behaviour, headers, Bytes::new())).await.unwrap();
    text(response.into_body()).await.unwrap()
}

pub(crate) async fn fetch(service: &ComponentService, to: &str) -> String {
    controlled(service, "/fetch", &[("x-to", to)]).await
}

#[tokio::test]
async fn a_request_goes_to_an_allowed_host_and_its_answer_comes_back() {
    // given
    let origin = RawOrigin::answering(OK).await;
    let service = in_front_of(origin.address()).await;
    // when
    let answer = fetch(&service, &format!("{}/a/b?c=d", by_name(origin.address()))).await;
    // then
    assert_eq!(answer, "answered 200\nhello");
    let request = origin.requests().remove(0);
    assert_eq!((request.head.method.as_str(), request.head.target.as_str()), ("GET", "/a/b?c=d"));
    assert_eq!(request.head.header("host"), Some(format!("localhost:{}", origin.address().port()).as_str()));
}

#[tokio::test]
async fn bodies_of_any_size_are_streamed_both_ways() {
    // given an origin that echoes requests
    let origin = RawOrigin::bind().await.serve(|request| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len());
        [head.as_bytes(), &request.body].concat()
    });
    let service = in_front_of(origin.address()).await;
    // when a guest relays far more than may be buffered anywhere
    let sent = Bytes::from("0123456789abcdef".repeat(1 << 19));
    let request = asking("/relay", &[("x-to", &by_name(origin.address()))], sent.clone());
    let response = call(&service, request).await.unwrap();
    // then the request is complete
    let body = text(response.into_body()).await.unwrap();
    assert!(
        body.strip_prefix("answered 200\n") == Some(std::str::from_utf8(&sent).unwrap()),
        "{}",
        body.len()
    );
}

#[tokio::test]
async fn an_upload_whose_guest_is_cut_off_never_looks_complete() {
    // Also where it has been answered by then, so that only the upload is left.
    for answer in ["", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"] {
        // given a guest that relays a body of which only the first piece ever comes
        let origin = RawOrigin::bind().await;
        let limits = Limits { timeout: Duration::from_secs(2), ..Limits::default() };
        let service = allowing(&[&by_name(origin.address())], limits).await;
        let first = futures_util::stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from("half")))]);
        let body = StreamBody::new(first.chain(futures_util::stream::pending()));
        let request = Request::post("http://localhost/relay").header("x-to", by_name(origin.address()));
        let request = request.body(body).unwrap();
        // when its time is over
        let (response, ended) = tokio::join!(call(&service, request), async {
            let mut connection = origin.accept().await;
            connection.head().await;
            assert_eq!(connection.chunk().await.as_deref(), Some(&b"half"[..]));
            connection.send(answer).await;
            connection.chunk().await
        });
        // then the origin has no last chunk
        assert_eq!(response.unwrap().status(), StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(ended, None, "{answer}");
    }
}

#[tokio::test]
async fn a_call_may_send_so_many_requests_and_the_next_as_many_again() {
    // given a component that is used again
    let origin = RawOrigin::answering(OK).await;
    let limits = Limits { requests: 1, reuse: 10, resources: 40_000, handles: 40_000, ..Limits::default() };
    let service = allowing(&[&by_name(origin.address())], limits).await;
    let to = by_name(origin.address());
    // when, then
    for _ in 0..3 {
        assert_eq!(fetch(&service, &to).await, "answered 200\nhello");
        idle(&service).await;
    }
    let said = controlled(&service, "/ten-thousand-calls", &[("x-to", &to)]).await;
    assert_eq!(said, "answered 1 limited 9999 other 0\n");
}

#[tokio::test]
async fn connections_are_shared_by_the_instances_of_one_component_and_by_no_others() {
    // given two components with the same origin
    let origin = RawOrigin::answering(OK).await;
    let (one, other) = (in_front_of(origin.address()).await, in_front_of(origin.address()).await);
    let to = by_name(origin.address());
    // when the first sends several requests
    for _ in 0..5 {
        assert_eq!(fetch(&one, &to).await, "answered 200\nhello");
        idle(&one).await;
    }
    // then it has one connection
    assert_eq!((origin.requests().len(), origin.connections()), (5, 1));
    // and the other has its own
    assert_eq!(fetch(&other, &to).await, "answered 200\nhello");
    assert_eq!(origin.connections(), 2);
}

#[tokio::test]
async fn connections_are_handed_on_to_what_takes_the_components_place() {
    // given a component with a connection
    let origin = RawOrigin::answering(OK).await;
    let service = in_front_of(origin.address()).await;
    let to = by_name(origin.address());
    assert_eq!(fetch(&service, &to).await, "answered 200\nhello");
    idle(&service).await;
    // when another takes its place
    let files = tempfile::tempdir().unwrap();
    service.swap(&variant("guests", files.path())).await.unwrap();
    // then it uses that connection
    assert_eq!(fetch(&service, &to).await, "answered 200\nhello");
    assert_eq!((origin.requests().len(), origin.connections()), (2, 1));
}

/// Ways to write an address that is not on the list, or to hide one behind a name that is: `PORT` is the origin's.
const SPELLINGS: [&str; 36] = [
    "http://127.0.0.1:PORT",
    "http://127.1:PORT",
    "http://127.0.1:PORT",
    "http://2130706433:PORT",
    "http://0x7f000001:PORT",
    "http://0x7f.0.0.1:PORT",
    "http://0177.0.0.1:PORT",
    "http://017700000001:PORT",
    "http://0:PORT",
    "http://0.0.0.0:PORT",
    "http://127.0.0.1.:PORT",
    "http://127.000.000.001:PORT",
    "http://[::1]:PORT",
    "http://[::ffff:127.0.0.1]:PORT",
    "http://[::ffff:7f00:1]:PORT",
    "http://[0:0:0:0:0:ffff:127.0.0.1]:PORT",
    "http://[::]:PORT",
    "http://localhost.:PORT",
    "http://localhost",
    "http://localhost:0PORT",
    "http://localhost:",
    "http://localhost:99999",
    "http://localhost.localdomain:PORT",
    "http://sub.localhost:PORT",
    "http://127.0.0.1.nip.io:PORT",
    "http://localhost@127.0.0.1:PORT",
    "http://user:password@localhost:PORT",
    "http://@localhost:PORT",
    "http://localhost:PORT@127.0.0.1:PORT",
    "http://127.0.0.1:PORT\\@localhost:PORT",
    "http://localhost%2f:PORT",
    "http://%6cocalhost:PORT",
    "http://①②⑦.0.0.1:PORT",
    "https://localhost:PORT",
    "ftp://localhost:PORT",
    "http://169.254.169.254",
];

#[tokio::test]
async fn t13_t21_no_spelling_reaches_what_is_not_allowed() {
    // given an origin that may be reached by one name
    let origin = RawOrigin::answering(OK).await;
    let port = origin.address().port().to_string();
    let service = in_front_of(origin.address()).await;
    // when a guest tries all others
    for spelling in SPELLINGS {
        let said = fetch(&service, &spelling.replace("PORT", &port)).await;
        // then it is denied by name, or the address does not exist
        let refused = ["HttpRequestDenied", "refused", "HttpProtocolError", "HttpRequestUriInvalid"];
        assert!(refused.iter().any(|error| said.contains(error)), "{spelling}: {said}");
    }
    // and none reached the origin
    assert_eq!((origin.connections(), origin.requests().len()), (0, 0));
    // Names are the same in any case.
    assert_eq!(fetch(&service, &format!("http://LocalHost:{port}/")).await, "answered 200\nhello");
}

#[tokio::test]
async fn other_parts_of_a_request_do_not_change_its_destination() {
    let origin = RawOrigin::answering(OK).await;
    let service = in_front_of(origin.address()).await;
    let to = by_name(origin.address());
    // A host by header.
    assert_eq!(controlled(&service, "/forge-host", &[("x-to", &to)]).await, "refused true answered 200\n");
    // A path that is a URI.
    let said = fetch(&service, &format!("{to}//bank.example/x")).await;
    assert_eq!(said, "answered 200\nhello");
    // A tunnel.
    let said = controlled(&service, "/fetch", &[("x-to", &to), ("x-method", "CONNECT")]).await;
    assert!(said.contains("HttpRequestMethodInvalid"), "{said}");
    let host = format!("localhost:{}", origin.address().port());
    assert!(origin.requests().iter().all(|request| request.head.header("host") == Some(host.as_str())));
}

#[tokio::test]
async fn redirects_are_the_guests_to_follow() {
    let there = "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n";
    let origin = RawOrigin::answering(there).await;
    let service = in_front_of(origin.address()).await;
    assert_eq!(fetch(&service, &by_name(origin.address())).await, "answered 302\n");
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn each_failure_has_its_error() {
    let long = format!("HTTP/1.1 200 OK\r\nX-Long: {}\r\n\r\n", "x".repeat(200_000));
    for (answer, error) in [
        ("", "ConnectionTerminated"),
        ("SSH-2.0-OpenSSH_9.6\r\n\r\n", "HttpProtocolError"),
        (long.as_str(), "HttpResponseHeaderSectionSize"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nhalf",
            "half\nbroke off: incomplete HTTP response",
        ),
    ] {
        let origin = RawOrigin::bind().await;
        let service = in_front_of(origin.address()).await;
        let to = by_name(origin.address());
        let (said, ()) = tokio::join!(fetch(&service, &to), async {
            let mut connection = origin.accept().await;
            connection.request().await;
            connection.send(answer).await;
        });
        assert!(said.contains(error), "{answer:?}: {said}");
    }
}

#[tokio::test]
async fn who_cannot_be_reached_is_an_error_too() {
    // given a port without a listener, and a name that does not exist (RFC 6761 §6.4)
    let free = RawOrigin::bind().await.address();
    let service = allowing(&[&by_name(free), "http://nowhere.invalid"], Limits::default()).await;
    // when, then
    assert_eq!(fetch(&service, &by_name(free)).await, "ErrorCode::ConnectionRefused\n");
    let said = fetch(&service, "http://nowhere.invalid").await;
    assert!(said.contains("DnsError") || said.contains("DnsTimeout"), "{said}");
}

#[tokio::test]
async fn the_guests_timeouts_are_kept() {
    // given an origin that never answers, and one that stops in the middle
    let silent = RawOrigin::bind().await;
    let stops = RawOrigin::bind().await;
    let hosts = [by_name(silent.address()), by_name(stops.address())];
    let service = allowing(&[&hosts[0], &hosts[1]], Limits::default()).await;
    // when, then
    let said = controlled(&service, "/fetch", &[("x-to", &hosts[0]), ("x-first-byte-ms", "50")]).await;
    assert_eq!(said, "ErrorCode::HttpResponseTimeout\n");
    let headers = [("x-to", hosts[1].as_str()), ("x-between-bytes-ms", "50")];
    let (said, _open) = tokio::join!(controlled(&service, "/fetch", &headers), async {
        let mut connection = stops.accept().await;
        connection.request().await;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
        connection
    });
    assert_eq!(said, "answered 200\nhalf\nbroke off: connection read timeout\n");
}

#[tokio::test]
async fn waiting_for_an_answer_costs_no_cpu_budget() {
    // given a component with little time to compute, and an origin that takes longer
    let origin = RawOrigin::bind().await;
    let limits = Limits { cpu_budget: Duration::from_millis(100), ..Limits::default() };
    let service = allowing(&[&by_name(origin.address())], limits).await;
    let to = by_name(origin.address());
    // when
    let (said, ()) = tokio::join!(fetch(&service, &to), async {
        let mut connection = origin.accept().await;
        connection.request().await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        connection.send(OK).await;
    });
    // then
    assert_eq!(said, "answered 200\nhello");
}

#[tokio::test]
async fn t21_a_response_that_is_never_read_is_held_up_and_ends_with_its_instance() {
    // given an origin with a body without end, and a guest that does not read it
    let origin = RawOrigin::bind().await;
    let limits = Limits { timeout: Duration::from_secs(2), ..Limits::default() };
    let service = allowing(&[&by_name(origin.address())], limits).await;
    let request = asking("/never-read", &[("x-to", &by_name(origin.address()))], Bytes::new());
    let mut connection_sent = 0_usize;
    // when it writes until it cannot
    let (response, ()) = tokio::join!(call(&service, request), async {
        let mut connection = origin.accept().await;
        connection.request().await;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n").await;
        while connection.send([b'x'; 64 * 1024]).await {
            connection_sent += 64 * 1024;
        }
    });
    // then it was blocked by full socket buffers, and aborted at the guest's timeout
    assert_eq!(response.unwrap().status(), StatusCode::GATEWAY_TIMEOUT);
    assert!(connection_sent < 64 << 20, "{connection_sent}");
    log::line(&[&log::of(&service), "has a response with status 200"]).await;
    assert_unharmed(&service).await;
}

#[tokio::test]
async fn t21_ten_thousand_calls_at_once_are_a_few_and_the_rest_is_refused() {
    // given a guest that holds on to every answer
    let origin = RawOrigin::answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
    let limits = Limits { resources: 40_000, handles: 40_000, ..Limits::default() };
    let service = allowing(&[&by_name(origin.address())], limits).await;
    // when
    let said = controlled(&service, "/ten-thousand-calls", &[("x-to", &by_name(origin.address()))]).await;
    // then all ended, most of them as too many, and the origin had no more connections than may be
    let counts: Vec<usize> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert!(counts.iter().sum::<usize>() == 10_000 && counts[2] == 0, "{said}");
    assert!(counts[0] >= 64 && counts[1] > 0, "{said}");
    assert!(origin.connections() <= 512, "{}", origin.connections());
    eventually("nothing is left open", async || origin.open_connections() <= 32).await;
    assert_unharmed(&service).await;
}
