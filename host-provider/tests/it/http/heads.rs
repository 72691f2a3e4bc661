//! Heads of requests and responses: forwarded, refused, and specific to a method or status.

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Empty};

use crate::fixture::{
    assert_unharmed, call, fails_at_once, get, get_text, guests, idle, request, sooner_or_later,
};
use crate::log;

#[tokio::test]
async fn a_response_without_a_body() {
    let response = get(&guests().await, "/no-body").await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    assert_eq!(response.headers()["x-kind"], "no-body");
    assert!(response.body().is_end_stream());
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    // given a guest that answers HEAD with a length and no body, and one that writes a body all the same
    let service = guests().await;
    // when
    let promised = call(&service, request(Method::HEAD, "/length-without-body")).await.unwrap();
    let written = call(&service, request(Method::HEAD, "/ok")).await.unwrap();
    // then
    assert_eq!(promised.status(), StatusCode::OK);
    assert_eq!(promised.headers()[header::CONTENT_LENGTH], "10");
    assert!(promised.body().is_end_stream() && written.body().is_end_stream());
    assert_unharmed(&service).await;
}

#[tokio::test]
async fn a_guest_that_streams_to_head_is_let_run_to_its_end() {
    let service = guests().await;
    let response = call(&service, request(Method::HEAD, "/slow-stream")).await.unwrap();
    assert!(response.body().is_end_stream());
    idle(&service).await;
    assert!(log::lines(&[&log::of(&service), "component failed"]).is_empty());
}

#[tokio::test]
async fn a_204_has_neither_body_nor_length() {
    let response = get(&guests().await, "/status-204").await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert!(response.body().is_end_stream());
    assert!(!response.headers().contains_key(header::CONTENT_LENGTH));
}

#[tokio::test]
async fn a_length_that_no_body_keeps_is_a_500() {
    let service = guests().await;
    for path in ["/length-without-body", "/length-too-long", "/length-too-short"] {
        assert!(sooner_or_later(async || fails_at_once(&service, path).await).await, "{path}");
    }
    log::line(&[&log::of(&service), "wrote 5 bytes of body, but content-length is 10"]).await;
    assert_unharmed(&service).await;
}

#[tokio::test]
async fn a_status_that_is_not_final_is_a_500() {
    let service = guests().await;
    assert_eq!(get_text(&service, "/status-101").await.0, StatusCode::INTERNAL_SERVER_ERROR);
    log::line(&[&log::of(&service), "informational"]).await;
}

#[tokio::test]
async fn a_guest_is_refused_numbers_that_are_no_statuses() {
    let (status, refused) = get_text(&guests().await, "/invalid-status").await;
    assert_eq!((status, refused.as_str()), (StatusCode::OK, "[true, true, true, true]\n"));
}

#[tokio::test]
async fn a_guest_is_refused_headers_of_the_connection_and_split_ones() {
    let (_, refused) = get_text(&guests().await, "/forbidden-headers").await;
    assert_eq!(refused, "connection keep-alive transfer-encoding upgrade host te st split:true\n");
}

#[tokio::test]
async fn many_headers_come_through_in_order() {
    let response = get(&guests().await, "/many-headers").await;
    let names: Vec<_> = response.headers().keys().map(ToString::to_string).collect();
    let expected: Vec<_> = (0..500).map(|n| format!("x-header-{n}")).collect();
    assert_eq!(names, expected);
}

#[tokio::test]
async fn a_request_that_names_no_host_is_a_400() {
    let service = guests().await;
    let request = Request::builder().uri("/ok").body(Empty::<Bytes>::new()).unwrap();
    let response = call(&service, request).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_host_header_is_enough() {
    let service = guests().await;
    let request =
        Request::builder().uri("/ok").header("host", "localhost").body(Empty::<Bytes>::new()).unwrap();
    assert_eq!(call(&service, request).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn trailers_come_last() {
    let body = get(&guests().await, "/trailers").await.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["x-sum"], "42");
    assert_eq!(body.to_bytes(), "with trailers\n");
}

#[tokio::test]
async fn a_short_answer_is_there_at_once_and_its_length_known() {
    let service = guests().await;
    let at_once = sooner_or_later(async || {
        // when
        let mut body = get(&service, "/ok").await.into_body();
        // then the instance is gone already, and the length is known
        let is_whole = service.running() == 0 && body.size_hint().exact() == Some(3);
        // and one frame is all of it
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "ok\n");
        is_whole && body.is_end_stream()
    });
    assert!(at_once.await);
}

#[tokio::test]
async fn thousands_of_answers_in_one_turn_of_a_task_are_all_whole() {
    // given a task that never waits, so that it uses up its tokio budget
    let service = guests().await;
    // when, then
    for _ in 0..2_000 {
        assert_eq!(get_text(&service, "/ok").await, (StatusCode::OK, "ok\n".into()));
    }
}
