//! Clients that violate the protocol or stay silent, without effect on other clients.

use h8s_ingress::WebSocketConfig;
use h8s_nats::Incoming;
use h8s_test_support::websocket_client::{Frame, Opcode};
use tokio::io::AsyncWriteExt;

use crate::fixture::*;

/// T9: each is closed with its code as early as possible, and costs only its own connection.
#[tokio::test]
async fn t9_what_breaks_the_protocol_is_closed_with_its_code() {
    let bus = Bus::embedded().await;
    let (_responder, mut received) = hearing(&bus).await;
    let config = WebSocketConfig { max_message_bytes: 1 << 20, ..WebSocketConfig::default() };
    let gateway = Gateway::with(&bus, websockets(config)).await.serving().await;
    let mut neighbour = gateway.connect().await;
    let oversize = [&[0x82, 0xFF][..], &(1u64 << 40).to_be_bytes(), &[0; 4]].concat();

    for (what, code, bytes) in [
        ("reserved bits", 1002, Frame { rsv: 0b100, ..Frame::new(Opcode::Text, "x") }.encode()),
        ("reserved opcode", 1002, Frame::new(Opcode::Other(3), "x").encode()),
        ("a continuation of nothing", 1002, Frame::new(Opcode::Continuation, "x").encode()),
        ("a ping that is too long", 1002, Frame::new(Opcode::Ping, [0; 126]).encode()),
        ("a fragmented ping", 1002, Frame::new(Opcode::Ping, "").unfinished().encode()),
        ("not masked", 1002, b"\x81\x01x".to_vec()),
        ("a close code of one byte", 1002, Frame::new(Opcode::Close, "x").encode()),
        ("a close code that is never sent", 1002, Frame::new(Opcode::Close, 1005u16.to_be_bytes()).encode()),
        ("no UTF-8", 1007, Frame::new(Opcode::Text, b"\xFF").encode()),
        ("half a character", 1007, Frame::new(Opcode::Text, b"\xC3").encode()),
        ("a terabyte, declared", 1009, oversize),
    ] {
        let mut client = gateway.connect().await;
        client.raw(bytes).await;
        let rest = client.rest().await;
        assert!(
            matches!(&rest[..], [Event::Close(closed, _), Event::End] if *closed == code),
            "{what}: {rest:?}"
        );
        drop(client);
        assert!(matches!(soon(received.recv()).await, Some(Incoming::Close(close)) if close.code == code));
    }
    neighbour.text("still here").await;
    assert_eq!(soon(received.recv()).await, Some(incoming("still here")));
    gateway.closed_becomes("violation", 11.0).await;
}

/// T9: in fragments, none of which is too large.
#[tokio::test]
async fn t9_a_message_past_the_limit_is_1009_and_one_at_it_passes() {
    let bus = Bus::embedded().await;
    let _responder = echoing(&bus).await;
    let config = WebSocketConfig { max_message_bytes: 100_000, ..WebSocketConfig::default() };
    let gateway = Gateway::with(&bus, websockets(config)).await.serving().await;
    let mut client = gateway.connect().await;
    let half = vec![7; 50_000];

    client.fragments(Opcode::Binary, &[&half, &half]).await;
    assert_eq!(client.message().await, Event::Binary([&half[..], &half].concat()));
    client.fragments(Opcode::Binary, &[&half[..], &half, b"!"]).await;

    assert!(matches!(client.message().await, Event::Close(1009, _)));
}

/// T9: empty fragments take no memory, and the gateway does not forward them.
#[tokio::test]
async fn t9_a_million_empty_fragments_end_the_connection_and_no_other() {
    let bus = Bus::embedded().await;
    let (_responder, mut received) = hearing(&bus).await;
    let gateway = Gateway::start(&bus).await.serving().await;
    let mut neighbour = gateway.connect().await;
    let client = gateway.connect().await;
    let (mut reader, mut writer) = client.split();
    let flood = tokio::spawn(async move {
        let first = Frame::new(Opcode::Text, "").unfinished().encode();
        let fragments = Frame::new(Opcode::Continuation, "").unfinished().encode().repeat(1_000);
        // The gateway closes the connection during the flood.
        let _ = writer.write_all(&first).await;
        for _ in 0..1_000 {
            if writer.write_all(&fragments).await.is_err() {
                return;
            }
        }
    });

    assert!(matches!(reader.next().await, Event::Close(1008, _)));
    soon(flood).await.unwrap();
    neighbour.text("still here").await;
    assert!(matches!(soon(received.recv()).await, Some(Incoming::Close(close)) if close.code == 1008));
    assert_eq!(soon(received.recv()).await, Some(incoming("still here")));
}

/// T9: a client that pings and never reads gets no queue of pongs; one that reads gets the last pong.
#[tokio::test]
async fn t9_a_flood_of_pings_is_answered_as_far_as_it_is_read() {
    let bus = Bus::embedded().await;
    let (_responder, _hears) = hearing(&bus).await;
    let gateway = Gateway::start(&bus).await.serving().await;
    let (mut reader, mut writer) = gateway.connect().await.split();
    let mut pings: Vec<u8> = Frame::new(Opcode::Ping, "flood").encode().repeat(200_000);
    pings.extend(Frame::new(Opcode::Ping, "the last").encode());

    soon(writer.write_all(&pings)).await.unwrap();

    let mut answers = 1;
    while reader.next().await != Event::Pong("the last".into()) {
        answers += 1;
    }
    assert!(answers <= 200_001, "{answers}");
}

#[tokio::test]
async fn a_silent_client_is_pinged_and_then_gone() {
    let bus = Bus::embedded().await;
    let (_responder, mut received) = hearing(&bus).await;
    let config = WebSocketConfig { ping_interval: SHORT, ..WebSocketConfig::default() };
    let gateway = Gateway::with(&bus, websockets(config)).await.serving().await;
    let mut answering = gateway.connect().await;
    let mut silent = gateway.connect().await.without_pongs();

    let answers = async {
        for _ in 0..5 {
            assert_eq!(answering.next().await, Event::Ping(Vec::new()));
        }
    };
    let (rest, ()) = tokio::join!(silent.rest(), answers);

    assert_eq!(rest, [Event::Reset]);
    assert_eq!(soon(received.recv()).await, Some(ended(1006, "ping timeout")));
    gateway.closed_becomes("silent", 1.0).await;
}
