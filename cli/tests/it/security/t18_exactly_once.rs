//! T18: several responders, and every request is executed once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt as _;
use h8s_test_support::http_client::{HttpClient, empty};
use h8s_test_support::{eventually, over_both_buses};
use http::Request;

use crate::programs::{Gateway, Host};

const REQUESTS: usize = 120;
const CLIENTS: usize = 4;

/// Sends all the requests, and checks that each is answered.
async fn send(url: &str, path: &'static str) {
    let clients = (0..CLIENTS).map(|_| {
        let url = url.to_owned();
        tokio::spawn(async move {
            let mut client = HttpClient::http1(&url).await;
            for _ in 0..REQUESTS / CLIENTS {
                assert_eq!(client.exchange(Request::get(path).body(empty()).unwrap()).await.0, 200);
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
}

over_both_buses! {
    async fn t18_three_hosts_share_the_requests(bus) {
        // given three hosts with a component that logs a line for every request
        let mut hosts = Vec::new();
        for _ in 0..3 {
            hosts.push(Host::start(&bus.url(), &[("/*", "guests")], &[]).await);
        }
        let gateway = Gateway::start(&bus.url(), &[]).await;
        // when
        send(&gateway.url, "/print").await;
        // then there are as many lines as requests
        let executed = |host: &Host| host.process.output().matches("to standard output").count();
        let all = || hosts.iter().map(executed).sum::<usize>();
        eventually("all were executed", async || all() >= REQUESTS).await;
        // and the same count after every host has ended
        for host in &mut hosts {
            host.process.terminate();
            assert!(host.process.wait_for_exit().await.success());
        }
        let counts: Vec<usize> = hosts.iter().map(executed).collect();
        assert_eq!(counts.iter().sum::<usize>(), REQUESTS, "{counts:?}");
        assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    }

    async fn t18_plain_responders_of_one_queue_group_share_the_requests(bus) {
        // given three subscribers that count
        let count = Arc::new(AtomicUsize::new(0));
        for _ in 0..3 {
            let client = async_nats::connect(bus.url()).await.unwrap();
            let mut requests = client.queue_subscribe("h8s.http.>", "h8s".into()).await.unwrap();
            client.flush().await.unwrap();
            let count = count.clone();
            tokio::spawn(async move {
                while let Some(request) = requests.next().await {
                    count.fetch_add(1, Ordering::Relaxed);
                    client.publish(request.reply.unwrap(), "answer".into()).await.unwrap();
                }
            });
        }
        let gateway = Gateway::start(&bus.url(), &[]).await;
        // when
        send(&gateway.url, "/x").await;
        // then
        assert_eq!(count.load(Ordering::Relaxed), REQUESTS);
    }
}
