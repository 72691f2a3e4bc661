//! T14, T15: the permissions that `h8s permissions` prints suffice for each program, and isolate tenants.

use futures_util::StreamExt as _;
use h8s_test_support::http_client::{HttpClient, empty, full};
use h8s_test_support::websocket_client::{Event, WebSocketClient};
use h8s_test_support::{Tool, eventually, needs, soon};
use http::Request;
use serde_json::Value;

use crate::nats_users::{PASSWORD, assert_all_granted, flags, server, user};
use crate::programs::{Gateway, Host};

/// The host of the clients.
const OURS: &str = "127.0.0.1";
const TENANT: &str = "tenant.example";
const SERVED: [(&str, &str); 5] = [
    ("/hello", "hello"),
    ("/echo/*", "echo"),
    ("/room/*", "websocket-echo"),
    ("/chat", "chat"),
    ("/send", "sender"),
];

async fn open(gateway: &Gateway, path: &str) -> WebSocketClient {
    WebSocketClient::connect(&format!("{}{path}", gateway.url)).await
}

async fn echoed(client: &mut WebSocketClient, text: &str) {
    assert!(client.text(text).await);
    assert_eq!(client.message().await, Event::Text(text.into()));
}

/// The connections that a host's `sender` lists.
async fn listed(gateway: &Gateway, host: &str) -> Vec<Value> {
    let request = Request::get("/send").header("host", host).body(empty()).unwrap();
    let answer = HttpClient::http1(&gateway.url).await.exchange(request).await;
    serde_json::from_slice(&answer.2).unwrap_or_else(|_| panic!("{answer:?}"))
}

async fn pushed(gateway: &Gateway, host: &str, text: &'static str) -> Value {
    let request = Request::post("/send").header("host", host).body(full(text)).unwrap();
    let answer = HttpClient::http1(&gateway.url).await.exchange(request).await;
    serde_json::from_slice(&answer.2).unwrap_or_else(|_| panic!("{answer:?}"))
}

/// Everything that a gateway and a host do: requests, uploads beyond a window, WebSockets, lists, pushes.
async fn use_everything(gateway: &Gateway) {
    assert_eq!(gateway.status("/hello").await, 200);
    // Just after a reconnect, the gateway does not know all interests.
    eventually("the path has no responder", async || gateway.status("/unserved").await == 404).await;
    let upload = vec![7; 3_000_000];
    let echo = Request::put("/echo/x").body(full(upload.clone())).unwrap();
    assert!(HttpClient::http1(&gateway.url).await.exchange(echo).await.2 == upload);
    let mut client = open(gateway, "/room/1").await;
    echoed(&mut client, "hello").await;
    eventually("the sender lists it", async || listed(gateway, OURS).await.len() == 1).await;
    assert_eq!(pushed(gateway, OURS, "from outside").await["sent"], 1);
    assert_eq!(client.message().await, Event::Text("from outside".into()));
    client.close(1000, "").await;
    eventually("the sender has removed it", async || listed(gateway, OURS).await.is_empty()).await;
    // Every message of a chat is broadcast to its room.
    let (mut one, mut other) = (open(gateway, "/chat").await, open(gateway, "/chat").await);
    one.text("to all").await;
    for client in [&mut one, &mut other] {
        while !matches!(client.message().await, Event::Text(text) if text.contains("to all")) {}
    }
    drop((one, other));
    eventually("the chat is empty", async || listed(gateway, OURS).await.is_empty()).await;
}

