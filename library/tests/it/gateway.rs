//! `Gateway`, beyond the example.

use axum::Router;
use axum::extract::Request as AxumRequest;
use axum::routing::any;
use bytes::Bytes;
use h8s::{ExchangeError, Gateway, GatewayError};
use h8s_test_support::{Bus, eventually};
use http::Request;
use http_body_util::{BodyExt as _, Full};

async fn ready_gateway(bus: &h8s::Bus) -> Gateway {
    let gateway = Gateway::start(bus).await.unwrap();
    eventually("the gateway is ready", async || gateway.is_ready()).await;
    gateway
}

fn request(host: &str) -> Request<Full<Bytes>> {
    Request::post("/path?query").header("host", host).body(Full::from("body")).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_arrives_whole_and_without_the_fields_of_one_hop() {
    let bus = Bus::embedded().await;
    let connected = h8s::connect(&bus.url()).await.unwrap();
    let app = Router::new().fallback(any(async |request: AxumRequest| {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let hop = head.headers.contains_key("connection") || head.headers.contains_key("x-h8s-test");
        format!("{} {} {} {hop}", head.method, head.uri, body.escape_ascii())
    }));
    let server = h8s::serve(&connected, "app.example.com/*", app).start().await.unwrap();
    let gateway = ready_gateway(&connected).await;

    let mut sent = request("app.example.com");
    sent.headers_mut().insert("connection", "close".parse().unwrap());
    sent.headers_mut().insert("x-h8s-test", "1".parse().unwrap());
    let response = gateway.send(sent).await.unwrap();

    let text = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(text, "POST http://app.example.com/path?query body false");
    server.shutdown().await;
    assert!(gateway.drain(std::time::Duration::from_secs(5)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_are_typed() {
    let bus = Bus::embedded().await;
    let gateway = ready_gateway(&h8s::connect(&bus.url()).await.unwrap()).await;

    let nobody = gateway.send(request("app.example.com")).await.unwrap_err();
    assert!(matches!(nobody, GatewayError::Exchange(ExchangeError::NoResponders)), "{nobody}");
    let invalid = gateway.send(request("a..b")).await.unwrap_err();
    assert!(matches!(invalid, GatewayError::Host(_)), "{invalid}");
    let missing = gateway.send(Request::new(Full::<Bytes>::default())).await.unwrap_err();
    assert!(matches!(missing, GatewayError::NoHost), "{missing}");
}
