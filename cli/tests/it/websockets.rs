//! WebSockets through the real programs, and failures that they survive.

use std::ops::Range;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use h8s_nats::{ConnectOptions, Connections};
use h8s_test_support::http_client::{get, post};
use h8s_test_support::websocket_client::{Event, WebSocketClient};
use h8s_test_support::{Tool, eventually, needs, over_both_buses, soon, within};
use serde_json::Value;

use crate::programs::{Gateway, Host};

/// A gateway that vanishes is detected after three missed beats of 5 s.
const LEASE: Duration = Duration::from_secs(25);
/// How long NATS clients take to reconnect, and a beat.
const RECONNECT_DEADLINE: Duration = Duration::from_secs(30);
/// Enough for many pages of a list, but within the descriptors of any machine: each connection costs two.
const MANY: usize = 2_000;

async fn connect(gateway: &Gateway, path: &str) -> WebSocketClient {
    WebSocketClient::connect(&format!("{}{path}", gateway.url)).await
}

async fn connect_many(gateway: &Gateway, path: &str, count: usize) -> Vec<WebSocketClient> {
    let mut clients = Vec::with_capacity(count);
    while clients.len() < count {
        // At most a listener's backlog at once.
        let next = (count - clients.len()).min(100);
        clients.extend(join_all((0..next).map(|_| connect(gateway, path))).await);
    }
    clients
}

/// A registry that starts now.
async fn connections(nats_url: &str) -> Connections {
    let link = h8s_nats::Bus::connect(ConnectOptions::new(nats_url).unwrap()).await.unwrap();
    Connections::start(link, &["127.0.0.1".parse().unwrap()]).await.unwrap()
}

async fn echoed(client: &mut WebSocketClient, text: &str) {
    assert!(client.text(text).await);
    assert_eq!(client.message().await, Event::Text(text.into()));
}

/// Each client sends each number.
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
        match client.next_within(RECONNECT_DEADLINE).await {
            Event::Text(text) => answers.push(text.parse().unwrap()),
            event => panic!("{event:?} after {answers:?}"),
        }
    }
    answers
}

/// All in order. Only messages that the killed host may have been handling are repeated.
fn check_answers(answers: &[u32]) {
    let mut without_repeats = answers.to_vec();
    without_repeats.sort_unstable();
    without_repeats.dedup();
    assert_eq!(without_repeats, (0..100).collect::<Vec<_>>(), "{answers:?}");
    let again = answers.windows(2).filter(|pair| pair[1] <= pair[0]).count();
    assert!(again <= 1, "the answers went back more than once: {answers:?}");
}

over_both_buses! {
    async fn a_post_reaches_all_clients(bus) {
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

    async fn clients_continue_when_a_host_is_killed(bus) {
        // given connections served by one host, and another host in its queue group
        let mut owner = Host::start(&bus.url(), &[("/*", "websocket-echo")], &[]).await;
        let gateway = Gateway::start(&bus.url(), &[]).await;
        let mut clients = connect_many(&gateway, "/", 20).await;
        for client in &mut clients {
            echoed(client, "before").await;
        }
        let _another = Host::start(&bus.url(), &[("/*", "websocket-echo")], &[]).await;
        // when the first is killed while messages arrive
        say(&mut clients, 0..50).await;
        owner.process.kill().await;
        say(&mut clients, 50..100).await;
        // then no client is disconnected, and nothing is lost
        for client in &mut clients {
            let answers = answers_until(client, 99).await;
            check_answers(&answers);
            echoed(client, "after").await;
        }
    }

    async fn clients_continue_when_a_host_drains(bus) {
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

    async fn clients_continue_when_nats_restarts(mut bus) {
        // given a connection
        let _host = Host::start(&bus.url(), &[("/*", "websocket-echo")], &[]).await;
        let gateway = Gateway::start(&bus.url(), &[]).await;
        let mut client = connect(&gateway, "/").await;
        echoed(&mut client, "before").await;
        // when NATS stops, and a message is sent meanwhile
        bus.stop().await;
        eventually("the gateway has noticed", async || !gateway.is_ready().await).await;
        client.text("meanwhile").await;
        assert_eq!(client.until_pong().await, []);
        bus.restart().await;
        // then it continues
        assert_eq!(client.next_within(RECONNECT_DEADLINE).await, Event::Text("meanwhile".into()));
        echoed(&mut client, "after").await;
    }

    async fn connections_of_a_killed_gateway_are_removed(bus) {
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
async fn a_host_that_starts_late_knows_all_connections() {
    needs!(Tool::NatsServer);
    // given thousands of connections
    let bus = h8s_test_support::Bus::real().await;
    let _host = Host::start(&bus.url(), &[("/*", "websocket-echo")], &[]).await;
    let gateway = Gateway::start(&bus.url(), &["--max-connections-per-address", "10000"]).await;
    let clients = connect_many(&gateway, "/", MANY).await;
    // when a registry and a host start
    let begin = Instant::now();
    let registry = connections(&bus.url()).await;
    let took = begin.elapsed();
    let _late = Host::start(&bus.url(), &[("/send", "sender")], &[]).await;
    let list = soon(get(&format!("{}/send", gateway.url))).await.2;
    // then both know all connections at once
    assert_eq!(registry.len(), MANY);
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(serde_json::from_slice::<Vec<Value>>(&list).unwrap().len(), MANY);
    drop(clients);
    eventually("all are removed", async || registry.is_empty()).await;
}
