//! T12: a client's claims about itself neither route its request nor reach a responder, except a trusted proxy's; and the
//! gateway's own headers reach every responder.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use h8s_test_support::raw_client::RawClient;
use h8s_test_support::raw_origin::RawOrigin;
use h8s_test_support::{Bus, over_both_buses, soon};

use crate::programs::{Daemon, Gateway};

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// All headers that claim another client, or another request.
const CLAIMS: [(&str, &str); 9] = [
    ("x-forwarded-for", "6.6.6.6"),
    ("x-forwarded-host", "evil.example"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-port", "443"),
    ("x-forwarded-prefix", "/evil"),
    ("x-forwarded-anything", "evil"),
    ("forwarded", "for=6.6.6.6;host=evil.example"),
    ("x-real-ip", "6.6.6.6"),
    ("x-request-id", "6666"),
];
const ANYBODY: &[&str] = &["--host-filters", "127.0.0.1,evil.example"];
const TRUSTING: &[&str] = &["--host-filters", "127.0.0.1,evil.example", "--trusted-proxies", "127.0.0.0/8"];

type Fields = BTreeMap<String, String>;

/// The request that a responder of one dialect gets for all claims.
struct Seen {
    native: Fields,
    plain: Fields,
}

async fn seen(bus: &Bus, flags: &[&str]) -> Seen {
    // given a native and a plain responder, and one for the claimed host
    let origin = RawOrigin::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let _daemon = Daemon::start(&bus.url(), &origin.url(), &["--path", "/native"]).await;
    let client = async_nats::connect(bus.url()).await.unwrap();
    let mut plain = client.subscribe("h8s.http.GET.127.0.0.1._.plain").await.unwrap();
    let mut evil = client.subscribe("h8s.*.*.example.evil.>").await.unwrap();
    client.flush().await.unwrap();
    let gateway = Gateway::start(&bus.url(), flags).await;
    // when
    ask(&gateway, "/native").await;
    let ((), message) = tokio::join!(ask(&gateway, "/plain"), async {
        let message = soon(plain.next()).await.unwrap();
        client.publish(message.reply.clone().unwrap(), "".into()).await.unwrap();
        message
    });
    // then the claimed host received nothing
    client.publish("h8s.http.GET.example.evil._.end", "end".into()).await.unwrap();
    assert_eq!(soon(evil.next()).await.unwrap().payload, "end");
    let head = &origin.requests()[0].head;
    let native = head.headers.iter().map(|(name, value)| (name.to_lowercase(), value.clone())).collect();
    let headers = message.headers.unwrap();
    let plain = headers
        .iter()
        .map(|(name, values)| (name.to_string().to_lowercase(), values[0].to_string()))
        .collect();
    Seen { native, plain }
}

async fn ask(gateway: &Gateway, path: &str) {
    let claims: String = CLAIMS.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let mut client = RawClient::connect(&gateway.url).await;
    client
        .send(&format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{claims}traceparent: {TRACE}\r\n\r\n"))
        .await;
    assert_eq!(client.response().await.head.status, 200);
}

over_both_buses! {
    async fn t12_strangers_claims_reach_nobody(bus) {
        let seen = seen(&bus, ANYBODY).await;

        for fields in [seen.native, seen.plain] {
            assert_eq!(fields["x-forwarded-for"], "127.0.0.1");
            assert_eq!((fields["x-forwarded-host"].as_str(), fields["x-forwarded-proto"].as_str()), ("127.0.0.1", "http"));
            assert_eq!((fields["x-request-id"].len(), fields["traceparent"].as_str()), (32, TRACE));
            for gone in ["x-forwarded-port", "x-forwarded-prefix", "x-forwarded-anything", "forwarded", "x-real-ip"] {
                assert!(!fields.contains_key(gone), "{gone}: {fields:?}");
            }
        }
    }

    async fn t12_a_trusted_proxys_claims_reach_everybody_and_still_do_not_route(bus) {
        let seen = seen(&bus, TRUSTING).await;

        for fields in [seen.native, seen.plain] {
            assert_eq!(fields["x-forwarded-for"], "6.6.6.6, 127.0.0.1");
            for (name, value) in CLAIMS.iter().filter(|(name, _)| *name != "x-forwarded-for") {
                assert_eq!(fields[*name], *value, "{name}");
            }
        }
    }
}
