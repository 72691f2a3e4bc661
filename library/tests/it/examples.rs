//! Every example of the package, as a process behind a gateway.

use bytes::Bytes;
use h8s_test_support::http_client;
use h8s_test_support::websocket_client::Event;
use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};

use crate::bytes_codec::BytesCodec;
use crate::fixture::{Edge, answer, interrupt, shown};

const HOST: &str = "app.example.com";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn axum_answers_through_the_gateway() {
    let edge = Edge::start().await;
    let example = edge.example("axum", &[]);

    assert_eq!(shown(edge.answer("GET", HOST, "/", "").await), (200, "hello".into()));
    assert_eq!(shown(edge.answer("GET", HOST, "/users/7", "").await), (200, "user 7".into()));
    assert_eq!(shown(edge.answer("POST", HOST, "/echo", "and back").await), (200, "and back".into()));
    assert_eq!(edge.answer("GET", HOST, "/nothing", "").await.0, 404);

    interrupt(example).await;
    edge.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tonic_answers_through_the_gateway() {
    let edge = Edge::start().await;
    let example = edge.example("tonic", &[]);
    let endpoint = Endpoint::from_shared(edge.url.clone()).unwrap();
    let endpoint = endpoint.origin("http://grpc.example.com".parse().unwrap());
    let mut client = Grpc::new(endpoint.connect().await.unwrap());

    edge.served("POST", "grpc.example.com", "/example.Echo/Call").await;
    let message = call(&mut client, "/example.Echo/Call", "a message").await.unwrap();
    let refused = call(&mut client, "/example.Echo/Call", "").await.unwrap_err();
    let unknown = call(&mut client, "/example.Echo/Other", "").await.unwrap_err();

    assert_eq!(message, "a message");
    assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, "the message is empty"));
    assert_eq!(unknown.code(), Code::Unimplemented);
    drop(client);
    interrupt(example).await;
    edge.end().await;
}

async fn call(
    client: &mut Grpc<tonic::transport::Channel>,
    path: &'static str,
    message: &'static str,
) -> Result<Bytes, Status> {
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static(path);
    Ok(client
        .unary(Request::new(Bytes::from_static(message.as_bytes())), path, BytesCodec)
        .await?
        .into_inner())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn websocket_echo_returns_messages_and_push_reaches_its_clients() {
    let edge = Edge::start().await;
    let echo = edge.example("websocket_echo", &[]);
    let mut client = edge.websocket("ws.example.com", "/echo").await;

    assert_eq!(client.protocol(), Some("echo.example"));
    client.text("hello").await;
    assert_eq!(client.next().await, Event::Text("hello".into()));
    client.binary([0, 255]).await;
    assert_eq!(client.next().await, Event::Binary(vec![0, 255]));
    assert_eq!(shown(edge.answer("GET", "ws.example.com", "/", "").await), (200, "open /echo".into()));
    assert_eq!(edge.answer("GET", "ws.example.com", "/echo", "").await.0, 426);

    let mut push = edge.example("push", &["ws.example.com", "a message for all"]);
    assert!(push.wait_for_exit().await.success(), "{}", push.output());
    let listed = push.stdout();
    let (id, path) = listed.trim().split_once(' ').unwrap();
    assert_eq!(path, "/echo");
    let mut pushed = [client.next().await, client.next().await];
    pushed.sort_by_key(|event| format!("{event:?}"));
    let expected = ["a message for all".to_owned(), format!("you are {id}")].map(Event::Text);
    assert_eq!(pushed, expected, "a push may overtake a broadcast");

    client.close(1000, "bye").await;
    assert_eq!(client.rest().await, [Event::Close(1000, "bye".into()), Event::End]);
    interrupt(echo).await;
    edge.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_gateway_answers_by_itself_and_over_nats() {
    let edge = Edge::start().await;
    let service = edge.example("axum", &[]);
    edge.answer("GET", HOST, "/", "").await;
    let mut gateway = edge.example("embedded_gateway", &[]);
    let line = gateway.wait_for_line("listening on").await;
    let url = format!("http://{}", line.rsplit_once(' ').unwrap().1);
    h8s_test_support::eventually("the gateway is ready", async || {
        http_client::get(&format!("{url}/healthz")).await.2 == "ready"
    })
    .await;

    assert_eq!(shown(answer(&url, "GET", HOST, "/users/7", "").await), (200, "user 7".into()));
    assert_eq!(shown(answer(&url, "POST", HOST, "/echo", "and back").await), (200, "and back".into()));
    let (status, head, _) = answer(&url, "GET", "other.example.com", "/", "").await;
    assert_eq!((status.as_u16(), &head["retry-after"]), (503, &"5".parse().unwrap()));

    interrupt(gateway).await;
    interrupt(service).await;
    edge.end().await;
}
