//! Abnormal ends: the client disconnects, the responder dies, the gateway shuts down. Each side receives a close.

use std::time::Duration;

use h8s_ingress::{Config, Drained, WebSocketConfig};
use h8s_nats::{Accept, Incoming, WebSocket};
use h8s_test_support::http_client::HttpClient;
use h8s_test_support::websocket_client::{Frame, Opcode};
use tokio::time::Instant;

use crate::fixture::*;

/// Twice the time of three missed beats.
const NOTICED: Duration = Duration::from_secs(40);

over_both_buses! {
    async fn a_client_that_leaves_in_mid_message_has_not_said_it(bus) {
        let (_responder, mut received) = hearing(&bus).await;
        let gateway = Gateway::start(&bus).await.serving().await;
        let mut client = gateway.connect().await;

        client.text("whole").await;
        client.frame(Frame::new(Opcode::Binary, vec![0; 200_000]).unfinished()).await;
        client.reset();

        assert_eq!(soon(received.recv()).await, Some(incoming("whole")));
        assert_eq!(soon(received.recv()).await, Some(ended(1006, "")));
    }

    async fn when_the_responder_dies_another_goes_on_and_the_client_notices_nothing(bus) {
        let (first, mut received) = hearing(&bus).await;
        let gateway = Gateway::start(&bus).await.serving().await;
        let mut client = gateway.connect().await;
        client.text("to the first").await;
        assert_eq!(soon(received.recv()).await, Some(incoming("to the first")));

        drop(first);
        let _second = echoing(&bus).await;
        client.text("to the second").await;

        // Three missed beats reveal the loss if NATS does not report it.
        let mut echoed = client.next_within(NOTICED).await;
        // A message that the first responder had not acknowledged is sent again.
        if echoed == text_event("to the first") {
            echoed = client.message().await;
        }
        assert_eq!(echoed, text_event("to the second"));
    }

    async fn without_another_responder_it_closes_1012(bus) {
        let (responder, _hears) = hearing(&bus).await;
        let config = WebSocketConfig { reopen_timeout: SHORT, ..WebSocketConfig::default() };
        let gateway = Gateway::with(&bus, websockets(config)).await.serving().await;
        let mut client = gateway.connect().await;

        drop(responder);
        client.text("anybody?").await;

        assert!(matches!(client.next_within(NOTICED).await, Event::Close(1012, _)));
    }
}

#[tokio::test]
async fn a_responder_that_holds_state_is_not_replaced() {
    let bus = Bus::embedded().await;
    let accept = Accept::default().protocol(None).holds_state(true);
    let responder = owner(&bus, accept.clone(), echo).await;
    let gateway = Gateway::start(&bus).await.serving().await;
    let mut client = gateway.connect().await;
    let _other = owner(&bus, accept, echo).await;

    drop(responder);
    client.text("anybody?").await;

    assert!(matches!(client.next_within(NOTICED).await, Event::Close(1012, _)));
}

#[tokio::test]
async fn a_responder_that_gives_up_closes_1011() {
    let bus = Bus::embedded().await;
    let _responder = owner(&bus, Accept::default(), |mut websocket: WebSocket| async move {
        websocket.next().await;
    })
    .await;
    let gateway = Gateway::start(&bus).await.serving().await;
    let mut client = gateway.connect().await;

    client.text("fail").await;

    assert!(matches!(client.message().await, Event::Close(1011, _)));
    gateway.closed_becomes("responder", 1.0).await;
}

