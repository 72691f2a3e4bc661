//! T3: a responder cannot smuggle a field into a client's response within another's value, in either dialect.

use bytes::Bytes;
use futures_util::StreamExt as _;
use h8s_test_support::http_client::Answer;
use h8s_test_support::{eventually, over_both_buses, soon};
use h8s_wire::{
    Announcement, Dialect, ExchangeId, Frame, HeadFrame, HeadKind, Host, Inbox, Interest, ResponderId,
    ResponseHead, Subjects,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::programs::Gateway;

/// Characters that some parser takes for the end of a line or text.
const ENDS: [&str; 5] = ["\r\n", "\n", "\r", "\0", "\r\n\r\n"];
const HELLO: &str = "CONNECT {\"verbose\":false,\"headers\":true}\r\n";

/// Publishes a raw header block, which no client library would.
async fn publish_raw(bus_url: &str, subject: &str, block: &str) {
    let address = bus_url.trim_start_matches("nats://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = block.len();
    let message = format!("{HELLO}HPUB {subject} {length} {length}\r\n{block}\r\nPING\r\n");
    stream.write_all(message.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.windows(4).any(|window| window == b"PONG") {
        assert_ne!(soon(stream.read_buf(&mut answer)).await.unwrap(), 0, "{answer:?}");
    }
}

/// The response's head in a frame, with `end` inside a value.
fn frame_with(end: &str) -> Bytes {
    let place = "=".repeat(end.len());
    let value = format!("a{place}Set-Cookie: stolen=1");
    let headers =
        HeaderMap::from_iter([(HeaderName::from_static("x"), HeaderValue::try_from(&value).unwrap())]);
    let head = HeadKind::Response(ResponseHead { status: StatusCode::OK, headers, holds_state: false });
    let frame = Frame::Head(HeadFrame { head, end: true, limit: 0, body: Bytes::new() }).encode().unwrap();
    let at = frame.windows(value.len()).position(|window| window == value.as_bytes()).unwrap() + 1;
    let mut bytes = frame.to_vec();
    bytes[at..at + end.len()].copy_from_slice(end.as_bytes());
    bytes.into()
}

/// Checks that the client gets an error, and nothing of the response.
fn assert_refused((status, headers, _): Answer, end: &str) {
    assert_eq!(status, StatusCode::BAD_GATEWAY, "{end:?}: {headers:?}");
    assert!(!headers.contains_key("set-cookie") && !headers.contains_key("x"), "{end:?}: {headers:?}");
}

over_both_buses! {
    async fn t3_a_plain_responders_value_is_one_value_or_no_response(bus) {
        let client = async_nats::connect(bus.url()).await.unwrap();
        let mut requests = client.subscribe("h8s.http.>").await.unwrap();
        client.flush().await.unwrap();
        let gateway = Gateway::start(&bus.url(), &["--request-timeout", "3s"]).await;
        // A line end begins another line of the block, which the responder may write.
        for end in ENDS.iter().filter(|end| !end.contains('\n')) {
            let ((status, headers, _), ()) = tokio::join!(gateway.get("/"), async {
                let message = soon(requests.next()).await.unwrap();
                let block = format!("NATS/1.0\r\nStatus-Code: 200\r\nX: a{end}Set-Cookie: stolen=1\r\n\r\n");
                publish_raw(&bus.url(), &message.reply.unwrap(), &block).await;
            });

            // Some blocks make the NATS client reconnect.
            assert!(matches!(status.as_u16(), 502 | 504), "{end:?}: {status} {headers:?}");
            assert!(!headers.contains_key("set-cookie"), "{end:?}: {headers:?}");
            eventually("the gateway is ready again", async || gateway.is_ready().await).await;
        }
    }

    async fn t3_a_native_responders_value_is_one_value_or_no_response(bus) {
        // given a native responder for everything
        let (subjects, host) = (Subjects::default(), "127.0.0.1".parse::<Host>().unwrap());
        let responder = ResponderId::from_bytes([7; 16]);
        let interest = Interest { host: host.clone(), path: "/*".parse().unwrap(), method: "ANY".parse().unwrap() };
        let client = async_nats::connect(bus.url()).await.unwrap();
        let mut heads = client.subscribe(subjects.exchange(&interest).into_string()).await.unwrap();
        let announcement =
            Announcement { interest, dialects: vec![Dialect::Native], responder: Some(responder) }.encode();
        let announce = async || {
            client.publish(subjects.interest_register(&host).into_string(), announcement.clone().into()).await.unwrap();
            client.flush().await.unwrap();
        };
        let gateway = Gateway::start(&bus.url(), &["--track-interest"]).await;
        eventually("it is announced", async || {
            announce().await;
            gateway.process.output().contains("announced")
        })
        .await;
        for end in ENDS {
            let (answer, ()) = tokio::join!(gateway.get("/"), async {
                let message = soon(heads.next()).await.unwrap();
                let gateways = message.reply.unwrap();
                let exchange: ExchangeId = Inbox::exchange_of(&gateways).unwrap();
                let own = subjects.responder_inbox(&host, responder).exchange(exchange).into_string();
                client.publish_with_reply(gateways, own, frame_with(end)).await.unwrap();
            });

            assert_refused(answer, end);
        }
    }
}
