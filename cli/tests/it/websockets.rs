//! WebSockets through the real programs, and what they outlive.

use std::ops::Range;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use h8s_nats::{ConnectOptions, Connections};
use h8s_test_support::http_client::{get, post};
use h8s_test_support::websocket_client::{Event, WebSocketClient};
use h8s_test_support::{eventually, over_both_buses, soon, within};
use serde_json::Value;

use crate::programs::{Gateway, Host};

/// A gateway that has gone without a word is noticed after three silent beats of 5 s.
const LEASE: Duration = Duration::from_secs(25);
/// What NATS clients take to come back, and a beat.
const BACK: Duration = Duration::from_secs(30);
/// So many that a list has many pages, and so few that any machine has the descriptors: each costs two on this one.
const MANY: usize = 2_000;

async fn connect(gateway: &Gateway, path: &str) -> WebSocketClient {
    WebSocketClient::connect(&format!("{}{path}", gateway.url)).await
}

async fn connect_many(gateway: &Gateway, path: &str, count: usize) -> Vec<WebSocketClient> {
    let mut clients = Vec::with_capacity(count);
    while clients.len() < count {
        // As many as a listener's backlog takes at once.
        let next = (count - clients.len()).min(100);
        clients.extend(join_all((0..next).map(|_| connect(gateway, path))).await);
    }
    clients
}

/// What is known to somebody who starts now.
async fn connections(nats_url: &str) -> Connections {
    let link = h8s_nats::Bus::connect(ConnectOptions::new(nats_url).unwrap()).await.unwrap();
    Connections::start(link, &["127.0.0.1".parse().unwrap()]).await.unwrap()
}

async fn echoed(client: &mut WebSocketClient, text: &str) {
    assert!(client.text(text).await);
    assert_eq!(client.message().await, Event::Text(text.into()));
}

/// Each client says each number.
async fn say(clients: &mut [WebSocketClient], numbers: Range<u32>) {
    for number in numbers {
        for client in &mut *clients {
            assert!(client.text(&number.to_string()).await);
        }
    }
}

async fn answers_until(client: &mut WebSocketClient, last: u32) -> Vec<u32> {
    let mut answers = Vec::new();
    while answers.last() != Some(&last) {
        match client.next_within(BACK).await {
            Event::Text(text) => answers.push(text.parse().unwrap()),
            event => panic!("{event:?} after {answers:?}"),
        }
    }
    answers
}

/// All in order; twice only what may have been in the hands of the host that was killed.
fn check_answers(answers: &[u32]) {
    let mut without_repeats = answers.to_vec();
    without_repeats.sort_unstable();
    without_repeats.dedup();
    assert_eq!(without_repeats, (0..100).collect::<Vec<_>>(), "{answers:?}");
    let again = answers.windows(2).filter(|pair| pair[1] <= pair[0]).count();
    assert!(again <= 1, "the answers went back more than once: {answers:?}");
}

