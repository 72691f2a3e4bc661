//! T14 and T15: the permissions that `h8s permissions` prints suffice for a daemon, and give another host's daemon no
//! access.

use futures_util::StreamExt as _;
use h8s_test_support::NatsServer;
use h8s_test_support::process::Process;
use h8s_test_support::raw_origin::{RawOrigin, ServingOrigin};
use h8s_test_support::websocket_client::WebSocketClient;
use h8s_test_support::{Tool, needs};

use super::echoing_origin;
use crate::nats_users::{self, assert_all_granted, flags, user};
use crate::programs::{Daemon, Gateway, h8srd};
use crate::security::Attacker;

/// The host of the clients, whose reversal is itself.
const OURS: &str = "127.0.0.1";

async fn server() -> NatsServer {
    let [ours, tenant] = [("ours", OURS), ("tenant", "tenant.example")]
        .map(|(name, host)| user(name, &format!("--role daemon --host {host}")));
    nats_users::server(&[user("gate", "--role gateway"), ours, tenant]).await
}

/// A gateway, and a daemon with a backend, each with the permissions of its role.
async fn fixture() -> (NatsServer, ServingOrigin, Gateway, Daemon) {
    let (nats, origin) = (server().await, echoing_origin().await);
    let daemon = Daemon::start(&nats.url(), &origin.url(), &flags("ours")).await;
    let gateway = Gateway::start(&nats.url(), &flags("gate")).await;
    (nats, origin, gateway, daemon)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t14_the_least_rights_are_enough() {
    needs!(Tool::NatsServer);
    // given a gateway and a daemon with no other permissions
    let (nats, _origin, gateway, mut daemon) = fixture().await;
    // when they do everything: requests, uploads, refused WebSockets, clients that leave, and an end
    for path in ["/", "/a/b?c", "/%3E/*/$SYS.x"] {
        assert_eq!(gateway.status(path).await, 200);
    }
    let upload = format!("{}/up", gateway.url);
    assert_eq!(h8s_test_support::http_client::post(&upload, vec![7; 3_000_000]).await.0, 200);
    let refused = WebSocketClient::upgrade(&format!("{}/ws", gateway.url)).send().await;
    assert!(refused.is_err());
    daemon.process.terminate();
    assert!(daemon.process.wait_for_exit().await.success());
    // then nothing was denied
    assert_all_granted(&nats);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t14_a_queue_group_in_the_permissions_is_enough() {
    needs!(Tool::NatsServer);
    // given a user that may subscribe to requests in one queue group only
    let in_group = user("ours", &format!("--role daemon --host {OURS} --queue-group shop"));
    let nats = nats_users::server(&[user("gate", "--role gateway"), in_group]).await;
    let origin = echoing_origin().await;
    // then a daemon of that group serves
    let daemon_flags = [&flags("ours")[..], &["--queue-group", "shop"]].concat();
    let _daemon = Daemon::start(&nats.url(), &origin.url(), &daemon_flags).await;
    let gateway = Gateway::start(&nats.url(), &flags("gate")).await;
    assert_eq!(gateway.get("/x").await.2, "GET /x");
    assert_all_granted(&nats);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t15_a_tenant_s_daemon_does_not_answer_for_another_host() {
    needs!(Tool::NatsServer);
    // given the host's daemon, and a tenant's daemon for the same host
    let (nats, origin, gateway, _daemon) = fixture().await;
    let evil = RawOrigin::answering(super::ok("evil")).await;
    let mut command = h8srd(&["--nats-url", &nats.url(), "--hostname", OURS, "--backend-url", &evil.url()]);
    let mut forger = Process::start(command.args(flags("tenant")));
    // then the latter reports the denial, and ends
    assert!(!forger.wait_for_exit().await.success());
    assert!(forger.output().contains("NATS does not let this user"), "{}", forger.output());
    // and clients are answered by the host's backend
    for _ in 0..50 {
        assert_eq!(gateway.get("/x").await.2, "GET /x");
    }
    assert_eq!((origin.requests().len(), evil.connections()), (50, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t14_a_tenant_sees_and_changes_nothing_of_ours() {
    needs!(Tool::NatsServer);
    let (nats, origin, gateway, _daemon) = fixture().await;
    let tenant = Attacker::connect(&nats, "tenant").await;
    let subscriptions = [
        "h8s.http.*.127.0.0.1._",
        "h8s.http.*.127.0.0.1._.>",
        "h8s.http.>",
        "h8s.x.ANY.127.0.0.1._.%2A",
        "h8s.x.WS.127.0.0.1._.%2A",
        "h8s.x.>",
        "h8s.inbox.r.127.0.0.1._.>",
        "h8s.inbox.gw.>",
        "h8s.>",
        ">",
    ]
    .map(str::to_owned);
    let mut subscribers = Vec::new();
    for subject in &subscriptions {
        subscribers.push(tenant.client.subscribe(subject.clone()).await.unwrap());
    }
    let attempts = [
        "h8s.x.ANY.127.0.0.1._.%2A",
        "h8s.http.GET.127.0.0.1._",
        "h8s.inbox.r.127.0.0.1._.closed.x",
        "h8s.control.interest.register.127.0.0.1",
        "h8s.control.interest.unregister.127.0.0.1",
    ]
    .map(str::to_owned);
    for subject in &attempts {
        tenant.client.publish(subject.clone(), "forged".into()).await.unwrap();
    }

    tenant.is_denied("subscription", &subscriptions).await;
    tenant.is_denied("publish", &attempts).await;

    assert_eq!(gateway.get("/x").await.2, "GET /x");
    assert_eq!(origin.requests().len(), 1);
    for (mut messages, subject) in subscribers.into_iter().zip(&subscriptions) {
        let next = tokio::time::timeout(std::time::Duration::ZERO, messages.next()).await;
        assert!(matches!(next, Err(_) | Ok(None)), "{subject}: {next:?}");
    }
}
