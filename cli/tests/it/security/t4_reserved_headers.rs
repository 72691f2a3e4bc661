//! T4: reserved headers from a client have no effect, and reach no responder.

use futures_util::StreamExt as _;
use h8s_test_support::http_client::{self, empty};
use h8s_test_support::{over_both_buses, soon};
use http::{Request, StatusCode};

use crate::programs::{Gateway, Host};

/// Headers of h8s.
const OURS: [&str; 14] = [
    "X-H8s-Original-Method",
    "X-H8s-Original-Path",
    "X-H8s-Original-Query",
    "X-H8s-PublishSubject",
    "X-H8s-ReplySubject",
    "X-H8s-Connection-Close-Subject",
    "X-H8s-Connection",
    "X-H8s-Client-Id",
    "x-h8s-anything",
    "H8s-More",
    "H8s-Frame",
    "H8s-Close-Code",
    "H8s-Refused",
    "h8S-AnyThing",
];
/// Headers of NATS.
const THE_BUS_OWN: [&str; 9] = [
    "Nats-Trace-Dest",
    "Nats-Trace-Only",
    "Nats-Rollup",
    "Nats-Msg-Id",
    "Nats-Expected-Stream",
    "Nats-Service-Error-Code",
    "nats-anything",
    "Status",
    "Status-Code",
];
/// The value of each header, which is also a subject.
const EVIL: &str = "evil.subject";

fn request(url: &str, path: &str, reserved: &[&str]) -> Request<http_client::RequestBody> {
    let mut request = Request::get(format!("{url}{path}")).header("x-harmless", "harmless");
    for name in reserved {
        request = request.header(*name, EVIL);
    }
    request.body(empty()).unwrap()
}

over_both_buses! {
    async fn t4_a_plain_responder_sees_none_of_them(bus) {
        // given a responder, and a subscriber to the subject in the headers
        let client = async_nats::connect(bus.url()).await.unwrap();
        let mut requests = client.subscribe("h8s.http.>").await.unwrap();
        let mut elsewhere = client.subscribe(EVIL).await.unwrap();
        client.flush().await.unwrap();
        let gateway = Gateway::start(&bus.url(), &[]).await;
        for name in OURS.iter().chain(&THE_BUS_OWN) {
            // when
            let asking = tokio::spawn(http_client::exchange(request(&gateway.url, "/path?query", &[name])));
            let message = soon(requests.next()).await.unwrap();
            client.publish(message.reply.unwrap(), "answer".into()).await.unwrap();
            // then the request is served as without the header
            let (status, _, body) = asking.await.unwrap();
            assert_eq!((status, &body[..]), (StatusCode::OK, &b"answer"[..]), "{name}");
            let headers = message.headers.unwrap();
            for (seen, values) in headers.iter() {
                assert!(values.iter().all(|value| value.as_str() != EVIL), "{name}: {seen}");
            }
            assert_eq!(headers.get("X-Harmless").unwrap().as_str(), "harmless");
            assert_eq!(headers.get("X-H8s-Original-Path").unwrap().as_str(), "/path");
        }
        // and that subject received nothing: the next message on it is the first
        client.publish(EVIL, "first".into()).await.unwrap();
        assert_eq!(soon(elsewhere.next()).await.unwrap().payload, "first");
    }

    async fn t4_a_component_sees_none_of_ours(bus) {
        let _host = Host::start(&bus.url(), &[("/*", "hello")], &[]).await;
        let gateway = Gateway::start(&bus.url(), &[]).await;
        let headers = async |reserved: &[&str]| {
            let (status, _, body) = http_client::exchange(request(&gateway.url, "/api", reserved)).await;
            assert_eq!(status, StatusCode::OK);
            let about: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(about["path"], "/api");
            about["headers"].as_u64().unwrap()
        };

        let without = headers(&[]).await;

        // The component counts the headers; the harmless one counts.
        assert_eq!(headers(&["x-more"]).await, without + 1);
        assert_eq!(headers(&OURS).await, without);
    }

    async fn t4_a_client_sees_none_of_a_responders(bus) {
        // given a responder that sends all of them
        let client = async_nats::connect(bus.url()).await.unwrap();
        let mut requests = client.subscribe("h8s.http.>").await.unwrap();
        client.flush().await.unwrap();
        let gateway = Gateway::start(&bus.url(), &[]).await;
        let asking = tokio::spawn(http_client::exchange(request(&gateway.url, "/", &[])));
        let message = soon(requests.next()).await.unwrap();
        let mut reply = async_nats::HeaderMap::new();
        let meaningful = ["H8s-More", "Status", "Status-Code", "Nats-Service-Error-Code"];
        for name in OURS.iter().chain(&THE_BUS_OWN).filter(|name| !meaningful.contains(name)) {
            reply.insert(*name, EVIL);
        }
        reply.insert("Status-Code", "203");
        reply.insert("X-Harmless", "harmless");
        // when
        client.publish_with_headers(message.reply.unwrap(), reply, "answer".into()).await.unwrap();
        // then
        let (status, headers, _) = asking.await.unwrap();
        assert_eq!((status.as_u16(), headers["x-harmless"].to_str().unwrap()), (203, "harmless"));
        assert!(headers.values().all(|value| value != EVIL), "{headers:?}");
        assert!(!headers.contains_key("status-code"), "{headers:?}");
    }
}