async fn does_all_it_does(gateway_s: &str, gateway_flags: &[&str]) {
    // given a gateway and a host with no other permissions
    let host_s = format!("--role host --host {OURS} --queue-group h8s");
    let mut nats = server(&[user("gate", gateway_s), user("ours", &host_s)]).await;
    let mut host = Host::start(&nats.url(), &SERVED, &flags("ours")).await;
    let gateway_flags = [&flags("gate")[..], &["--track-interest"], gateway_flags].concat();
    let gateway = Gateway::start(&nats.url(), &gateway_flags).await;
    // when they do everything, also after a reconnect, and end
    use_everything(&gateway).await;
    assert_all_granted(&nats);
    nats.restart().await;
    eventually("both have reconnected", async || {
        gateway.is_ready().await && gateway.status("/hello").await == 200
    })
    .await;
    use_everything(&gateway).await;
    host.process.terminate();
    assert!(host.process.wait_for_exit().await.success());
    eventually("the gateway knows that the host has left", async || gateway.status("/hello").await == 404)
        .await;
    // then nothing was denied
    assert_all_granted(&nats);
    for output in [host.process.output(), gateway.process.output()] {
        assert!(!output.contains("does not let"), "{output}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t14_a_gateway_and_a_host_need_no_more_rights() {
    needs!(Tool::NatsServer);
    does_all_it_does("--role gateway", &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t14_a_gateway_of_one_host_needs_no_more_rights() {
    needs!(Tool::NatsServer);
    let role = format!("--role gateway --host {OURS}");
    does_all_it_does(&role, &["--host-filters", OURS]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t14_a_plain_responder_and_an_operator_need_no_more_rights() {
    needs!(Tool::NatsServer);
    // given a plain responder for requests and WebSockets, and an operator that watches
    let [plain, operator] =
        ["plain", "operator"].map(|role| user(role, &format!("--role {role} --host {OURS}")));
    let nats = server(&[user("gate", "--role gateway"), plain, operator]).await;
    let client = async |user: &str| {
        let options = async_nats::ConnectOptions::with_user_and_password(user.into(), PASSWORD.into());
        options.connect(nats.url()).await.unwrap()
    };
    let (plain, operator) = (client("plain").await, client("operator").await);
    let mut requests = plain.queue_subscribe("h8s.http.*.127.0.0.1._.>", "h8s".into()).await.unwrap();
    let mut messages = plain.subscribe("h8s.ws.ws.127.0.0.1._.>").await.unwrap();
    let mut watched = operator.subscribe("h8s.http.*.127.0.0.1._.>").await.unwrap();
    plain.flush().await.unwrap();
    operator.flush().await.unwrap();
    let gateway = Gateway::start(&nats.url(), &flags("gate")).await;
    // when one client sends a request, and another a WebSocket message
    let answering = async {
        let request = requests.next().await.unwrap();
        plain.publish(request.reply.unwrap(), "replied".into()).await.unwrap();
    };
    let ((_, _, answer), ()) = tokio::join!(gateway.get("/x"), soon(answering));
    let mut websocket = open(&gateway, "/room").await;
    websocket.text("hello").await;
    let message = soon(messages.next()).await.unwrap();
    plain.publish(message.reply.unwrap(), "pushed".into()).await.unwrap();
    // then both are answered, and the operator saw both
    assert_eq!((answer.as_ref(), websocket.message().await), (&b"replied"[..], Event::Text("pushed".into())));
    assert_eq!(soon(watched.next()).await.unwrap().subject.as_str(), "h8s.http.GET.127.0.0.1._.x");
    assert_all_granted(&nats);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t15_a_tenants_component_reaches_none_of_our_websockets() {
    needs!(Tool::NatsServer);
    // given two tenants' hosts behind one gateway, and a WebSocket of each
    let [ours, tenant] = [("ours", OURS), ("tenant", TENANT)]
        .map(|(name, host)| user(name, &format!("--role host --host {host}")));
    let nats = server(&[user("gate", "--role gateway"), ours, tenant]).await;
    let _ours = Host::start(&nats.url(), &SERVED, &flags("ours")).await;
    let _tenant = Host::serving(&nats.url(), TENANT, &SERVED, &flags("tenant")).await;
    let gateway = Gateway::start(&nats.url(), &flags("gate")).await;
    let mut our_client = open(&gateway, "/room/1").await;
    let upgrade = WebSocketClient::upgrade(&format!("{}/room/1", gateway.url)).host(TENANT);
    let mut tenants_client = upgrade.send().await.unwrap();
    eventually("the first is listed", async || listed(&gateway, OURS).await.len() == 1).await;
    eventually("the second is listed", async || listed(&gateway, TENANT).await.len() == 1).await;
    // when the second tenant's component lists, and sends to all
    let listed_by_tenant = listed(&gateway, TENANT).await;
    assert_eq!(pushed(&gateway, TENANT, "from the tenant").await["sent"], 1);
    // then it has listed and reached only its own
    assert_eq!(listed_by_tenant[0]["subject"], "h8s.ws.ws.example.tenant._.room.1");
    assert_eq!(tenants_client.message().await, Event::Text("from the tenant".into()));
    echoed(&mut our_client, "still alone").await;
    assert_all_granted(&nats);
}
