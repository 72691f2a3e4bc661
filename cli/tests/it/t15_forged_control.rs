//! T15 and T11: with the rights that `h8s permissions` prints, nobody speaks for a gateway or another host, and nobody
//! listens to another's inbox.

use std::sync::{Arc, Mutex};

use async_nats::{Client, ConnectOptions, Event as NatsEvent};
use futures_util::StreamExt as _;
use h8s_nats::{Bus, Connections};
use h8s_test_support::websocket_client::{Event, WebSocketClient};
use h8s_test_support::{NatsServer, eventually};

use crate::nats_users::{self, PASSWORD, flags, user};
use crate::programs::{Gateway, Host};

/// The host that is attacked, which is its own reversal.
const OURS: &str = "127.0.0.1";

/// A server that knows a gateway, the host's own responder, and another tenant's.
async fn server() -> NatsServer {
    let [ours, tenant] = [("ours", OURS), ("tenant", "tenant.example")]
        .map(|(name, host)| user(name, &format!("--role host --host {host}")));
    nats_users::server(&[user("gate", "--role gateway"), ours, tenant]).await
}

/// A gateway, a component, and a client that talks to it.
struct Stand {
    nats: NatsServer,
    gateway: Gateway,
    _host: Host,
    client: WebSocketClient,
    registry: Connections,
}

impl Stand {
    async fn start() -> Self {
        let nats = server().await;
        let served = [("/*", "websocket-echo"), ("/hello", "hello")];
        let host = Host::start(&nats.url(), &served, &flags("ours")).await;
        let gateway = Gateway::start(&nats.url(), &flags("gate")).await;
        let client = WebSocketClient::connect(&format!("{}/", gateway.url)).await;
        let config = h8s_nats::ConnectOptions::new(&nats.url()).unwrap().user("ours", PASSWORD);
        let registry =
            Connections::start(Bus::connect(config).await.unwrap(), &[OURS.parse().unwrap()]).await;
        Self { nats, gateway, _host: host, client, registry: registry.unwrap() }
    }

    /// What an attacker would have changed.
    async fn check(&mut self) {
        self.client.text("still the same").await;
        assert_eq!(self.client.message().await, Event::Text("still the same".into()));
        assert_eq!(self.gateway.status("/hello").await, 200);
        assert_eq!(self.registry.len(), 1);
    }
}

/// Somebody with credentials, and what the server has denied them.
pub(crate) struct Attacker {
    pub(crate) client: Client,
    denied: Arc<Mutex<Vec<String>>>,
}

impl Attacker {
    pub(crate) async fn connect(nats: &NatsServer, user: &str) -> Self {
        let denied = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&denied);
        let options = ConnectOptions::with_user_and_password(user.into(), PASSWORD.into());
        let options = options.event_callback(move |event| {
            if let NatsEvent::ServerError(error) = event {
                seen.lock().unwrap().push(error.to_string().to_lowercase());
            }
            std::future::ready(())
        });
        Self { client: options.connect(nats.url()).await.unwrap(), denied }
    }

    /// Waits until the server has denied each of these.
    pub(crate) async fn is_denied(&self, verb: &str, subjects: &[String]) {
        for subject in subjects {
            let denial = format!("{verb} to \"{subject}\"");
            eventually(&format!("{denial} is denied"), async || {
                self.denied.lock().unwrap().iter().any(|said| said.contains(&denial.to_lowercase()))
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t15_a_responder_speaks_for_no_gateway_and_no_other_host() {
    let mut stand = Stand::start().await;
    let entry = stand.registry.list(&OURS.parse().unwrap()).remove(0);
    let (connection, gateway) = (entry.connection, entry.gateway);
    let beat = format!(r#"{{"gateway":"{gateway}","revision":9,"count":0}}"#);
    let closed = format!(r#"{{"revision":2,"connection":"{connection}","gateway":"{gateway}","code":1000}}"#);
    let conn = |what: &str| format!("h8s.control.ws.conn.{what}.{OURS}");
    let interest = |what: &str| format!("h8s.control.interest.{what}.{OURS}");
    // The host's own responder is no gateway; another host's is not even that.
    let forged = [(conn("established"), "{}"), (conn("closed"), &closed), (conn("beat"), &beat)];
    let foreign = [
        (interest("register"), r#"{"host":"127.0.0.1","path":"/hello","dialects":["native"]}"#),
        (interest("unregister"), r#"{"host":"127.0.0.1","path":"/*","method":"WS"}"#),
        (conn("list"), ""),
        (format!("h8s.control.ws.broadcast.{OURS}"), "hear me"),
    ];
    for (user, messages) in [("ours", &forged[..]), ("tenant", &forged[..]), ("tenant", &foreign[..])] {
        let attacker = Attacker::connect(&stand.nats, user).await;

        for (subject, payload) in messages {
            attacker.client.publish(subject.clone(), payload.to_string().into()).await.unwrap();
        }

        let subjects: Vec<_> = messages.iter().map(|(subject, _)| subject.clone()).collect();
        attacker.is_denied("publish", &subjects).await;
        stand.check().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t11_nobody_listens_to_anothers_inbox() {
    let mut stand = Stand::start().await;
    let attacker = Attacker::connect(&stand.nats, "tenant").await;
    let subjects = [
        "h8s.inbox.>",
        "h8s.inbox.gw.>",
        "h8s.inbox.gw.*.*.push",
        "h8s.inbox.r.127.0.0.1._.>",
        "h8s.ws.ws.127.0.0.1._.>",
        "h8s.x.*.127.0.0.1._.>",
        "h8s.control.ws.conn.*.127.0.0.1",
        "h8s.control.ws.conn.established.>",
        "_INBOX.>",
        "h8s.>",
        ">",
    ]
    .map(str::to_owned);
    let mut heard = Vec::new();
    for subject in &subjects {
        heard.push(attacker.client.subscribe(subject.clone()).await.unwrap());
    }

    attacker.is_denied("subscription", &subjects).await;
    stand.check().await;

    // A subscription that is denied is one that ends, or stays silent.
    for (mut messages, subject) in heard.into_iter().zip(&subjects) {
        let next = tokio::time::timeout(std::time::Duration::ZERO, messages.next()).await;
        assert!(matches!(next, Err(_) | Ok(None)), "{subject}: {next:?}");
    }
}
