//! T19: the gateway waits for a slow client, or drops its pushes, without effect on others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use h8s_ingress::WebSocketConfig;
use h8s_nats::{Accept, Connections, Responder, WebSocket, WebSocketUpgrade};
use h8s_test_support::websocket_client::{Frame, Opcode, WebSocketClient};
use h8s_wire::push::Audience;
use h8s_wire::{ConnectionId, Message};
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;

use crate::fixture::*;

/// Passes connections to `/slow` to `own`, and echoes on the others.
async fn slow_or_echo<F, R>(bus: &Bus, own: F) -> Responder
where
    F: Fn(WebSocket) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    responder(bus, move |mut request| {
        let upgrade = request.extensions_mut().remove::<WebSocketUpgrade>().unwrap();
        let (response, websocket) = upgrade.accept(Accept::default()).unwrap();
        if request.uri().path() == "/slow" {
            tokio::spawn(own(websocket));
        } else {
            tokio::spawn(echo(websocket));
        }
        std::future::ready(Ok(response.map(|()| full(""))))
    })
    .await
}

/// Another client's round trips: enough for any message that is not blocked to arrive.
async fn some_round_trips(neighbour: &mut WebSocketClient) {
    for n in 0..50 {
        let text = n.to_string();
        neighbour.text(&text).await;
        assert_eq!(neighbour.message().await, text_event(&text));
    }
}

/// Waits until a value stops growing during round trips of another client, and returns it.
async fn standstill(neighbour: &mut WebSocketClient, mut progress: impl AsyncFnMut() -> usize) -> usize {
    let mut last = progress().await;
    loop {
        some_round_trips(neighbour).await;
        match progress().await {
            now if now == last => return now,
            now => last = now,
        }
    }
}

