//! Bodies that go wrong after the head is out: the client sees an error, never a clean short body.

use std::error::Error;
use std::time::Duration;

use h8s_host::Limits;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, StreamBody};

use crate::fixture::{
    assert_unharmed, call, fails_at_once, frugal, get, get_text, guests, idle, serve, short, sooner_or_later,
    text,
};
use crate::log;

async fn breaks_off(limits: Limits, path: &str, cause: &str) {
    // given a guest whose head is out before it fails
    let service = serve("guests", limits).await;
    let response = get(&service, path).await;
    assert_eq!(response.status(), StatusCode::OK);
    // when the body is read
    let error = text(response.into_body()).await.unwrap_err();
    // then it ends in an error without internals, which is logged once
    assert_eq!(error.to_string(), "the component failed in the middle of its response");
    let source = error.source().unwrap().to_string();
    assert!(source.contains(cause), "{source}");
    assert_eq!(log::lines(&[&log::of(&service), "component failed"]).len(), 1);
    assert_unharmed(&service).await;
}

#[tokio::test]
async fn a_trap_in_mid_body() {
    breaks_off(Limits::default(), "/trap-after-head?late", "unreachable").await;
}

#[tokio::test]
async fn a_loop_in_mid_body() {
    breaks_off(frugal(50), "/loop-after-head?late", "CPU budget").await;
}

#[tokio::test]
async fn a_body_left_behind() {
    breaks_off(Limits::default(), "/forget-body?late", "unfinished").await;
}

#[tokio::test]
async fn a_body_given_up() {
    breaks_off(Limits::default(), "/drop-body?late", "unfinished").await;
}

#[tokio::test]
async fn a_body_shorter_than_promised() {
    breaks_off(Limits::default(), "/length-too-long?late", "wrote 5 bytes").await;
}

#[tokio::test]
async fn a_body_longer_than_promised() {
    breaks_off(Limits::default(), "/length-too-short?late", "wrote 10 bytes").await;
}

#[tokio::test]
async fn what_fails_before_the_head_is_sent_is_still_a_500() {
    let service = guests().await;
    for path in ["/trap-after-head", "/forget-body", "/drop-body"] {
        assert!(sooner_or_later(async || fails_at_once(&service, path).await).await, "{path}");
    }
    assert_unharmed(&service).await;
}

#[tokio::test]
async fn a_loop_after_the_head_does_not_hold_the_head_back() {
    // given a guest that writes half and then computes for seconds
    let service = guests().await;
    let mut response = get(&service, "/loop-after-head").await;
    // then the written data arrives
    let first = response.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "the first half");
    drop(response);
    assert_eq!(service.running(), 0);
}

#[tokio::test]
async fn a_request_that_breaks_off_is_an_error_to_the_guest() {
    // given a client that leaves in the middle of its upload
    let service = guests().await;
    let pieces = [Ok(http_body::Frame::data("half".into())), Err(std::io::Error::other("client left"))];
    let body = StreamBody::new(futures_util::stream::iter(pieces));
    let request =
        Request::builder().method(Method::POST).uri("http://localhost/read-first").body(body).unwrap();
    // when a guest reads it
    let response = call(&service, request).await.unwrap();
    // then it gets an error
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_unharmed(&service).await;
}

#[tokio::test]
async fn work_after_the_answer_is_finished() {
    // given a guest that answers, and then works on
    let service = guests().await;
    // when the answer is complete
    assert_eq!(get_text(&service, "/late-work").await.1, "answered\n");
    // then it still holds its permit, and finishes its work
    log::line(&[&log::of(&service), "late work is done"]).await;
    idle(&service).await;
}

#[tokio::test]
async fn work_after_the_answer_is_bounded() {
    // given a guest that never returns from its answer
    let service = serve("guests", short(100)).await;
    // when
    assert_eq!(get_text(&service, "/late-loop").await.1, "answered\n");
    // then it is stopped, and that is logged
    let line = log::line(&[&log::of(&service), "component failed"]).await;
    assert!(line.contains("still running 100 ms after its response"), "{line}");
    idle(&service).await;
}

#[tokio::test]
async fn waiting_costs_no_cpu_budget() {
    // given a guest that takes 100 ms in all, nearly all of it waiting, and may compute for 50
    let service = serve("guests", frugal(50)).await;
    // when, then
    let (status, body) = get_text(&service, "/slow-stream").await;
    assert_eq!((status, body.lines().filter(|line| !line.is_empty()).count()), (StatusCode::OK, 5));
}

#[tokio::test]
async fn the_timeout_ends_with_the_head() {
    // given a stream that takes longer than the timeout
    let service = serve("guests", Limits { timeout: Duration::from_millis(60), ..Limits::default() }).await;
    // when, then
    let (_, body) = get_text(&service, "/slow-stream").await;
    assert!(body.ends_with("data: 4\n\n"), "{body}");
}
