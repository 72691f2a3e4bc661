//! WebSockets at components, over NATS: open, messages in order, close.

use std::time::Duration;

use h8s_host::Limits;
use h8s_test_support::eventually;
use h8s_wire::{Close, Message, MessageKind};
use http::StatusCode;
use tokio::task::JoinSet;

use crate::edge::{Client, Edge, HOST, refused};
use crate::fixture::{frugal, short};
use crate::log;

#[tokio::test(flavor = "multi_thread")]
async fn text_comes_back_as_text_and_bytes_as_bytes() {
    let edge = Edge::of("websocket-echo", Limits::default()).await;
    let mut client = edge.open("/").await;
    client.say("héllo").await;
    assert_eq!(client.message().await, Message::text("héllo"));
    client.send(MessageKind::Binary, b"\xff\0").await;
    assert_eq!(client.message().await, Message::binary(&b"\xff\0"[..]));
    client.send(MessageKind::Text, b"").await;
    assert_eq!(client.message().await, Message::text(""));
}

#[tokio::test(flavor = "multi_thread")]
async fn order_is_kept_on_every_connection_under_load() {
    // given a component that does a few things at a time, and many connections
    let edge = Edge::of("websocket-echo", Limits { concurrency: 4, queue: 0, ..Limits::default() }).await;
    let mut clients = JoinSet::new();
    for _ in 0..20 {
        let mut client = edge.open("/").await;
        // when each sends without waiting for replies
        clients.spawn(async move {
            for n in 0..100 {
                client.say(&n.to_string()).await;
            }
            // then all comes back in order
            for n in 0..100 {
                assert_eq!(client.hear().await, n.to_string());
            }
            client.close(1000, "").await;
        });
    }
    clients.join_all().await;
    assert_eq!(edge.service.running(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_names_its_origin() {
    let edge = Edge::guests().await;
    let mut client = edge.open("/a%20b/c?x=1").await;
    assert_eq!(client.ask("origin x").await, "/a%20b/c h8s.ws.ws.example.app._.a%20b.c false x");
    client.say("bytes text as bytes").await;
    assert_eq!(client.message().await, Message::binary(&b"text as bytes"[..]));
    assert_eq!(client.ask("echo at last").await, "at last");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_what_the_client_gets() {
    let edge = Edge::guests().await;
    let (status, headers, body) = refused(&edge, "/refuse?q=1").await;
    assert_eq!((status, headers["x-why"].to_str().unwrap()), (StatusCode::FORBIDDEN, "as asked"));
    // The body contains what the guest knew of the connection.
    let expected = "app.example /refuse Some(\"q=1\") h8s.ws.ws.example.app._.refuse None";
    assert!(body.contains(expected), "{body}");
    assert!(body.contains("Cookie=a=b") && body.contains("Sec-Websocket-Protocol=chat, other"), "{body}");
    assert!(!body.contains("X-H8s"), "{body}");
    // And it was never open.
    assert!(log::lines(&[&log::of(&edge.service), "closed "]).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subprotocol_is_one_that_the_client_offers() {
    let edge = Edge::guests().await;
    assert_eq!(edge.open("/choose").await.protocol.as_deref(), Some("other"));
    assert_eq!(edge.open("/").await.protocol, None);
    assert_eq!(refused(&edge, "/choose-another").await.0, StatusCode::INTERNAL_SERVER_ERROR);
    log::line(&[&log::of(&edge.service), "chose the subprotocol", "which the client did not offer"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_at_opening_are_responses() {
    let edge = Edge::of("message-guests", short(2000)).await;
    for (path, status, cause) in [
        ("/trap-at-open", StatusCode::INTERNAL_SERVER_ERROR, "unreachable"),
        ("/refuse-oddly", StatusCode::INTERNAL_SERVER_ERROR, "outside 300 to 599"),
        ("/sleep-at-open", StatusCode::GATEWAY_TIMEOUT, "not returned within"),
    ] {
        assert_eq!(refused(&edge, path).await.0, status, "{path}");
        log::line(&[&log::of(&edge.service), "component failed", cause]).await;
    }
    assert_eq!(edge.open("/").await.ask("echo well").await, "well");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_while_opening_comes_first() {
    let edge = Edge::guests().await;
    let mut client = edge.open("/greet").await;
    client.say("echo four").await;
    for word in ["one", "two", "three", "four"] {
        assert_eq!(client.hear().await, word);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_while_opening_is_bounded() {
    let edge = Edge::guests().await;
    let mut client = edge.open("/greet-at-length").await;
    log::line(&[&log::of(&edge.service), "greeted Some((64, Error::Unavailable("]).await;
    for _ in 0..64 {
        assert_eq!(client.hear().await, "x");
    }
    assert_eq!(client.ask("echo no more").await, "no more");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_listed_before_they_are_let_in() {
    let edge = Edge::guests().await;
    let mut client = edge.open("/alone-at-open").await;
    log::line(&[&log::of(&edge.service), "listed at open Ok(false)"]).await;
    assert_eq!(client.ask("echo in").await, "in");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_can_be_closed_while_it_opens() {
    let edge = Edge::guests().await;
    let mut client = edge.open("/close-at-open").await;
    let id = client.id();
    assert_eq!(client.hear().await, "goodbye");
    assert_eq!(client.closed().await, Close::new(4001, "changed my mind"));
    client.close(4001, "changed my mind").await;
    closed_once(&edge, &id, "4001 \\\"changed my mind\\\"").await;
}

/// Whether `on-close` was called with this, once, and could not send any more.
async fn closed_once(edge: &Edge, id: &str, with: &str) {
    let of = log::of(&edge.service);
    let line = log::line(&[&of, &format!("closed {id}")]).await;
    assert!(line.contains(with) && line.contains("ClosedConnection"), "{line}");
    assert_eq!(log::lines(&[&of, &format!("closed {id}")]).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_close_gets_the_close_of_the_client() {
    let edge = Edge::guests().await;
    let clients = [edge.open("/").await, edge.open("/").await];
    let ids = clients.each_ref().map(Client::id);
    let [one, other] = clients;
    one.close(4002, "bye").await;
    drop(other);
    closed_once(&edge, &ids[0], "4002 \\\"bye\\\"").await;
    closed_once(&edge, &ids[1], "1006 \\\"\\\"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_was_sent_is_handled_before_on_close() {
    let edge = Edge::guests().await;
    let mut client = edge.open("/").await;
    let id = client.id();
    for n in 0..20 {
        client.say(&format!("print number {n} of {id}")).await;
    }
    client.close(1000, "").await;
    closed_once(&edge, &id, "1000").await;
    let of = log::of(&edge.service);
    let lines = log::lines(&[&of, &id]);
    let printed = |n: usize| lines[n].contains(&format!("number {n} of"));
    assert!(lines.len() == 21 && (0..20).all(printed), "{lines:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_logged_and_the_connection_continues() {
    let edge = Edge::guests().await;
    let mut client = edge.open("/").await;
    client.say("error something is amiss").await;
    assert_eq!(client.ask("echo still here").await, "still here");
    log::line(&[&log::of(&edge.service), "message not handled", "something is amiss", &client.id()]).await;
}

/// A fault closes its own connection with 1011, is logged once, and affects no other.
async fn costs_one_connection(limits: Limits, message: &str, cause: &str) {
    let edge = Edge::of("message-guests", limits).await;
    let (mut client, mut other) = (edge.open("/").await, edge.open("/").await);
    let id = client.id();
    client.say(message).await;
    assert_eq!(client.closed().await, Close::new(1011, "the component failed"));
    client.close(1011, "").await;
    let of = log::of(&edge.service);
    let failed = "\"message\":\"component failed\"";
    let line = log::line(&[&of, failed]).await;
    assert!(line.contains(cause), "{line}");
    let lines = log::lines(&[&of, failed]);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    closed_once(&edge, &id, "1011").await;
    assert_eq!(other.ask("echo unharmed").await, "unharmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn t21_a_trap_closes_its_connection() {
    costs_one_connection(Limits::default(), "trap", "message_guests::commands").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t21_an_exit_closes_its_connection() {
    costs_one_connection(Limits::default(), "exit", "exited with status 1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t21_an_endless_loop_closes_its_connection() {
    costs_one_connection(frugal(100), "loop", "CPU budget of 100 ms spent").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t21_memory_without_end_closes_its_connection() {
    let limits = Limits { memory_bytes: 16 << 20, ..Limits::default() };
    costs_one_connection(limits, "allocate", "memory limit of 16777216 bytes").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t21_a_call_that_never_returns_closes_its_connection() {
    costs_one_connection(short(3000), "sleep 3600000", "not returned within").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_can_close_after_its_last_word() {
    let edge = Edge::guests().await;
    let mut client = edge.open("/").await;
    let id = client.id();
    client.say("close-me 4003 enough").await;
    assert_eq!(client.hear().await, "the last");
    assert_eq!(client.closed().await, Close::new(4003, "enough"));
    client.close(4003, "enough").await;
    closed_once(&edge, &id, "4003 \\\"enough\\\"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_component_makes_messages_wait_and_refuses_none() {
    // given a component that does one thing at a time, and is busy
    let edge = Edge::of("message-guests", Limits { concurrency: 1, queue: 0, ..Limits::default() }).await;
    let (mut busy, mut waiting) = (edge.open("/").await, edge.open("/").await);
    busy.say("sleep 300").await;
    // when another connection sends
    waiting.say("echo my turn").await;
    // then it has its turn
    assert_eq!(waiting.hear().await, "my turn");
    assert_eq!(busy.hear().await, "slept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_connection_holds_up_no_other() {
    let edge = Edge::guests().await;
    let (mut slow, mut quick) = (edge.open("/").await, edge.open("/").await);
    slow.say("sleep 2000").await;
    let asked = std::time::Instant::now();
    assert_eq!(quick.ask("echo quick").await, "quick");
    assert!(asked.elapsed() < Duration::from_secs(2));
    assert_eq!(slow.hear().await, "slept");
}

#[tokio::test(flavor = "multi_thread")]
async fn open_connections_take_no_instance() {
    // given a component that does one thing at a time
    let edge = Edge::of("message-guests", Limits { concurrency: 1, queue: 0, ..Limits::default() }).await;
    // when many connections are open
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(edge.open("/").await);
    }
    // then none of them keeps a request from its turn
    let counted = (StatusCode::OK, "10".into());
    eventually("all are counted", async || edge.post("/run", "count").await == counted).await;
    assert_eq!((edge.service.open_websockets(), edge.service.running()), (10, 0));
    assert_eq!(Client::open(&edge.requester, HOST, "/").await.ask("echo x").await, "x");
}
