//! HTTP as messages.

use bytes::Bytes;
use h8s_host::{ComponentService, Limits};
use http::{Method, Request, StatusCode};
use http_body_util::Full;

use crate::fixture::{call, frugal, get, get_text, request, serve, short, text};
use crate::log;

async fn guests() -> ComponentService {
    serve("message-guests", Limits::default()).await
}

async fn run(service: &ComponentService, command: &str) -> (StatusCode, String) {
    let request = Request::post("http://localhost/run").body(Full::new(Bytes::from(command.to_owned())));
    let (head, body) = call(service, request.unwrap()).await.unwrap().into_parts();
    (head.status, text(body).await.unwrap())
}

#[tokio::test]
async fn a_request_comes_as_a_message_and_its_answer_is_the_response() {
    // given a request with all parts that a message encodes differently
    let request = Request::put("http://app.example:8080/mirror?q=%20&r")
        .header("x-two", "1")
        .header("x-two", "2")
        .header("connection", "close")
        .body(Full::from("the body"));
    // when
    let response = call(&guests().await, request.unwrap()).await.unwrap();
    // then
    let subject = response.headers()["x-subject"].to_str().unwrap().to_owned();
    let mirrored = text(response.into_body()).await.unwrap();
    assert_eq!(subject, "h8s.http.PUT.example.app._.mirror");
    for part in [
        "Host: app.example:8080\n",
        "X-Two: 1|2\n",
        "X-H8s-Original-Method: PUT\n",
        "X-H8s-Original-Query: q=%20&r\n",
    ] {
        assert!(mirrored.contains(part), "{part}: {mirrored}");
    }
    assert!(mirrored.ends_with("\nthe body") && !mirrored.contains("Connection"), "{mirrored}");
}

#[tokio::test]
async fn status_and_repeated_headers_are_the_guests() {
    let response = get(&guests().await, "/teapot").await;
    assert_eq!(response.status(), StatusCode::IM_A_TEAPOT);
    assert_eq!(response.headers().get_all("x-two").iter().count(), 2);
    assert_eq!(text(response.into_body()).await.unwrap(), "short and stout\n");
}

#[tokio::test]
async fn the_guest_does_not_choose_the_destination_of_a_reply() {
    let (status, body) = get_text(&guests().await, "/elsewhere").await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, "here\n"));
}

#[tokio::test]
async fn head_has_the_head_alone() {
    let response = call(&guests().await, request(Method::HEAD, "/teapot")).await.unwrap();
    assert_eq!(response.status(), StatusCode::IM_A_TEAPOT);
    assert_eq!(text(response.into_body()).await.unwrap(), "");
}

#[tokio::test]
async fn an_invalid_response_is_500_and_the_cause_is_logged() {
    let service = guests().await;
    for (path, cause) in [
        ("/bad-status", "\\\"99\\\""),
        ("/bad-header", "x-split"),
        ("/wrong-length", "framing"),
        ("/words", "failing with secret words"),
    ] {
        let (status, body) = get_text(&service, path).await;
        assert_eq!((status, body.as_str()), (StatusCode::INTERNAL_SERVER_ERROR, "The component failed.\n"));
        let path = format!("\"path\":\"{path}\"");
        let line = log::line(&[&log::of(&service), "component failed", &path]).await;
        assert!(line.contains(cause), "{line}");
    }
}

#[tokio::test]
async fn faults_are_those_of_any_call() {
    let limits = Limits { memory_bytes: 16 << 20, ..frugal(100) };
    let service = serve("message-guests", limits).await;
    for (command, status, cause) in [
        ("trap", StatusCode::INTERNAL_SERVER_ERROR, "unreachable"),
        ("exit", StatusCode::INTERNAL_SERVER_ERROR, "exited with status 1"),
        ("allocate", StatusCode::INTERNAL_SERVER_ERROR, "memory limit"),
        ("loop", StatusCode::GATEWAY_TIMEOUT, "CPU budget"),
    ] {
        assert_eq!(run(&service, command).await.0, status, "{command}");
        log::line(&[&log::of(&service), "component failed", cause]).await;
    }
    let service = serve("message-guests", short(50)).await;
    assert_eq!(run(&service, "sleep 60000").await.0, StatusCode::GATEWAY_TIMEOUT);
    log::line(&[&log::of(&service), "component failed", "not returned within"]).await;
}

#[tokio::test]
async fn a_body_too_large_for_a_message_is_413() {
    let body = Full::new(Bytes::from(vec![0; (2 << 20) + 1]));
    let request = Request::post("http://localhost/mirror").body(body).unwrap();
    assert_eq!(call(&guests().await, request).await.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn output_is_logged_as_that_of_any_call() {
    let service = guests().await;
    assert_eq!(run(&service, "print from a message").await.1, "printed");
    log::line(&[&log::of(&service), "from a message"]).await;
}

#[tokio::test]
async fn without_nats_sending_fails_with_an_error() {
    let service = guests().await;
    let error = "Error::Unavailable(\"there is no connection to NATS\")";
    for command in ["broadcast hello", "count", "list h8s.>", &format!("send {} hello", "0".repeat(32))] {
        assert_eq!(run(&service, command).await, (StatusCode::OK, error.into()), "{command}");
    }
}

#[tokio::test]
async fn a_component_of_the_original_provider_answers() {
    let service = serve("original", Limits::default()).await;
    let request = Request::post("http://localhost/x").body(Full::from("data")).unwrap();
    let response = call(&service, request).await.unwrap();
    assert_eq!(response.headers()["x-provider-test-header"], "You can do it!");
    let described = text(response.into_body()).await.unwrap();
    assert!(described.starts_with("data on h8s.http.POST.localhost._.x with Host=localhost"), "{described}");
    let request = Request::post("http://localhost/x").body(Full::from("fail")).unwrap();
    assert_eq!(call(&service, request).await.unwrap().status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn only_websockets_are_served_by_a_component_without_http() {
    let service = serve("websocket-echo", Limits::default()).await;
    assert!(!service.serves_http() && service.serves_websockets());
    assert_eq!(get(&service, "/").await.status(), StatusCode::NOT_FOUND);
}