/// The client's complete messages are handled; an incomplete one is dropped.
#[tokio::test]
async fn a_shutdown_in_mid_message_closes_1012_and_waits_for_the_responder() {
    let bus = Bus::embedded().await;
    let (_responder, mut received) = hearing(&bus).await;
    let gateway = Gateway::with(&bus, Config { grace_period: Duration::from_secs(1), ..config() })
        .await
        .serving()
        .await;
    let mut client = gateway.connect().await;
    client.text("whole").await;
    client.frame(Frame::new(Opcode::Text, "ha").unfinished()).await;
    assert_eq!(client.until_pong().await, []);

    gateway.ingress.shutdown.drain();

    assert_eq!(client.next().await, Event::Close(1012, "restarting".into()));
    client.close(1012, "").await;
    assert_eq!(client.rest().await, [Event::End]);
    drop(client);
    assert_eq!(gateway.ingress.ended().await, Drained::Whole);
    assert_eq!(soon(received.recv()).await, Some(incoming("whole")));
    assert_eq!(soon(received.recv()).await, Some(ended(1012, "restarting")));
}

#[tokio::test]
async fn a_shutdown_closes_websockets_over_http2_too() {
    let bus = Bus::embedded().await;
    let _responder = echoing(&bus).await;
    let config = Config { grace_period: Duration::from_secs(1), ..config() };
    let gateway = Gateway::with(&bus, config).await.serving().await;
    let mut http2 = HttpClient::http2(&format!("http://{}", gateway.ingress.address)).await;
    let mut client = gateway.upgrade("/").over_http2(&mut http2).await.unwrap();

    gateway.ingress.shutdown.drain();

    assert_eq!(client.next().await, Event::Close(1012, "restarting".into()));
    client.close(1012, "").await;
    assert_eq!(client.rest().await, [Event::End]);
    drop(client);
    assert_eq!(gateway.ingress.ended().await, Drained::Whole);
}

/// T22: a drain spreads its closes over the window, so that the clients do not all reconnect at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t22_a_drain_spreads_its_closes() {
    let bus = Bus::embedded().await;
    let _responder = echoing(&bus).await;
    // The window is 0.7 of the grace period.
    let config = Config { grace_period: Duration::from_secs(3), ..config() };
    let gateway = Gateway::with(&bus, config).await.serving().await;
    let mut clients = Vec::new();
    for _ in 0..200 {
        clients.push(gateway.connect().await);
    }

    let began = Instant::now();
    gateway.ingress.shutdown.drain();
    let closed = clients.into_iter().map(|mut client| {
        tokio::spawn(async move {
            assert!(matches!(client.message().await, Event::Close(1012, _)));
            let after = began.elapsed();
            client.close(1012, "").await;
            after
        })
    });
    let mut quarters = [0; 4];
    for closed in closed.collect::<Vec<_>>() {
        let after = soon(closed).await.unwrap().as_secs_f64() / 2.1;
        quarters[((after * 4.0) as usize).min(3)] += 1;
    }

    // 50 are expected in each quarter. A count this low has a probability below one in a billion.
    assert!(quarters.iter().all(|count| *count > 12), "{quarters:?}");
    assert_eq!(gateway.ingress.ended().await, Drained::Whole);
}

#[tokio::test]
async fn a_second_signal_cuts_at_once() {
    let bus = Bus::embedded().await;
    let (_responder, mut received) = hearing(&bus).await;
    let gateway = Gateway::with(&bus, Config { grace_period: LONG, ..config() }).await.serving().await;
    let mut client = gateway.connect().await;
    client.text("whole").await;
    assert_eq!(soon(received.recv()).await, Some(incoming("whole")));

    gateway.ingress.shutdown.drain();
    gateway.ingress.shutdown.cut();

    assert_eq!(client.rest().await, [Event::Reset]);
    assert!(matches!(soon(received.recv()).await, Some(Incoming::Close(_) | Incoming::Disconnected { .. })));
    assert_eq!(gateway.ingress.ended().await, Drained::Cut);
}

/// A NATS outage closes no client's socket, and messages sent meanwhile arrive.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_nats_is_no_end() {
    let mut bus = Bus::embedded().await;
    let _responder = echoing(&bus).await;
    let gateway = Gateway::start(&bus).await.serving().await;
    let mut client = gateway.connect().await;
    client.text("before").await;
    assert_eq!(client.message().await, text_event("before"));

    bus.stop().await;
    client.text("meanwhile").await;
    bus.restart().await;

    assert_eq!(client.message().await, text_event("meanwhile"));
}
