//! What components can send, to whom, and what they are told when they cannot.

use h8s_host::Limits;
use h8s_nats::UpstreamEvent;
use h8s_test_support::{Bus, eventually};
use h8s_wire::Close;
use http::StatusCode;

use crate::edge::{
    Client, Edge, HOST, gateway, post, respond, served, served_at, upgrade, websockets_are_known,
};
use crate::log;

/// Waits until the component knows of so many.
async fn count_is(edge: &Edge, count: usize) {
    let what = format!("{count} connections are known");
    eventually(&what, async || edge.post("/run", "count").await.1 == count.to_string()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_component_reaches_any_connection_of_its_host() {
    let edge = Edge::guests().await;
    let (mut one, other) = (edge.open("/").await, edge.open("/").await);
    count_is(&edge, 2).await;
    // from a message of another connection
    assert_eq!(one.ask(&format!("send {} from one", other.id())).await, "done");
    // and from a request
    assert_eq!(edge.post("/run", &format!("send {} by post", other.id())).await.1, "done");
    other.pushed.are(&["from one", "by post"]).await;
    // and closes it as well
    assert_eq!(one.ask(&format!("close {} 4004 go", other.id())).await, "done");
    assert_eq!(other.pushed.close().await, Close::new(4004, "go"));
}

#[tokio::test(flavor = "multi_thread")]
async fn its_own_connection_hears_in_order() {
    let edge = Edge::guests().await;
    let mut client = edge.open("/").await;
    let id = client.id();
    for n in 0..50 {
        client.say(&format!("send {id} {n}")).await;
    }
    for n in 0..50 {
        assert_eq!((client.hear().await, client.hear().await), (n.to_string(), "done".into()));
    }
    assert!(client.pushed.texts().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_hears_a_broadcast_or_those_of_a_path() {
    let edge = Edge::guests().await;
    let (top, below, beside) = (edge.open("/a").await, edge.open("/a/b").await, edge.open("/c").await);
    count_is(&edge, 3).await;
    for command in ["broadcast all", "broadcast-path /a/* below", "broadcast-path /a top"] {
        assert_eq!(edge.post("/run", command).await.1, "done", "{command}");
    }
    top.pushed.are(&["all", "below", "top"]).await;
    below.pushed.are(&["all", "below"]).await;
    beside.pushed.are(&["all"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_joined_and_left() {
    let edge = Edge::guests().await;
    let (mut one, mut other, early) =
        (edge.open("/").await, edge.open("/").await, edge.open("/join-at-open").await);
    let (one_id, other_id) = (one.id(), other.id());
    // With its very first message, a connection may join.
    assert_eq!(one.ask(&format!("join {one_id} cats")).await, "done");
    assert_eq!(other.ask(&format!("join {other_id} cats")).await, "done");
    assert_eq!(edge.post("/run", "broadcast-group cats meow").await.1, "done");
    assert_eq!(other.ask(&format!("leave {other_id} cats")).await, "done");
    assert_eq!(edge.post("/run", "broadcast-group cats purr").await.1, "done");
    one.pushed.are(&["meow", "purr"]).await;
    other.pushed.are(&["meow"]).await;
    // What was joined while opening is joined once it is open.
    eventually("the group reaches it", async || {
        edge.post("/run", "broadcast-group early bird").await;
        !early.pushed.texts().is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_by_subject_and_tell_everything() {
    let edge = Edge::guests().await;
    let (one, two) = (edge.open("/room/1?x=y").await, edge.open("/room/2").await);
    let _choosy = edge.open("/hall/choose").await;
    count_is(&edge, 3).await;
    let list = async |subject: &str| edge.post("/run", &format!("list {subject}")).await.1;
    assert_eq!(list("h8s.ws.ws.example.app._.room.*").await.lines().count(), 2);
    assert_eq!(list("h8s.ws.ws.example.app._.>").await.lines().count(), 3);
    assert_eq!(list("h8s.ws.ws.example.other.>").await, "");
    let only = list("h8s.ws.ws.example.app._.room.1").await;
    let expected =
        format!("{} app.example /room/1 Some(\"x=y\") h8s.ws.ws.example.app._.room.1 None ", one.id());
    assert!(only.starts_with(&expected) && only.contains("Cookie=a=b"), "{only}");
    assert!(list("*.ws.ws.example.app._.hall.>").await.contains("Some(\"other\")"));
    assert!(list("no subject").await.starts_with("Error::Invalid("));
    drop(two);
    count_is(&edge, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_closed_and_senseless_are_told_apart() {
    let edge = Edge::guests().await;
    let mut client = edge.open("/").await;
    let gone = edge.open("/").await;
    let gone_id = gone.id();
    count_is(&edge, 2).await;
    gone.close(1000, "").await;
    count_is(&edge, 1).await;
    let nobody = "0".repeat(32);
    for (command, told) in [
        (format!("send {nobody} x"), "Error::UnknownConnection"),
        ("send not-an-id x".into(), "Error::UnknownConnection"),
        ("send h8s.> x".into(), "Error::UnknownConnection"),
        (format!("send {gone_id} x"), "Error::ClosedConnection"),
        (format!("close {gone_id} 1000 x"), "Error::ClosedConnection"),
        (format!("join {gone_id} cats"), "Error::ClosedConnection"),
        (format!("leave {nobody} cats"), "Error::UnknownConnection"),
        (format!("close {nobody} 1006 x"), "Error::Invalid("),
        (format!("join {nobody} "), "Error::Invalid("),
        ("broadcast-group  x".into(), "Error::Invalid("),
        ("broadcast-path a x".into(), "Error::Invalid("),
        (format!("large {} {}", client.id(), (1 << 20) + 1), "Error::TooLarge(1048576)"),
        (format!("large {nobody} {}", (1 << 20) + 1), "Error::TooLarge(1048576)"),
    ] {
        let said = client.ask(&command).await;
        assert!(said.starts_with(told), "{command}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t21_a_component_reaches_no_connection_of_a_foreign_host() {
    // given two components for two hosts in one process
    let bus = Bus::embedded().await;
    let both = [
        served("message-guests", "mine.example", Limits::default()).await,
        served("message-guests", "foreign.example", Limits::default()).await,
    ];
    let _responder = respond(&bus.url(), &both).await;
    let requester = gateway(&bus.url()).await;
    websockets_are_known(&requester, "foreign.example").await;
    let foreign = Client::open(&requester, "foreign.example", "/").await;
    let run = async |at: &str, command: &str| post(&requester, at, "/run", command).await.1;
    eventually("its own component knows it", async || run("foreign.example", "count").await == "1").await;
    // when the other component tries, then it is told so
    for command in ["send ID x", "close ID 4000 x", "join ID x", "leave ID x"] {
        let command = command.replace("ID", &foreign.id());
        assert_eq!(run("mine.example", &command).await, "Error::ForeignConnection", "{command}");
    }
    assert_eq!(run("mine.example", "list >").await, "");
    assert_eq!(run("mine.example", "broadcast to mine").await, "done");
    // and nothing comes but what its own component sends
    assert_eq!(run("foreign.example", "broadcast last").await, "done");
    foreign.pushed.are(&["last"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_of_several_hosts_reaches_all_of_them() {
    // given one component for two hosts, with a client at each
    let bus = Bus::embedded().await;
    let one = [served_at("message-guests", &["a.example", "b.example"], Limits::default()).await];
    let _responder = respond(&bus.url(), &one).await;
    let requester = gateway(&bus.url()).await;
    websockets_are_known(&requester, "b.example").await;
    let at_a = Client::open(&requester, "a.example", "/").await;
    let at_b = Client::open(&requester, "b.example", "/").await;
    let run = async |command: &str| post(&requester, "a.example", "/run", command).await.1;
    eventually("both are known", async || run("count").await == "2").await;
    // when, then
    assert_eq!(run(&format!("send {} hello", at_b.id())).await, "done");
    assert_eq!(run("broadcast all").await, "done");
    at_a.pushed.are(&["all"]).await;
    at_b.pushed.are(&["hello", "all"]).await;
    let gone = at_b.id();
    at_b.close(1000, "").await;
    let told = async || run(&format!("send {gone} x")).await == "Error::ClosedConnection";
    eventually("that it is closed is known", told).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t21_a_list_that_no_guest_could_take_is_an_error() {
    // given a component with little memory, and clients with much to say of themselves
    let edge = Edge::of("message-guests", Limits { memory_bytes: 2 << 20, ..Limits::default() }).await;
    let mut clients = Vec::new();
    for n in 0..30 {
        let mut upgrade = upgrade(HOST, if n == 0 { "/one" } else { "/" });
        upgrade.headers_mut().insert("x-large", "x".repeat(40_000).parse().unwrap());
        clients.push(Client::open_with(&edge.requester, HOST, upgrade).await);
    }
    let told = "Error::TooLarge(1048576)";
    eventually("it is too much", async || edge.post("/run", "count").await.1 == told).await;
    // then a part of it can still be had
    let one = edge.post("/run", "list h8s.ws.ws.example.app._.one").await.1;
    assert!(one.contains("/one") && one.len() > 40_000, "{}", one.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn t21_more_than_any_call_may_hand_over_is_a_trap() {
    let edge = Edge::guests().await;
    let mut client = edge.open("/").await;
    client.say(&format!("large {} {}", client.id(), 3 << 20)).await;
    assert_eq!(client.closed().await.code, 1011);
    log::line(&[&log::of(&edge.service), "component failed", "fuel"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t19_a_client_that_does_not_read_makes_its_own_call_wait_and_no_other() {
    // given a client to which more is sent than it may be ahead of its reading
    let edge = Edge::guests().await;
    let (mut slow, mut quick) = (edge.open("/").await, edge.open("/").await);
    slow.say(&format!("flood {} 9000", slow.id())).await;
    eventually("it is under way", async || edge.service.running() == 1).await;
    // when it does not read
    for n in 0..20 {
        assert_eq!(quick.ask(&format!("echo {n}")).await, n.to_string());
    }
    // then its call waits, and nobody else's
    assert_eq!(edge.service.running(), 1);
    // and all is there when it does
    for _ in 0..9000 {
        assert_eq!(slow.hear().await, "flood");
    }
    assert_eq!(slow.hear().await, "all sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn t19_a_client_that_never_reads_costs_its_own_connection() {
    let edge = Edge::guests().await;
    let mut slow = edge.open("/").await;
    slow.say(&format!("flood {} 9000", slow.id())).await;
    eventually("it is under way", async || edge.service.running() == 1).await;
    eventually("its place is given back", async || edge.service.running() == 0).await;
    loop {
        match slow.event().await {
            UpstreamEvent::Message(_) => {}
            event => {
                return assert!(
                    matches!(&event, UpstreamEvent::Close(close) if close.code == 1013),
                    "{event:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn who_imports_no_sender_asks_for_nobody() {
    for (component, sends) in [("hello", false), ("guests", false), ("sender", true), ("original", true)] {
        assert_eq!(served(component, HOST, Limits::default()).await.service.sends(), sends, "{component}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t21_a_flood_ends_at_the_limit() {
    let edge = Edge::of("message-guests", Limits { sends: 100, ..Limits::default() }).await;
    let (mut client, other) = (edge.open("/").await, edge.open("/").await);
    count_is(&edge, 2).await;
    // By request, to somebody else.
    let said = edge.post("/run", &format!("flood {} 1000", other.id())).await.1;
    assert!(said.starts_with("100 sent, then Error::Unavailable("), "{said}");
    eventually("all come", async || other.pushed.texts().len() == 100).await;
    // To its own connection, whose answer is one too many: an error of that message, and no more.
    client.say(&format!("flood {} 1000", client.id())).await;
    for _ in 0..100 {
        assert_eq!(client.hear().await, "flood");
    }
    log::line(&[&log::of(&edge.service), "message not handled", "Unavailable"]).await;
    assert_eq!(client.ask("echo goes on").await, "goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_of_the_original_provider_runs_unchanged() {
    let edge = Edge::of("original", Limits::default()).await;
    let (mut one, other) = (edge.open("/a").await, edge.open("/b").await);
    // A message, as a plain subscriber would have it.
    let described = one.ask("hello").await;
    let expected = format!(
        "hello on h8s.ws.ws.example.app._.a with H8s-Frame=text X-H8s-Connection={} X-H8s-PublishSubject=",
        one.id()
    );
    assert!(described.starts_with(&expected), "{described}");
    // Sent to everybody: to the other by push, to the sender in order.
    eventually("both are known", async || {
        one.say("everybody").await;
        one.hear().await;
        !other.pushed.texts().is_empty()
    })
    .await;
    let stuff = other.pushed.texts().remove(0);
    assert!(stuff.starts_with("stuff for  on h8s.ws.ws.example.app._.b with Cookie=a=b"), "{stuff}");
    assert!(stuff.contains("X-H8s-PublishSubject=h8s.ws.ws.example.app._.b"), "{stuff}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_originals_subjects_have_wildcards_and_its_errors_are_words() {
    let edge = Edge::of("original", Limits::default()).await;
    let (mut one, other) = (edge.open("/a/b").await, edge.open("/b").await);
    eventually("it is known", async || {
        one.say("subject h8s.ws.ws.example.app._.*").await;
        !other.pushed.texts().is_empty()
    })
    .await;
    assert_eq!(one.ask(&format!("to {}", "0".repeat(32))).await, "there is no such connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn posting_pushes_to_everybody_of_a_subject() {
    // given a chat and a sender beside it, for the same host
    let bus = Bus::embedded().await;
    let mut sender = served("sender", HOST, Limits::default()).await;
    sender.interests.iter_mut().for_each(|interest| interest.path = "/send/*".parse().unwrap());
    let both = [served("websocket-echo", HOST, Limits::default()).await, sender];
    let _responder = respond(&bus.url(), &both).await;
    let requester = gateway(&bus.url()).await;
    websockets_are_known(&requester, HOST).await;
    let (room, hall) =
        (Client::open(&requester, HOST, "/room").await, Client::open(&requester, HOST, "/hall").await);
    // when
    let post = async |path: &str, body: &str| post(&requester, HOST, path, body).await;
    eventually("both are reached", async || {
        post("/send", "to all").await == (StatusCode::OK, "{\"failed\":[],\"sent\":2}\n".into())
    })
    .await;
    let to_room = post("/send?subject=h8s.ws.ws.example.app._.r%6Fom", "to the room").await.1;
    let to_hall = post("/send/x?path=%2Fhall", "to the hall").await.1;
    // then
    assert_eq!([to_room, to_hall], ["{\"failed\":[],\"sent\":1}\n", "{\"failed\":[],\"sent\":1}\n"]);
    assert_eq!(post("/send?subject=a..b", "nobody").await.0, StatusCode::BAD_REQUEST);
    eventually("all come", async || room.pushed.texts().last().is_some_and(|last| last == "to the room"))
        .await;
    eventually("all come", async || hall.pushed.texts().last().is_some_and(|last| last == "to the hall"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_tells_everybody_who_is_there_and_what_they_say() {
    let edge = Edge::of("chat", Limits::default()).await;
    let mut ann = edge.open("/room").await;
    let welcome: serde_json::Value = serde_json::from_str(&ann.hear().await).unwrap();
    assert_eq!((&welcome["kind"], &welcome["people"]), (&"welcome".into(), &1.into()));
    eventually("the list is there", async || edge.service.open_websockets() == 1).await;
    let mut bob = edge.open("/room").await;
    let elsewhere = edge.open("/other").await;
    let welcome: serde_json::Value = serde_json::from_str(&bob.hear().await).unwrap();
    // when one of them says something that looks like HTML
    bob.say("<b>hi</b>").await;
    let last = |client: &Client| -> serde_json::Value {
        client.pushed.texts().last().map_or_else(Default::default, |last| serde_json::from_str(last).unwrap())
    };
    // then both hear it under the same name, as it is
    for client in [&ann, &bob] {
        eventually("it is heard", async || last(client)["kind"] == "message").await;
        assert_eq!((&last(client)["text"], &last(client)["name"]), (&"<b>hi</b>".into(), &welcome["name"]));
    }
    // and who leaves is missed, in the same room only
    bob.close(1001, "").await;
    eventually("it is told", async || last(&ann)["kind"] == "left").await;
    assert_eq!(last(&ann)["name"], welcome["name"]);
    assert!(elsewhere.pushed.texts().iter().all(|text| !text.contains("<b>") && !text.contains("left")));
    let (status, page) = edge.post("/room", "").await;
    assert!(
        status == StatusCode::OK && page.contains("new WebSocket") && !page.contains("innerHTML"),
        "{page}"
    );
}
