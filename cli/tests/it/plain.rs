//! The example of a plain responder, on an independent NATS client (nats-py).

use std::path::Path;

use h8s_test_support::http_client::{self, full};
use h8s_test_support::process::Process;
use h8s_test_support::python::python;
use h8s_test_support::{Tool, eventually, needs, over_both_buses};
use http::Request;

use crate::programs::{Dev, Gateway, component};

async fn responder(nats_url: &str) -> Process {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/plain-responder.py");
    let mut responder = python().start_script(script.to_str().unwrap(), &[nats_url, "localhost"]);
    responder.wait_for_line("answering http://localhost/python").await;
    responder
}

async fn ask(url: &str) -> http_client::Answer {
    let request = Request::post(format!("{url}/python/a%20b?x=%2F&y")).header("host", "localhost:8080");
    http_client::exchange(request.body(full("12345")).unwrap()).await
}

fn check((status, headers, body): http_client::Answer) {
    let about: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status.as_u16(), headers["x-powered-by"].to_str().unwrap()), (200, "nats-py"));
    assert_eq!((&about["method"], &about["path"]), (&"POST".into(), &"/python/a%20b".into()));
    assert_eq!((&about["query"], &about["body_bytes"]), (&"x=%2F&y".into(), &5.into()));
    assert!(
        !headers.keys().any(|name| name.as_str().starts_with("nats-") || name == "status-code"),
        "{headers:?}"
    );
}

over_both_buses! {
    async fn an_independent_client_answers(bus) {
        needs!(Tool::Python);
        let mut responder = responder(&bus.url()).await;
        let gateway = Gateway::start(&bus.url(), &["--track-interest"]).await;

        check(ask(&gateway.url).await);

        responder.terminate();
        assert!(responder.wait_for_exit().await.success());
        eventually("its interest is withdrawn", async || ask(&gateway.url).await.0.as_u16() == 404).await;
    }
}

#[tokio::test]
async fn an_independent_client_answers_beside_components_in_development() {
    needs!(Tool::Python);
    // Not at `/*`: the component answers plain requests, too, and NATS would distribute them over both.
    let dev = Dev::start(&[&format!("/hello/*={}", component("hello"))]).await;
    let _responder = responder(&dev.nats_url).await;

    eventually("dev knows its interest", async || ask(&dev.url).await.1.contains_key("x-powered-by")).await;

    for _ in 0..10 {
        check(ask(&dev.url).await);
    }
    assert_eq!(dev.get("/hello").await.0.as_u16(), 200);
}
