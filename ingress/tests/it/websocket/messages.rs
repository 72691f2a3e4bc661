//! Messages and closes between a client and the responder that owns its connection.

use h8s_nats::Accept;
use h8s_test_support::raw_client::RawClient;
use h8s_test_support::websocket_client::{Frame, Opcode};
use h8s_wire::Close;

use crate::fixture::*;

over_both_buses! {
    async fn messages_come_back_as_they_went(bus) {
        let _responder = echoing(&bus).await;
        let gateway = Gateway::start(&bus).await.serving().await;
        let mut client = gateway.connect().await;

        client.text("héllo").await;
        client.text("").await;
        client.binary([0, 255, 128]).await;
        client.fragments(Opcode::Text, &["frag", "", "ment", "s"]).await;
        let large: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
        client.binary(&large).await;

        assert_eq!(client.next().await, text_event("héllo"));
        assert_eq!(client.next().await, text_event(""));
        assert_eq!(client.next().await, Event::Binary(vec![0, 255, 128]));
        assert_eq!(client.next().await, text_event("fragments"));
        assert!(client.next().await == Event::Binary(large), "differs");
    }

    async fn the_clients_close_reaches_the_responder_and_is_answered(bus) {
        let (_responder, mut received) = hearing(&bus).await;
        let gateway = Gateway::start(&bus).await.serving().await;
        let mut client = gateway.connect().await;

        client.text("last words").await;
        client.close(4321, "enough").await;

        assert_eq!(client.rest().await, [Event::Close(4321, "enough".into()), Event::End]);
        assert_eq!(soon(received.recv()).await, Some(incoming("last words")));
        assert_eq!(soon(received.recv()).await, Some(ended(4321, "enough")));
        gateway.closed_becomes("client", 1.0).await;
        gateway.ingress.metric_becomes("h8s_ingress_websockets", "", 0.0).await;
    }

    async fn a_client_that_vanishes_is_1006(bus) {
        let (_responder, mut received) = hearing(&bus).await;
        let gateway = Gateway::start(&bus).await.serving().await;
        let client = gateway.connect().await;

        client.reset();

        assert_eq!(soon(received.recv()).await, Some(ended(1006, "")));
        gateway.closed_becomes("vanished", 1.0).await;
    }

    async fn the_responders_close_reaches_the_client_after_all_it_said(bus) {
        let _responder = owner(&bus, Accept::default(), |websocket| async move {
            for n in 0..100 {
                websocket.sender().send(h8s_wire::Message::text(n.to_string())).await.unwrap();
            }
            websocket.close(Close::new(4000, "that was all")).await;
        })
        .await;
        let gateway = Gateway::start(&bus).await.serving().await;
        let mut client = gateway.connect().await;

        for n in 0..100 {
            assert_eq!(client.next().await, text_event(&n.to_string()));
        }
        assert_eq!(client.next().await, Event::Close(4000, "that was all".into()));
        client.close(4000, "").await;
        assert_eq!(client.rest().await, [Event::End]);
        gateway.closed_becomes("responder", 1.0).await;
    }
}

/// Pongs have the pings' payload and come in between.
#[tokio::test]
async fn pings_are_answered_by_the_gateway() {
    let bus = Bus::embedded().await;
    let (_responder, _hears) = hearing(&bus).await;
    let gateway = Gateway::start(&bus).await.serving().await;
    let mut client = gateway.connect().await;

    for n in 0..10 {
        client.ping(format!("ping {n}")).await;
    }
    client.pong("unasked").await;

    for n in 0..10 {
        assert_eq!(client.next().await, Event::Pong(format!("ping {n}").into()));
    }
    client.close(1000, "").await;
    assert_eq!(client.next().await, Event::Close(1000, String::new()));
}

#[tokio::test]
async fn what_was_sent_right_behind_the_handshake_is_not_lost() {
    let bus = Bus::embedded().await;
    let _responder = echoing(&bus).await;
    let gateway = Gateway::start(&bus).await.serving().await;
    let mut client = RawClient::connect(&gateway.ingress.address.to_string()).await;
    let head = "GET / HTTP/1.1\r\nHost: app.example\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

    client.send([head.as_bytes(), &Frame::new(Opcode::Text, "early").encode()].concat()).await;

    client.read_until(b"\x81\x05early").await;
}
