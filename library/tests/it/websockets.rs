//! WebSockets of a service, beyond the example.

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::any;
use h8s::{Close, Incoming, Message, NotAnUpgrade, WebSocketUpgrade};
use h8s_test_support::websocket_client::Event;
use h8s_test_support::{eventually, soon};

use crate::fixture::Edge;

const HOST: &str = "ws.example.com";

/// Greets, and closes after the first message.
async fn greet(mut request: Request) -> Response {
    let upgrade = WebSocketUpgrade::from_request(&mut request).unwrap();
    assert_eq!(WebSocketUpgrade::from_request(&mut request).unwrap_err(), NotAnUpgrade);
    upgrade.on_upgrade(async |mut socket| {
        socket.send(Message::text("welcome")).await.unwrap();
        let Incoming::Message { message, .. } = socket.next().await else { return };
        socket.send(message).await.unwrap();
        socket.close(Close::new(4000, "enough")).await;
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_greets_and_closes() {
    let edge = Edge::start().await;
    let app = Router::new().route("/", any(greet));
    let server = h8s::serve(&edge.connect().await, "WS ws.example.com/*", app).start().await.unwrap();
    let mut client = edge.websocket(HOST, "/").await;

    assert_eq!(client.next().await, Event::Text("welcome".into()));
    client.text("hello").await;
    assert_eq!(client.next().await, Event::Text("hello".into()));
    assert_eq!(client.next().await, Event::Close(4000, "enough".into()));

    client.close(4000, "enough").await;
    eventually("the WebSocket is over", async || server.open_exchanges() == 0).await;
    assert!(soon(server.shutdown()).await);
    edge.end().await;
}

/// Says which process has it.
async fn owner(mut request: Request) -> Response {
    let upgrade = WebSocketUpgrade::from_request(&mut request).unwrap();
    let is_reopened = upgrade.is_reopened();
    upgrade.on_upgrade(async move |mut socket| {
        while let Incoming::Message { .. } = socket.next().await {
            let text = if is_reopened { "reopened" } else { "opened" };
            if socket.send(Message::text(text)).await.is_err() {
                break;
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_moves_to_another_process_at_shutdown() {
    let edge = Edge::start().await;
    let app = Router::new().route("/", any(owner));
    let first = h8s::serve(&edge.connect().await, "WS ws.example.com/*", app.clone()).start().await.unwrap();
    let mut client = edge.websocket(HOST, "/").await;
    client.text("?").await;
    assert_eq!(client.next().await, Event::Text("opened".into()));

    let second = h8s::serve(&edge.connect().await, "WS ws.example.com/*", app).start().await.unwrap();
    assert!(soon(first.shutdown()).await);

    client.text("?").await;
    assert_eq!(client.next().await, Event::Text("reopened".into()));
    client.close(1000, "").await;
    second.shutdown().await;
    edge.end().await;
}
