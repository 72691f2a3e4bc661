//! Pushed messages: to one connection, to a group, to all.

use h8s_nats::Connections;
use h8s_test_support::websocket_client::{Frame, Opcode, WebSocketClient};
use h8s_wire::push::Audience;
use h8s_wire::{Close, ConnectionId, Message};
use tokio::io::AsyncWriteExt;

use crate::fixture::*;

/// Connects, and returns the client and its connection's id.
async fn known(gateway: &Gateway, connections: &Connections, path: &str) -> (WebSocketClient, ConnectionId) {
    let before = connections.len();
    let client = gateway.upgrade(path).send().await.unwrap();
    eventually("the connection is known", async || connections.len() > before).await;
    let entry = connections.list(&host()).into_iter().find(|entry| path.starts_with(&entry.path)).unwrap();
    (client, entry.connection)
}

over_both_buses! {
    async fn pushes_reach_whom_they_are_for(bus) {
        let _responder = echoing(&bus).await;
        let gateway = Gateway::start(&bus).await.serving().await;
        let connections = Connections::start(link(&bus).await, &[host()]).await.unwrap();
        let (mut one, one_id) = known(&gateway, &connections, "/1").await;
        let (mut two, two_id) = known(&gateway, &connections, "/2").await;
        let send = async |id, text: &str| connections.send(&host(), id, &Message::text(text)).await.unwrap();

        for n in 0..100 {
            send(one_id, &format!("one {n}")).await;
        }
        send(two_id, "two").await;
        connections.broadcast(&host(), &Audience::All, &Message::binary(vec![1; 70_000])).await.unwrap();

        for n in 0..100 {
            assert_eq!(one.next().await, text_event(&format!("one {n}")));
        }
        assert_eq!(two.next().await, text_event("two"));
        assert_eq!((one.next().await, two.next().await), (Event::Binary(vec![1; 70_000]), Event::Binary(vec![1; 70_000])));
        gateway.ingress.metric_becomes("h8s_ingress_websocket_pushes_total", "", 103.0).await;
    }

    async fn a_pushed_close_comes_after_what_was_pushed(bus) {
        let _responder = echoing(&bus).await;
        let gateway = Gateway::start(&bus).await.serving().await;
        let connections = Connections::start(link(&bus).await, &[host()]).await.unwrap();
        let (mut client, id) = known(&gateway, &connections, "/").await;

        connections.send(&host(), id, &Message::text("last")).await.unwrap();
        connections.close(&host(), id, &Close::new(4001, "out")).await.unwrap();

        assert_eq!(client.next().await, text_event("last"));
        assert_eq!(client.next().await, Event::Close(4001, "out".into()));
        client.close(4001, "").await;
        assert_eq!(client.rest().await, [Event::End]);
        gateway.closed_becomes("pushed", 1.0).await;
    }
}

/// T11: no input from a client lets it act as another connection, or receive another's messages.
#[tokio::test]
async fn t11_the_same_key_twice_and_a_session_of_stars_hear_nothing_of_each_other() {
    let bus = Bus::embedded().await;
    let _responder = echoing(&bus).await;
    let gateway = Gateway::start(&bus).await.serving().await;
    let connections = Connections::start(link(&bus).await, &[host()]).await.unwrap();
    let (mut one, one_id) = known(&gateway, &connections, "/1?session=*").await;
    let (mut two, two_id) = known(&gateway, &connections, "/2?session=*").await;
    assert_ne!(one_id, two_id);

    one.text("echo for one").await;
    connections.send(&host(), one_id, &Message::text("push for one")).await.unwrap();
    let mut heard_by_one = [one.next().await, one.next().await];
    heard_by_one.sort_by_key(|event| format!("{event:?}"));

    assert_eq!(heard_by_one, [text_event("echo for one"), text_event("push for one")]);
    assert_eq!(two.until_pong().await, []);
}

/// T23: pushes to clients that are disconnecting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t23_short_connections_under_push_load_harm_no_other() {
    let bus = Bus::embedded().await;
    let _responder = echoing(&bus).await;
    let gateway = Gateway::start(&bus).await.serving().await;
    let connections = Connections::start(link(&bus).await, &[host()]).await.unwrap();
    let (mut reader, mut writer) = gateway.connect().await.split();
    let neighbour = tokio::spawn(async move {
        loop {
            match reader.message().await {
                Event::Text(text) if text == "still here" => return,
                Event::Text(_) => {}
                event => panic!("{event:?}"),
            }
        }
    });
    let pusher = connections.clone();
    let pushing = tokio::spawn(async move {
        loop {
            pusher.broadcast(&host(), &Audience::All, &Message::text("x".repeat(1000))).await.unwrap();
            for entry in pusher.list(&host()) {
                // The connection may have ended.
                let _ = pusher.send(&host(), entry.connection, &Message::text("y")).await;
            }
            tokio::task::yield_now().await;
        }
    });

    for round in 0..100 {
        let mut clients = Vec::new();
        for _ in 0..10 {
            clients.push(gateway.connect().await);
        }
        for (number, mut client) in clients.into_iter().enumerate() {
            match (round + number) % 3 {
                0 => client.reset(),
                1 => drop(client),
                _ => assert!(client.close(1000, "").await),
            }
        }
    }
    pushing.abort();

    gateway.ingress.metric_becomes("h8s_ingress_websockets", "", 1.0).await;
    soon(writer.write_all(&Frame::new(Opcode::Text, "still here").encode())).await.unwrap();
    soon(neighbour).await.unwrap();
    eventually("only one connection is known", async || connections.len() == 1).await;
}