over_both_buses! {
    async fn what_is_posted_reaches_everybody(bus) {
        // given two gateways with a client each, and a component that pushes
        let _host = Host::start(&bus.url(), &[("/room/*", "websocket-echo"), ("/send", "sender")], &[]).await;
        let (one, other) = (Gateway::start(&bus.url(), &[]).await, Gateway::start(&bus.url(), &[]).await);
        let mut clients = [connect(&one, "/room/1").await, connect(&other, "/room/2").await];
        let list = async || serde_json::from_slice::<Vec<Value>>(&one.get("/send").await.2).unwrap();
        eventually("the component knows both", async || list().await.len() == 2).await;
        // when
        let (status, _, body) = post(&format!("{}/send", one.url), "hello").await;
        // then
        assert_eq!((status.as_u16(), body.as_ref()), (200, &b"{\"failed\":[],\"sent\":2}\n"[..]));
        for client in &mut clients {
            assert_eq!(client.message().await, Event::Text("hello".into()));
        }
        post(&format!("{}/send?path=/room/2", one.url), "you").await;
        assert_eq!(clients[1].message().await, Event::Text("you".into()));
        echoed(&mut clients[0], "not for me").await;
    }

    async fn a_killed_host_is_not_noticed(bus) {
        // given conversations with one host, and another in its queue group
        let mut owner = Host::start(&bus.url(), &[("/*", "websocket-echo")], &[]).await;
        let gateway = Gateway::start(&bus.url(), &[]).await;
        let mut clients = connect_many(&gateway, "/", 20).await;
        for client in &mut clients {
            echoed(client, "before").await;
        }
        let _another = Host::start(&bus.url(), &[("/*", "websocket-echo")], &[]).await;
        // when the one is killed while messages come
        say(&mut clients, 0..50).await;
        owner.process.kill().await;
        say(&mut clients, 50..100).await;
        // then nobody is disconnected, and nothing is lost
        for client in &mut clients {
            let answers = answers_until(client, 99).await;
            check_answers(&answers);
            echoed(client, "after").await;
        }
    }

    async fn a_host_that_drains_is_not_noticed(bus) {
        let mut leaving = Host::start(&bus.url(), &[("/*", "websocket-echo")], &[]).await;
        let gateway = Gateway::start(&bus.url(), &[]).await;
        let mut client = connect(&gateway, "/").await;
        echoed(&mut client, "before").await;
        let _staying = Host::start(&bus.url(), &[("/*", "websocket-echo")], &[]).await;

        leaving.process.terminate();
        for number in 0..200 {
            echoed(&mut client, &number.to_string()).await;
        }

        assert!(leaving.process.wait_for_exit().await.success());
        echoed(&mut client, "after").await;
    }

    async fn a_restart_of_nats_is_not_noticed(mut bus) {
        // given a conversation
        let _host = Host::start(&bus.url(), &[("/*", "websocket-echo")], &[]).await;
        let gateway = Gateway::start(&bus.url(), &[]).await;
        let mut client = connect(&gateway, "/").await;
        echoed(&mut client, "before").await;
        // when NATS goes away, and something is said meanwhile
        bus.stop().await;
        eventually("the gateway has noticed", async || !gateway.is_ready().await).await;
        client.text("meanwhile").await;
        assert_eq!(client.until_pong().await, []);
        bus.restart().await;
        // then it goes on by itself
        assert_eq!(client.next_within(BACK).await, Event::Text("meanwhile".into()));
        echoed(&mut client, "after").await;
    }

    async fn a_killed_gateway_takes_its_connections_with_it(bus) {
        let _host = Host::start(&bus.url(), &[("/*", "websocket-echo")], &[]).await;
        let (mut doomed, staying) = (Gateway::start(&bus.url(), &[]).await, Gateway::start(&bus.url(), &[]).await);
        let (mut lost, _kept) = (connect_many(&doomed, "/", 30).await, connect_many(&staying, "/", 20).await);
        let registry = connections(&bus.url()).await;
        assert_eq!(registry.len(), 50);

        doomed.process.kill().await;

        for client in &mut lost {
            assert!(matches!(client.message().await, Event::End | Event::Reset));
        }
        within(LEASE, async {
            while registry.len() != 20 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_starts_late_knows_everybody() {
    // given thousands of connections
    let bus = h8s_test_support::Bus::real().await;
    let _host = Host::start(&bus.url(), &[("/*", "websocket-echo")], &[]).await;
    let gateway = Gateway::start(&bus.url(), &["--max-connections-per-address", "10000"]).await;
    let clients = connect_many(&gateway, "/", MANY).await;
    // when somebody starts who wants to know
    let begin = Instant::now();
    let registry = connections(&bus.url()).await;
    let took = begin.elapsed();
    let _late = Host::start(&bus.url(), &[("/send", "sender")], &[]).await;
    let list = soon(get(&format!("{}/send", gateway.url))).await.2;
    // then they know at once
    assert_eq!(registry.len(), MANY);
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(serde_json::from_slice::<Vec<Value>>(&list).unwrap().len(), MANY);
    drop(clients);
    eventually("all are gone again", async || registry.is_empty()).await;
}