const FLOOD: usize = 1_000;
const PIECE_BYTES: usize = 60_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t19_a_slow_responder_stops_its_client_and_no_other() {
    let bus = Bus::embedded().await;
    let (go, waits) = watch::channel(false);
    let heard = Arc::new(AtomicUsize::new(0));
    let count = heard.clone();
    let _responder = slow_or_echo(&bus, move |mut websocket| {
        let (mut waits, count) = (waits.clone(), count.clone());
        async move {
            waits.wait_for(|go| *go).await.unwrap();
            while let h8s_nats::Incoming::Message { .. } = websocket.next().await {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    })
    .await;
    let gateway = Gateway::start(&bus).await.serving().await;
    let mut neighbour = gateway.connect().await;
    let (_reader, mut writer) = gateway.upgrade("/slow").send().await.unwrap().split();
    let written = Arc::new(AtomicUsize::new(0));
    let progress = written.clone();
    let flood = tokio::spawn(async move {
        let message = Frame::new(Opcode::Binary, vec![1; PIECE_BYTES]).encode();
        for _ in 0..FLOOD {
            writer.write_all(&message).await.unwrap();
            written.fetch_add(1, Ordering::Relaxed);
        }
        writer
    });

    let stopped_at = standstill(&mut neighbour, async || progress.load(Ordering::Relaxed)).await;
    assert!(stopped_at < FLOOD && !flood.is_finished(), "{stopped_at}");
    go.send(true).unwrap();

    let _writer = soon(flood).await.unwrap();
    eventually("everything is received", async || heard.load(Ordering::Relaxed) == FLOOD).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t19_a_slow_client_stops_its_responder_and_no_other() {
    let bus = Bus::embedded().await;
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let _responder = slow_or_echo(&bus, move |websocket| {
        let count = count.clone();
        async move {
            for n in 0..FLOOD {
                let message = Message::binary([&n.to_be_bytes()[..], &vec![0; PIECE_BYTES]].concat());
                websocket.sender().send(message).await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
            }
            std::future::pending().await
        }
    })
    .await;
    let gateway = Gateway::start(&bus).await.serving().await;
    let mut neighbour = gateway.connect().await;
    let mut client = gateway.upgrade("/slow").send().await.unwrap();

    let stopped_at = standstill(&mut neighbour, async || sent.load(Ordering::Relaxed)).await;
    assert!(stopped_at < FLOOD, "{stopped_at}");

    for n in 0..FLOOD {
        let Event::Binary(message) = client.message().await else { panic!("closed") };
        assert_eq!(message[..8], n.to_be_bytes());
    }
}

/// All connections, and the connection of a path.
async fn registry(bus: &Bus, path: &str) -> (Connections, ConnectionId) {
    let connections = Connections::start(link(bus).await, &[host()]).await.unwrap();
    let find = || connections.list(&host()).into_iter().find(|entry| entry.path == path);
    eventually("the connection is known", async || find().is_some()).await;
    let id = find().unwrap().connection;
    (connections, id)
}

/// Pushes to a client that reads nothing, until `is_enough`. Returns the number of pushes.
async fn push_until(
    connections: &Connections,
    to: ConnectionId,
    mut is_enough: impl AsyncFnMut() -> bool,
) -> u64 {
    let mut pushed = 0u64;
    while !is_enough().await {
        for _ in 0..20 {
            let message = Message::binary([&pushed.to_be_bytes()[..], &vec![0; PIECE_BYTES]].concat());
            // Sending fails after the connection is closed.
            let _ = connections.send(&host(), to, &message).await;
            pushed += 1;
        }
    }
    pushed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t19_a_client_that_does_not_read_its_pushes_is_closed_1013() {
    let bus = Bus::embedded().await;
    let _responder = echoing(&bus).await;
    let gateway = Gateway::start(&bus).await.serving().await;
    let mut neighbour = gateway.connect().await;
    let mut slow = gateway.upgrade("/slow").send().await.unwrap();
    let (connections, id) = registry(&bus, "/slow").await;
    let slow_closed =
        async || gateway.ingress.metric("h8s_ingress_websocket_slow_total", "closed").await == 1.0;

    push_until(&connections, id, slow_closed).await;

    some_round_trips(&mut neighbour).await;
    let end = loop {
        match slow.message().await {
            Event::Binary(_) => {}
            event => break event,
        }
    };
    assert_eq!(end, Event::Close(1013, "slow".into()));
    slow.close(1013, "").await;
    assert_eq!(slow.rest().await, [Event::End]);
    gateway.closed_becomes("slow", 1.0).await;
    connections.broadcast(&host(), &Audience::All, &Message::text("broadcast")).await.unwrap();
    assert_eq!(neighbour.message().await, text_event("broadcast"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t19_or_loses_the_oldest_where_that_is_wanted() {
    let bus = Bus::embedded().await;
    let _responder = echoing(&bus).await;
    let drop_oldest = "app.example/slow/*".parse().unwrap();
    let config = WebSocketConfig { drop_oldest, ..WebSocketConfig::default() };
    let gateway = Gateway::with(&bus, websockets(config)).await.serving().await;
    let mut slow = gateway.upgrade("/slow/1").send().await.unwrap();
    let (connections, id) = registry(&bus, "/slow/1").await;
    let dropped = async || gateway.ingress.metric("h8s_ingress_websocket_slow_total", "dropped").await > 50.0;

    let pushed = push_until(&connections, id, dropped).await;
    gateway.ingress.metric_becomes("h8s_ingress_websocket_pushes_total", "", pushed as f64).await;

    let mut numbers = Vec::new();
    while numbers.last() != Some(&(pushed - 1)) {
        let Event::Binary(message) = slow.message().await else { panic!("closed after {numbers:?}") };
        numbers.push(u64::from_be_bytes(*message.first_chunk().unwrap()));
    }
    assert!(numbers.is_sorted() && numbers[0] == 0 && (numbers.len() as u64) < pushed, "{numbers:?}");
}

#[tokio::test]
async fn a_client_that_reads_nothing_for_the_write_timeout_is_dropped() {
    let bus = Bus::embedded().await;
    let _responder = slow_or_echo(&bus, |websocket| async move {
        while websocket.sender().send(Message::binary(vec![0; PIECE_BYTES])).await.is_ok() {}
    })
    .await;
    let config = WebSocketConfig { write_timeout: SHORT, ..WebSocketConfig::default() };
    let gateway = Gateway::with(&bus, websockets(config)).await.serving().await;

    let _client = gateway.upgrade("/slow").send().await.unwrap();

    gateway.closed_becomes("stalled", 1.0).await;
    gateway.ingress.metric_becomes("h8s_ingress_websockets", "", 0.0).await;
}
