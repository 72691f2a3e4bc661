//! The example of a plain responder for WebSockets, on an independent NATS client (nats-py).

use std::path::Path;

use h8s_test_support::over_both_buses;
use h8s_test_support::process::Process;
use h8s_test_support::python::python;
use h8s_test_support::websocket_client::{Event, WebSocketClient};
use h8s_test_support::{Tool, needs};

use crate::programs::Gateway;

async fn responder(nats_url: &str) -> Process {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/plain-websocket.py");
    let mut responder = python().start_script(script.to_str().unwrap(), &[nats_url, "localhost"]);
    responder.wait_for_line("answering ws://localhost/").await;
    responder
}

async fn connect(gateway: &Gateway, path: &str) -> WebSocketClient {
    let upgrade = WebSocketClient::upgrade(&format!("{}{path}", gateway.url)).host("localhost");
    upgrade.send().await.unwrap()
}

over_both_buses! {
    async fn an_independent_client_answers_and_pushes(bus) {
        needs!(Tool::Python);
        let mut responder = responder(&bus.url()).await;
        let gateway = Gateway::start(&bus.url(), &[]).await;
        let (mut one, mut other) = (connect(&gateway, "/").await, connect(&gateway, "/deep/er").await);

        one.text("hällo").await;
        assert_eq!(one.message().await, Event::Text("you said: hällo".into()));
        other.binary([1, 2, 0xff]).await;
        assert_eq!(other.message().await, Event::Binary(vec![0xff, 2, 1]));
        for client in [&mut one, &mut other] {
            assert_eq!(client.message().await, Event::Text("still here".into()));
        }

        responder.terminate();
        assert!(responder.wait_for_exit().await.success());
        one.text("no responder receives this").await;
        assert!(matches!(one.message().await, Event::Close(1011, _)));
        one.close(1011, "").await;
        assert_eq!(one.rest().await, [Event::End]);
    }
}
