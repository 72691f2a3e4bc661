//! What a WebSocket survives: a lost responder, a lossy bus, a disconnected bus (`PROTOCOL.md §6`).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use h8s_nats::{Accept, Incoming, Responder, UpstreamEvent, WebSocket};
use h8s_test_support::fault_proxy::{FaultProxy, Faults};
use h8s_test_support::{Tool, needs};
use h8s_wire::{Close, Message};
use tokio::sync::{mpsc, watch};

use crate::fixture::{eventually, over_both_buses, requester_with, within};
use crate::websocket_fixture::{Client, config, echo, echo_responder, gateway, opened, owner, served};

/// A responder that records each message under its own name, and finishes a message only when it is allowed to.
async fn noting(url: &str, name: &'static str, log: &Log, may_finish: watch::Receiver<bool>) -> Responder {
    let log = log.clone();
    owner(url, Accept::default(), move |mut websocket| {
        let (log, mut may_finish) = (log.clone(), may_finish.clone());
        async move {
            while let Incoming::Message { message, redelivered } = websocket.next().await {
                let text = String::from_utf8(message.data.to_vec()).unwrap();
                log.note(format!("{name} {text}{}", if redelivered { " again" } else { "" }));
                may_finish.wait_for(|may| *may).await.unwrap();
                let _ = websocket.sender().send(Message::text(format!("{name} {text}"))).await;
            }
        }
    })
    .await
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

over_both_buses! {
    async fn a_killed_responder_is_replaced_and_only_its_unfinished_message_is_redelivered(bus) {
        let (log, (finish, may_finish)) = (Log::default(), watch::channel(true));
        let proxy = FaultProxy::start(&bus.url(), Faults::none()).await;
        let _first = noting(&proxy.url(), "first", &log, may_finish).await;
        let requester = gateway(&bus.url()).await;
        served(&requester, "/").await;
        let (_, mut client) = opened(&requester, "/").await;
        client.say("one").await;
        assert_eq!(client.receive_text().await, "first one");
        let _second = noting(&bus.url(), "second", &log, watch::channel(true).1).await;

        finish.send(false).unwrap();
        client.say("two").await;
        eventually("it is in hand", async || log.lines().len() == 2).await;
        client.say("three").await;
        // As after kill -9: the server closes its connections.
        proxy.refuse(true);
        proxy.cut();

        assert_eq!(client.receive_text().await, "second two");
        client.say("four").await;
        assert_eq!(client.receive_text().await, "second three");
        assert_eq!(client.receive_text().await, "second four");
        assert_eq!(
            log.lines(),
            ["first one", "first two", "second two again", "second three again", "second four"]
        );
    }

    async fn a_draining_responder_hands_over_without_a_repeat(bus) {
        let log = Log::default();
        let first = noting(&bus.url(), "first", &log, watch::channel(true).1).await;
        let requester = gateway(&bus.url()).await;
        served(&requester, "/").await;
        let (_, mut client) = opened(&requester, "/").await;
        client.say("0").await;
        assert_eq!(client.receive_text().await, "first 0");
        let _second = noting(&bus.url(), "second", &log, watch::channel(true).1).await;

        let draining = tokio::spawn(first.drain(Duration::from_secs(20)));
        for n in 1..200 {
            client.say(&n.to_string()).await;
            let text = client.receive_text().await;
            assert!(text == format!("first {n}") || text == format!("second {n}"), "{text}");
        }
        assert!(within(draining).await.unwrap(), "drained whole");
        let twice = log.lines().into_iter().filter(|line| line.ends_with("again")).count();
        // A message on its way to the lost responder may be marked as redelivered; it was handled once.
        assert!(twice <= 1, "{twice}");
        let mut numbers: Vec<u32> = log.lines().iter().map(|line| line.split(' ').nth(1).unwrap().parse().unwrap()).collect();
        assert!(numbers.is_sorted());
        numbers.dedup();
        assert_eq!(numbers.len(), 200);
        assert_eq!(log.lines().len(), 200);
    }

    async fn the_only_responder_restarts_and_clients_notice_nothing(bus) {
        let log = Log::default();
        let first = noting(&bus.url(), "first", &log, watch::channel(true).1).await;
        let requester = gateway(&bus.url()).await;
        served(&requester, "/").await;
        let mut clients = Vec::new();
        for _ in 0..50 {
            clients.push(opened(&requester, "/").await.1);
        }
        drop(first);
        for client in &mut clients {
            // Read what the session knows: it must not be a close.
            assert!(tokio::time::timeout(Duration::from_millis(1), client.session.next()).await.is_err());
            client.session.send(h8s_wire::MessageKind::Text, "x".into(), false).await;
        }
        let _second = noting(&bus.url(), "second", &log, watch::channel(true).1).await;
        for client in &mut clients {
            assert_eq!(client.receive_text().await, "second x");
        }
        assert_eq!(log.lines().len(), 50);
    }

    async fn no_replacement_within_the_reopen_timeout_closes_with_1012(bus) {
        let config = config().reopen_timeout(Duration::from_millis(300));
        let responder = echo_responder(&bus.url()).await;
        let requester = requester_with(&bus.url(), config).await;
        served(&requester, "/").await;
        let (_, mut client) = opened(&requester, "/").await;
        drop(responder);
        assert_eq!(client.closed().await.code, 1012);
    }

    async fn a_responder_that_holds_state_is_not_replaced(bus) {
        let accept = Accept::default().holds_state(true);
        let first = owner(&bus.url(), accept.clone(), echo).await;
        let requester = gateway(&bus.url()).await;
        served(&requester, "/").await;
        let (_, mut client) = opened(&requester, "/").await;
        let _second = owner(&bus.url(), accept, echo).await;
        drop(first);
        assert_eq!(client.closed().await.code, 1012);
    }

    async fn a_replacement_with_another_subprotocol_closes_with_1012(bus) {
        let choosing = |protocol: &str| Accept::default().protocol(Some(protocol.into())).holds_state(false);
        let first = owner(&bus.url(), choosing("chat"), echo).await;
        let requester = gateway(&bus.url()).await;
        served(&requester, "/").await;
        let (_, mut client) = opened(&requester, "/").await;
        let _second = owner(&bus.url(), choosing("other"), echo).await;
        drop(first);
        assert_eq!(client.closed().await.code, 1012);
    }

    async fn the_clients_last_message_is_handled_by_the_replacement(bus) {
        let (log, (_finish, never)) = (Log::default(), watch::channel(false));
        let proxy = FaultProxy::start(&bus.url(), Faults::none()).await;
        let _first = noting(&proxy.url(), "first", &log, never).await;
        let requester = gateway(&bus.url()).await;
        served(&requester, "/").await;
        let (_, mut client) = opened(&requester, "/").await;
        client.say("a").await;
        client.say("b").await;
        eventually("one is in hand", async || log.lines().len() == 1).await;
        let closing = tokio::spawn(client.session.close(Close::new(1000, "")));
        let _second = noting(&bus.url(), "second", &log, watch::channel(true).1).await;
        proxy.refuse(true);
        proxy.cut();
        within(closing).await.unwrap();
        assert_eq!(log.lines(), ["first a", "second a again", "second b again"]);
    }

    async fn t16_messages_are_exact_when_one_in_a_hundred_is_harmed(bus) {
        let proxy = FaultProxy::start(&bus.url(), Faults::none()).await;
        let _responder = echo_responder(&proxy.url()).await;
        let requester = gateway(&bus.url()).await;
        served(&requester, "/").await;
        let mut clients = Vec::new();
        for _ in 0..20 {
            clients.push(opened(&requester, "/").await.1);
        }
        let faults = Faults::none().dropping(0.01).duplicating(0.01).swapping(0.01).seed(17);
        proxy.set_faults(faults.on_subjects(|subject: &str| subject.starts_with("h8s.inbox.")));

        let talks = clients.into_iter().map(|client| tokio::spawn(talk(client, 150)));
        for talk in within(futures_util::future::join_all(talks)).await {
            talk.unwrap();
        }
        let counts = proxy.counts();
        assert!(counts.dropped > 5 && counts.duplicated > 5, "{counts:?}");
        proxy.set_faults(Faults::none());
    }

    async fn t17_nats_restarts_and_traffic_resumes(mut bus) {
        let _responder = echo_responder(&bus.url()).await;
        let requester = gateway(&bus.url()).await;
        served(&requester, "/").await;
        let (_, mut client) = opened(&requester, "/").await;
        client.say("before").await;
        assert_eq!(client.receive_text().await, "before");
        bus.stop().await;
        eventually("the gateway notices", async || !requester.is_connected()).await;
        // Sent while no responder is connected.
        client.say("meanwhile").await;
        bus.restart().await;
        assert_eq!(client.receive_text().await, "meanwhile");
        client.say("after").await;
        assert_eq!(client.receive_text().await, "after");
    }
}

/// Sends numbers, several at a time, and receives each of them once, in order.
async fn talk(mut client: Client, count: u32) {
    let mut last = 0;
    for n in 0..count {
        for event in client.send(&Message::text(n.to_string())).await {
            last = expect(&event, last);
        }
        while n - last >= 10 {
            last = expect(&client.event().await, last);
        }
    }
    while last < count {
        last = expect(&client.event().await, last);
    }
    within(client.session.close(Close::new(1000, ""))).await;
}

fn expect(event: &UpstreamEvent, next: u32) -> u32 {
    assert_eq!(*event, UpstreamEvent::Message(Message::text(next.to_string())));
    next + 1
}

#[tokio::test]
async fn a_stale_owner_does_not_continue() {
    needs!(Tool::NatsServer);
    let bus = h8s_test_support::Bus::real().await;
    let proxy = FaultProxy::start(&bus.url(), Faults::none()).await;
    let (record, mut records) = mpsc::unbounded_channel();
    let (finish, may_finish) = watch::channel(false);
    let _first = owner(&proxy.url(), Accept::default(), move |mut websocket: WebSocket| {
        let (record, mut may_finish) = (record.clone(), may_finish.clone());
        async move {
            record.send(websocket.next().await).unwrap();
            may_finish.wait_for(|may| *may).await.unwrap();
            record.send(websocket.next().await).unwrap();
        }
    })
    .await;
    let requester = gateway(&bus.url()).await;
    served(&requester, "/").await;
    let (_, mut client) = opened(&requester, "/").await;
    for text in ["1", "2", "3"] {
        client.say(text).await;
    }
    let message = Message::text("1");
    assert_eq!(within(records.recv()).await, Some(Incoming::Message { message, redelivered: false }));
    let _second = echo_responder(&bus.url()).await;
    // Disconnected until another responder owns the connection.
    proxy.refuse(true);
    proxy.cut();
    for text in ["1", "2", "3"] {
        assert_eq!(client.receive_text().await, text);
    }
    proxy.refuse(false);
    client.say("4").await;
    assert_eq!(client.receive_text().await, "4");
    // Reconnected or not: it does not continue before it knows the connection's owner.
    finish.send(true).unwrap();
    assert_eq!(within(records.recv()).await, Some(Incoming::Disconnected { closed: false }));
    assert_eq!(requester.open_connections(), 1);
}

#[tokio::test]
async fn a_gateway_that_reconnects_has_lost_no_message_of_the_outage() {
    needs!(Tool::NatsServer);
    let bus = h8s_test_support::Bus::real().await;
    let proxy = FaultProxy::start(&bus.url(), Faults::none()).await;
    let _responder = owner(&bus.url(), Accept::default(), |websocket| async move {
        for n in 0.. {
            if websocket.sender().send(Message::text(n.to_string())).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    let requester = gateway(&proxy.url()).await;
    served(&requester, "/").await;
    let (_, mut client) = opened(&requester, "/").await;
    for n in 0..1000 {
        assert_eq!(client.receive_text().await, n.to_string());
        if n % 250 == 100 {
            proxy.cut();
        }
    }
}

#[tokio::test]
async fn an_outage_longer_than_three_beats_closes_nothing() {
    needs!(Tool::NatsServer);
    let mut bus = h8s_test_support::Bus::real().await;
    let _responder = echo_responder(&bus.url()).await;
    let requester = gateway(&bus.url()).await;
    served(&requester, "/").await;
    let (_, mut client) = opened(&requester, "/").await;
    bus.stop().await;
    eventually("the gateway notices", async || !requester.is_connected()).await;
    client.say("meanwhile").await;
    // The test is about the outage: it has to last.
    let outage = tokio::time::timeout(Duration::from_secs(22), client.session.next()).await;
    assert!(outage.is_err(), "{outage:?}");
    bus.restart().await;
    assert_eq!(client.receive_text().await, "meanwhile");
}

#[tokio::test]
async fn an_owner_can_close_a_client_that_does_not_read() {
    needs!(Tool::NatsServer);
    let bus = h8s_test_support::Bus::real().await;
    let _responder = owner(&bus.url(), Accept::default(), |websocket| async move {
        let sender = websocket.sender();
        let flood = async { while sender.send(Message::binary(vec![0; 1000])).await.is_ok() {} };
        assert!(
            tokio::time::timeout(Duration::from_millis(500), flood).await.is_err(),
            "it waits for credit"
        );
        websocket.close(Close::new(1013, "read!")).await;
    })
    .await;
    let requester = gateway(&bus.url()).await;
    served(&requester, "/").await;
    let (_, mut client) = opened(&requester, "/").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    loop {
        match client.event().await {
            UpstreamEvent::Message(_) => {}
            event => return assert_eq!(event, UpstreamEvent::Close(Close::new(1013, "read!"))),
        }
    }
}
