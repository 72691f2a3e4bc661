//! Which of several responders gets an exchange, and how a permission names their queue group.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use h8s_nats::{ConnectOptions, ExchangeError, Requester, RequesterConfig, Responder, StartError};
use h8s_test_support::{NatsServer, Tool, needs};
use http::Response;

use crate::fixture::{
    Bus, eventually, exchange, full, get, host, interest, link, over_both_buses, requester, service,
};

/// Counts its executions.
async fn counting(link: h8s_nats::Bus, group: &str, executed: &Arc<AtomicUsize>) -> Responder {
    try_counting(link, group, executed).await.unwrap()
}

async fn try_counting(
    link: h8s_nats::Bus,
    group: &str,
    executed: &Arc<AtomicUsize>,
) -> Result<Responder, StartError> {
    let executed = executed.clone();
    let count = service(move |_| {
        executed.fetch_add(1, Ordering::Relaxed);
        async { Ok(Response::new(full("done"))) }
    });
    let builder = Responder::builder(link).serve(interest("/*"), count);
    builder.queue_group(group).start().await
}

async fn ask_plainly(bus: &Bus) {
    let client = async_nats::connect(bus.url()).await.unwrap();
    client.request("h8s.http.GET.example.app._", "".into()).await.unwrap();
}

over_both_buses! {
    async fn members_of_a_group_share_exchanges_in_both_dialects(bus) {
        let executed = Arc::new(AtomicUsize::new(0));
        let _first = counting(link(&bus.url()).await, "team", &executed).await;
        let _second = counting(link(&bus.url()).await, "team", &executed).await;
        let requester = requester(&bus.url()).await;

        for _ in 0..20 {
            exchange(&requester, get("/")).await;
            ask_plainly(&bus).await;
        }

        assert_eq!(executed.load(Ordering::Relaxed), 40);
    }

    async fn each_of_two_queue_groups_executes_the_request(bus) {
        let executed = Arc::new(AtomicUsize::new(0));
        let _first = counting(link(&bus.url()).await, "one", &executed).await;
        let _second = counting(link(&bus.url()).await, "other", &executed).await;
        let requester = requester(&bus.url()).await;

        exchange(&requester, get("/")).await;
        ask_plainly(&bus).await;

        eventually("both have", async || executed.load(Ordering::Relaxed) == 4).await;
    }

    async fn an_invalid_queue_group_name_fails_the_start(bus) {
        let nothing = service(|_| async { Ok(Response::new(full(""))) });
        let builder = Responder::builder(link(&bus.url()).await).serve(interest("/*"), nothing);

        let error = builder.queue_group("a b").start().await.unwrap_err();

        assert!(matches!(error, StartError::QueueGroup(_)) && error.to_string().contains("\"a b\""), "{error}");
    }
}

#[tokio::test]
async fn t14_a_permission_may_name_the_group() {
    needs!(Tool::NatsServer);
    let users = r#"authorization { users: [
        { user: gateway, password: x }
        { user: team, password: x, permissions: {
            publish: ["h8s.inbox.gw.>", "h8s.inbox.r.example.app._.>", "h8s.control.interest.*.example.app"]
            subscribe: ["h8s.x.*.example.app._.> team", "h8s.http.*.example.app._ team", "h8s.http.*.example.app._.> team",
                        "h8s.inbox.r.example.app._.>", "h8s.control.interest.list"]
        } }
    ] }"#;
    let server = NatsServer::with_config(users).await;
    let link = async |user: &str| {
        let config = ConnectOptions::new(&server.url()).unwrap().user(user, "x");
        h8s_nats::Bus::connect(config).await.unwrap()
    };
    let requester = Requester::start(link("gateway").await, RequesterConfig::default()).await.unwrap();
    let executed = Arc::new(AtomicUsize::new(0));

    let foreign = try_counting(link("team").await, "h8s", &executed).await;
    assert!(matches!(foreign, Err(StartError::Denied(_))), "{foreign:?}");
    let denied = requester.send(&host(), get("/")).await;
    assert!(matches!(denied, Err(ExchangeError::NoResponders)), "{denied:?}");
    let _member = counting(link("team").await, "team", &executed).await;

    assert_eq!(exchange(&requester, get("/")).await.body(), "done");
}
