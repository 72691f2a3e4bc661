//! The registry of open WebSockets, and messages to them: pushes, groups, broadcasts (`PROTOCOL.md §6`).

use std::time::Duration;

use futures_util::StreamExt;
use h8s_nats::{Accept, Connections, SendError};
use h8s_test_support::fault_proxy::{FaultProxy, Faults};
use h8s_test_support::{Tool, needs};
use h8s_wire::push::Audience;
use h8s_wire::{Close, ConnectionId, Host, Message};

use crate::fixture::{eventually, host, link, over_both_buses, requester_with, within};
use crate::websocket_fixture::{Client, config, echo, echo_responder, gateway, opened, owner, served};

async fn connections(url: &str) -> Connections {
    within(Connections::start(link(url).await, &[host()])).await.unwrap()
}

/// The number of open connections of all gateways.
async fn known(connections: &Connections, count: usize) {
    eventually("all connections are known", async || connections.len() == count).await;
}

async fn receives(client: &Client, texts: &[&str]) {
    eventually("the push is received", async || client.pushed.texts() == texts).await;
}

over_both_buses! {
    async fn a_registry_follows_the_gateways_connections(bus) {
        let accept = Accept::default().protocol(Some("chat".into())).holds_state(false);
        let _responder = owner(&bus.url(), accept, echo).await;
        let gateways = [gateway(&bus.url()).await, gateway(&bus.url()).await];
        served(&gateways[0], "/").await;
        served(&gateways[1], "/").await;
        let early = connections(&bus.url()).await;
        assert!(early.is_empty());
        let (_, one) = opened(&gateways[0], "/room/1?x=1").await;
        let (_, two) = opened(&gateways[1], "/room/2").await;
        let late = connections(&bus.url()).await;

        for registry in [&early, &late] {
            known(registry, 2).await;
            let entry = registry.get(one.session.id()).unwrap();
            assert_eq!((entry.path.as_str(), entry.query.as_deref()), ("/room/1", Some("x=1")));
            assert_eq!((entry.protocol.as_deref(), &entry.host), (Some("chat"), &host()));
            assert_eq!(entry.subject, "h8s.ws.ws.example.app._.room.1");
            assert!(entry.headers.contains(&("sec-websocket-protocol".into(), "chat".into())), "{:?}", entry.headers);
            let ids = |pattern| registry.matching(&host(), pattern).iter().map(|entry| entry.connection).collect::<Vec<_>>();
            assert_eq!(ids("h8s.ws.ws.example.app._.room.2"), [two.session.id()]);
            assert_eq!(ids("h8s.ws.ws.example.app._.room.*").len(), 2);
            assert!(ids("h8s.ws.ws.*").is_empty());
        }
        within(two.session.close(Close::new(1000, ""))).await;
        known(&early, 1).await;
        known(&late, 1).await;
        drop(one);
        known(&early, 0).await;
        known(&late, 0).await;
    }

    async fn closed_is_reported_exactly_once(bus) {
        let client = async_nats::connect(bus.url()).await.unwrap();
        let mut notices = client.subscribe("h8s.control.ws.conn.*.example.app").await.unwrap();
        client.flush().await.unwrap();
        let _responder = echo_responder(&bus.url()).await;
        let requester = gateway(&bus.url()).await;
        served(&requester, "/").await;
        for n in 0..20 {
            let (_, connection) = opened(&requester, "/").await;
            match n % 2 {
                0 => within(connection.session.close(Close::new(4000, "done"))).await,
                _ => drop(connection),
            }
        }
        let (mut established, mut closed) = (Vec::new(), Vec::new());
        while closed.len() < 20 {
            let message = within(notices.next()).await.unwrap();
            let json: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
            match message.subject.split('.').nth(4).unwrap() {
                "established" => established.push((json["revision"].as_u64(), json["connection"].to_string())),
                "closed" => closed.push((json["revision"].as_u64(), json["connection"].to_string())),
                _ => {}
            }
        }
        assert_eq!(established.len(), 20);
        let mut revisions: Vec<_> = established.iter().chain(&closed).map(|(revision, _)| revision.unwrap()).collect();
        revisions.sort_unstable();
        assert_eq!(revisions, (1..=40).collect::<Vec<_>>(), "each once");
        let mut ids: Vec<_> = closed.into_iter().map(|(_, id)| id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 20);
        assert_eq!(requester.open_connections(), 0);
    }

    async fn pushes_reach_one_and_groups_and_all(bus) {
        let _responder = echo_responder(&bus.url()).await;
        let gateways = [gateway(&bus.url()).await, gateway(&bus.url()).await];
        served(&gateways[0], "/").await;
        served(&gateways[1], "/").await;
        let (_, one) = opened(&gateways[0], "/room/1").await;
        let (_, two) = opened(&gateways[1], "/room/2").await;
        let registry = connections(&bus.url()).await;
        known(&registry, 2).await;

        registry.send(&host(), one.session.id(), &Message::text("to one")).await.unwrap();
        registry.join(&host(), two.session.id(), "blue").await.unwrap();
        // Connections that joined before are reached, also at another gateway and on another subject.
        registry.broadcast(&host(), &Audience::Group("blue".parse().unwrap()), &Message::text("blue")).await.unwrap();
        registry.broadcast(&host(), &Audience::All, &Message::binary(&b"\xff"[..])).await.unwrap();
        registry.broadcast(&host(), &Audience::Path("/room/2".parse().unwrap()), &Message::text("2")).await.unwrap();
        // A push may overtake a broadcast.
        receives(&two, &["blue", "\u{fffd}", "2"]).await;
        registry.leave(&host(), two.session.id(), "blue").await.unwrap();
        registry.broadcast(&host(), &Audience::Group("blue".parse().unwrap()), &Message::text("no member")).await.unwrap();
        registry.broadcast(&host(), &Audience::All, &Message::text("end")).await.unwrap();

        receives(&one, &["to one", "\u{fffd}", "end"]).await;
        receives(&two, &["blue", "\u{fffd}", "2", "end"]).await;
        assert_eq!(two.pushed.messages()[1], Message::binary(&b"\xff"[..]));
        registry.close(&host(), one.session.id(), &Close::new(4000, "go")).await.unwrap();
        eventually("it is closed", async || one.pushed.close() == Some(Close::new(4000, "go"))).await;
    }

    async fn a_group_is_left_with_the_connection_and_names_are_the_hosts_own(bus) {
        let _responder = echo_responder(&bus.url()).await;
        let requester = gateway(&bus.url()).await;
        served(&requester, "/").await;
        let registry = connections(&bus.url()).await;
        for _ in 0..100 {
            let (_, member) = opened(&requester, "/").await;
            eventually("it is known", async || registry.get(member.session.id()).is_some()).await;
            registry.join(&host(), member.session.id(), "g").await.unwrap();
        }
        let (_, last) = opened(&requester, "/").await;
        eventually("it is known", async || registry.get(last.session.id()).is_some()).await;
        for n in 0..101 {
            registry.join(&host(), last.session.id(), &format!("group {n}")).await.unwrap();
        }
        for n in [0, 99, 100] {
            let group = Audience::Group(format!("group {n}").parse().unwrap());
            registry.broadcast(&host(), &group, &Message::text(n.to_string())).await.unwrap();
        }
        registry.broadcast(&host(), &Audience::All, &Message::text("end")).await.unwrap();
        // One more than a connection may join.
        receives(&last, &["0", "99", "end"]).await;
    }

    async fn an_invalid_message_is_an_error_and_is_not_published(bus) {
        let watcher = async_nats::connect(bus.url()).await.unwrap();
        let mut pushes = watcher.subscribe("h8s.inbox.gw.*.*.push").await.unwrap();
        watcher.flush().await.unwrap();
        let _responder = echo_responder(&bus.url()).await;
        let requester = gateway(&bus.url()).await;
        served(&requester, "/").await;
        let (_, open) = opened(&requester, "/").await;
        let (_, closed) = opened(&requester, "/").await;
        let other: Host = "other.example".parse().unwrap();
        let both = Connections::start(link(&bus.url()).await, &[host(), other.clone()]).await.unwrap();
        known(&both, 2).await;
        let (id, gone) = (open.session.id(), closed.session.id());
        drop(closed);
        known(&both, 1).await;

        let text = Message::text("x");
        let stranger = ConnectionId::from_bytes([9; 16]);
        assert_eq!(both.send(&host(), stranger, &text).await, Err(SendError::Unknown));
        assert_eq!(both.send(&host(), gone, &text).await, Err(SendError::Closed));
        assert_eq!(both.send(&other, id, &text).await, Err(SendError::Foreign));
        assert_eq!(both.send(&"unserved.example".parse().unwrap(), id, &text).await, Err(SendError::Foreign));
        let huge = Message::binary(vec![0; 70 * 1024 * 1024]);
        assert!(matches!(both.send(&host(), id, &huge).await, Err(SendError::TooLarge { .. })));
        let liar = Message { kind: h8s_wire::MessageKind::Text, data: vec![0xff].into() };
        assert_eq!(both.send(&host(), id, &liar).await, Err(SendError::Text));
        assert_eq!(both.join(&host(), id, "a\r\nb").await, Err(SendError::Group));
        assert_eq!(both.close(&host(), id, &Close::new(1006, "")).await, Err(SendError::Close));
        both.send(&host(), id, &text).await.unwrap();
        // The first message received is the last one sent.
        let first = within(pushes.next()).await.unwrap();
        assert_eq!(first.payload, "x");
    }

    async fn t17_a_gateway_that_is_lost_takes_its_connections_with_it_within_the_lease(bus) {
        let _responder = echo_responder(&bus.url()).await;
        let proxy = FaultProxy::start(&bus.url(), Faults::none()).await;
        let (dying, living) = (gateway(&proxy.url()).await, gateway(&bus.url()).await);
        served(&dying, "/").await;
        served(&living, "/").await;
        let (_, _lost) = opened(&dying, "/").await;
        let (_, kept) = opened(&living, "/").await;
        let registry = connections(&bus.url()).await;
        known(&registry, 2).await;
        proxy.refuse(true);
        proxy.cut();
        let lease = std::time::Duration::from_secs(25);
        h8s_test_support::within(lease, async {
            while registry.len() > 1 {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        })
        .await;
        assert!(registry.get(kept.session.id()).is_some());
    }

    async fn t17_after_nats_was_away_the_registry_is_right_again(mut bus) {
        let _responder = echo_responder(&bus.url()).await;
        // The responder may reconnect last.
        let patient = config().wait_for_responder(Some(Duration::from_secs(10)));
        let requester = requester_with(&bus.url(), patient).await;
        served(&requester, "/").await;
        let registry = connections(&bus.url()).await;
        let (_, kept) = opened(&requester, "/").await;
        let (_, gone) = opened(&requester, "/").await;
        known(&registry, 2).await;
        bus.stop().await;
        eventually("the gateway notices", async || !requester.is_connected()).await;
        drop(gone);
        bus.restart().await;
        known(&registry, 1).await;
        assert!(registry.get(kept.session.id()).is_some());
        eventually("both of its connections are back", async || requester.is_connected()).await;
        let (_, _new) = opened(&requester, "/").await;
        known(&registry, 2).await;
    }

    async fn thousands_of_connections_are_listed_at_once(bus) {
        let _responder = echo_responder(&bus.url()).await;
        let requester = gateway(&bus.url()).await;
        served(&requester, "/").await;
        let opening = (0..2000).map(|_| opened(&requester, "/a/path/of/some/length"));
        let open: Vec<_> = futures_util::stream::iter(opening).buffer_unordered(100).collect().await;
        let registry = connections(&bus.url()).await;
        assert_eq!(registry.len(), open.len(), "complete when it has started");
    }
}

#[tokio::test]
async fn a_list_goes_only_to_the_hosts_own_inboxes() {
    needs!(Tool::NatsServer);
    let bus = h8s_test_support::Bus::real().await;
    let _responder = echo_responder(&bus.url()).await;
    let requester = gateway(&bus.url()).await;
    served(&requester, "/").await;
    let (_, _open) = opened(&requester, "/").await;
    let client = async_nats::connect(bus.url()).await.unwrap();
    let mut everything = client.subscribe(">").await.unwrap();
    client.flush().await.unwrap();
    let id = "0".repeat(32);
    let own = format!("h8s.inbox.r.example.app._.{id}.{id}");
    let others = [format!("h8s.inbox.r.example.other._.{id}.{id}"), "another.tenants.subject".to_owned()];
    for reply in others.iter().chain([&own]) {
        client
            .publish_with_reply("h8s.control.ws.conn.list.example.app", reply.clone(), "".into())
            .await
            .unwrap();
    }
    loop {
        let message = within(everything.next()).await.unwrap();
        assert!(!others.iter().any(|other| **other == *message.subject), "{}", message.subject);
        if *message.subject == *own {
            let page: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
            assert_eq!(
                (page["last"].as_bool(), page["connections"].as_array().unwrap().len()),
                (Some(true), 1)
            );
            return;
        }
    }
}
