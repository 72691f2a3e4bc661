//! A gateway's threads share its clients, each with its own connections to NATS.

use h8s_test_support::eventually;
use h8s_test_support::http_client::{self, HttpClient, empty};
use h8s_test_support::{Tool, needs};
use http::Request;

use crate::monitored::Monitored;
use crate::programs::{Gateway, Host};

const THREADS: usize = 3;
const CLIENTS: usize = 2 * THREADS;
const REQUESTS_EACH: u64 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threads_share_clients_evenly_and_have_the_same_interests() {
    needs!(Tool::NatsServer);
    // given a gateway with three threads
    let server = Monitored::start().await;
    let _host = Host::start(&server.nats.url(), &[("/*", "hello")], &[]).await;
    let gateway = Gateway::start(&server.nats.url(), &["--threads", &THREADS.to_string()]).await;
    let metrics = format!("{}/metrics", gateway.operators);
    let says = async |line: &str| {
        let (_, _, page) = http_client::get(&metrics).await;
        String::from_utf8(page.to_vec()).unwrap().contains(&format!("\nh8s_ingress_{line}\n"))
    };
    // when clients with persistent connections send requests
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = HttpClient::http1(&gateway.url).await;
        for _ in 0..REQUESTS_EACH {
            assert_eq!(client.exchange(Request::get("/").body(empty()).unwrap()).await.0, 200);
        }
        clients.push(client);
    }
    // then each thread has forwarded the requests of two of them
    let connections = server.gateway_connections().await;
    let shares = connections.iter().filter(|each| each.name.ends_with(" native")).map(|each| each.published);
    let shares: Vec<u64> = shares.collect();
    let fair = 2 * REQUESTS_EACH..3 * REQUESTS_EACH;
    assert!(shares.len() == THREADS && shares.iter().all(|share| fair.contains(share)), "{connections:?}");
    // and shared state is counted once
    assert!(says("interests 1").await && says("nats_connected 1").await);
    assert!(says(&format!("connections {CLIENTS}")).await);

    drop(clients);
    eventually("their connections are closed", async || says("connections 0").await).await;
}
