//! `Connections`: what is open, and messages to it.

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::any;
use h8s::{Close, Connections, ConnectionsError, Incoming, Message, PushError, WebSocketUpgrade};
use h8s_test_support::websocket_client::Event;
use h8s_test_support::{eventually, over_both_buses};

use crate::fixture::Edge;

const HOST: &str = "ws.example.com";

async fn quiet(mut request: Request) -> Response {
    let upgrade = WebSocketUpgrade::from_request(&mut request).unwrap();
    upgrade.on_upgrade(async |mut socket| while let Incoming::Message { .. } = socket.next().await {})
}

over_both_buses! {
    async fn messages_reach_one_a_group_a_path_and_all(bus) {
        let edge = Edge::on(bus).await;
        let app = Router::new().route("/a", any(quiet)).route("/b", any(quiet));
        let server = h8s::serve(&edge.connect().await, "WS ws.example.com/*", app).start().await.unwrap();
        let (mut a, mut b) = (edge.websocket(HOST, "/a").await, edge.websocket(HOST, "/b").await);
        let connections = Connections::of(&edge.connect().await, HOST).await.unwrap();
        eventually("both are listed", async || connections.len() == 2).await;
        let id = |path: &str| {
            let entry = connections.list().into_iter().find(|entry| entry.path == path).unwrap();
            entry.connection
        };

        connections.send(id("/a"), Message::text("to a")).await.unwrap();
        assert_eq!(a.next().await, Event::Text("to a".into()));
        connections.join(id("/b"), "editors").await.unwrap();
        connections.broadcast_to_group("editors", Message::text("to editors")).await.unwrap();
        assert_eq!(b.next().await, Event::Text("to editors".into()));
        connections.broadcast_to_path("/a", Message::text("to the path")).await.unwrap();
        assert_eq!(a.next().await, Event::Text("to the path".into()));
        connections.broadcast(Message::text("to all")).await.unwrap();
        assert_eq!(a.next().await, Event::Text("to all".into()));
        assert_eq!(b.next().await, Event::Text("to all".into()));

        connections.close(id("/a"), Close::new(4001, "out")).await.unwrap();
        assert_eq!(a.next().await, Event::Close(4001, "out".into()));
        a.close(4001, "out").await;
        b.close(1000, "").await;
        eventually("none is open", async || connections.is_empty()).await;
        server.shutdown().await;
        edge.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_sent_is_an_error_that_names_it() {
    let bus = h8s_test_support::Bus::embedded().await;
    let connected = h8s::connect(&bus.url()).await.unwrap();
    let connections = Connections::of(&connected, HOST).await.unwrap();

    let path = connections.broadcast_to_path("a", Message::text("")).await.unwrap_err();
    assert!(matches!(&path, PushError::Path { .. }) && path.to_string().contains("\"a\""), "{path}");
    let group = connections.broadcast_to_group("", Message::text("")).await.unwrap_err();
    assert!(matches!(group, PushError::Group { .. }), "{group}");
    let host = Connections::of(&connected, "a..b").await.unwrap_err();
    assert!(matches!(host, ConnectionsError::Host { .. }), "{host}");
}
