//! WebSockets with plain subscribers: NATS messages in both directions (`PROTOCOL.md §6`).

use futures_util::StreamExt;
use h8s_nats::ExchangeError;
use h8s_wire::{Close, Message, MessageKind};

use crate::fixture::{eventually, host, over_both_buses, requester_with, within};
use crate::websocket_fixture::{config, gateway, opened, upgrade};

over_both_buses! {
    async fn a_subscriber_hears_and_answers(bus) {
        let client = async_nats::connect(bus.url()).await.unwrap();
        let mut messages = client.subscribe("h8s.ws.ws.example.app._.chat").await.unwrap();
        client.flush().await.unwrap();
        let requester = gateway(&bus.url()).await;
        let (headers, mut connection) = opened(&requester, "/chat").await;
        assert!(headers.is_empty(), "no subprotocol was chosen");

        connection.send(&Message::text("héllo")).await;
        connection.send(&Message::binary(vec![0xff; 200_000])).await;
        for (kind, bytes) in [("text", 6), ("binary", 200_000)] {
            let message = within(messages.next()).await.unwrap();
            let headers = message.headers.unwrap();
            assert_eq!(headers.get("H8s-Frame").unwrap().as_str(), kind);
            assert_eq!(headers.get("X-H8s-Connection").unwrap().as_str(), connection.session.id().to_string());
            assert_eq!(message.payload.len(), bytes);
            client.publish(message.reply.unwrap(), message.payload).await.unwrap();
        }
        eventually("both came back", async || connection.pushed.messages().len() == 2).await;
        let kinds: Vec<_> = connection.pushed.messages().iter().map(|message| message.kind).collect();
        assert_eq!(kinds, [MessageKind::Text, MessageKind::Binary]);
    }

    async fn an_answer_may_close(bus) {
        let client = async_nats::connect(bus.url()).await.unwrap();
        let mut messages = client.subscribe("h8s.ws.ws.example.app.>").await.unwrap();
        client.flush().await.unwrap();
        let requester = gateway(&bus.url()).await;
        let (_, mut connection) = opened(&requester, "/").await;
        connection.say("x").await;
        let push = within(messages.next()).await.unwrap().reply.unwrap();
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("H8s-Frame", "close");
        headers.insert("H8s-Close-Code", "4001");
        headers.insert("H8s-Close-Reason", "enough");
        client.publish_with_headers(push, headers, "".into()).await.unwrap();
        eventually("it is closed", async || connection.pushed.close() == Some(Close::new(4001, "enough"))).await;
    }

    async fn a_websocket_without_a_subscriber_closes_with_1011(bus) {
        let requester = gateway(&bus.url()).await;
        let (_, mut connection) = opened(&requester, "/").await;
        connection.say("anybody?").await;
        assert_eq!(connection.closed().await.code, 1011);
        assert!(connection.pushed.messages().is_empty(), "the server's word is not the client's");
    }

    async fn a_message_that_nats_does_not_carry_closes_with_1009(bus) {
        let client = async_nats::connect(bus.url()).await.unwrap();
        let _said = client.subscribe("h8s.ws.ws.>").await.unwrap();
        client.flush().await.unwrap();
        let max_payload = client.server_info().max_payload;
        let requester = gateway(&bus.url()).await;
        let (_, mut connection) = opened(&requester, "/").await;
        connection.send(&Message::binary(vec![0; max_payload])).await;
        assert_eq!(connection.closed().await.code, 1009);
    }

    async fn a_native_responder_that_is_gone_is_not_taken_for_a_plain_subscriber(bus) {
        let client = async_nats::connect(bus.url()).await.unwrap();
        let requester = requester_with(&bus.url(), config().wait_for_responder(None)).await;
        let stale = r#"{"host":"app.example","path":"/*","method":"WS","dialects":["native"]}"#;
        client.publish("h8s.control.interest.register.example.app", stale.into()).await.unwrap();
        eventually("it is announced", async || requester.announced_interests() == 1).await;
        let result = within(requester.open_websocket(&host(), upgrade("/"))).await;
        assert!(matches!(result, Err(ExchangeError::NoResponders)), "{result:?}");
    }
}
