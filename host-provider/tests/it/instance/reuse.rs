//! Instances that may have several calls: one at a time, none after a fault, and nothing that adds up.

use std::time::Duration;

use bytes::Bytes;
use h8s_host::{ComponentService, EngineConfig, HostEngine, Limits};
use h8s_test_support::eventually;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::task::JoinSet;

use crate::fixture::{
    assert_unharmed, call, get, get_text, idle, request, serve, serve_on, source, text, within,
};
use crate::log;

fn reusing(reuse: u32) -> Limits {
    Limits { reuse, ..Limits::default() }
}

/// Which of its instance's calls this one was.
async fn count(service: &ComponentService) -> String {
    ask(service, "/count").await.1
}

/// An answer, when also the guest has returned: on a busy machine it may be a moment behind its answer.
async fn ask(service: &ComponentService, path: &str) -> (StatusCode, String) {
    let before = service.running();
    let answer = get_text(service, path).await;
    eventually("the guest has returned", async || service.running() <= before).await;
    answer
}

#[tokio::test]
async fn an_instance_answers_as_many_requests_as_it_may() {
    // given a component whose instances may answer three
    let service = serve("guests", reusing(3)).await;
    // when seven come, then the fourth and the seventh meet a fresh one
    for expected in ["call 1\n", "call 2\n", "call 3\n", "call 1\n", "call 2\n", "call 3\n", "call 1\n"] {
        assert_eq!(count(&service).await, expected);
    }
    assert_eq!(service.idle_instances(), 1);
}

#[tokio::test]
async fn a_fresh_instance_for_each_request_is_the_default() {
    let service = serve("guests", Limits::default()).await;
    for _ in 0..3 {
        assert_eq!(count(&service).await, "call 1\n");
    }
    assert_eq!(service.idle_instances(), 0);
}

#[tokio::test]
async fn no_instance_has_two_calls_at_once() {
    // given one instance at work
    let service = serve("guests", reusing(1000)).await;
    let busy = get(&service, "/endless-stream").await;
    // when another request comes, then it has an instance of its own
    assert_eq!(count(&service).await, "call 1\n");
    assert_eq!(count(&service).await, "call 2\n");
    // and the busy one, whose client leaves, is not used again
    drop(busy);
    idle(&service).await;
    assert_eq!(service.idle_instances(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_every_request_is_one_call_of_one_instance() {
    // given a component whose instances may answer ten, four at a time
    let limits = Limits { concurrency: 4, queue: 1000, ..reusing(10) };
    let service = serve("guests", limits).await;
    // when two hundred requests come at once
    let mut calls = JoinSet::new();
    for _ in 0..200 {
        let service = service.clone();
        calls.spawn(async move { get_text(&service, "/count").await.1 });
    }
    let mut counts = [0_usize; 11];
    for said in calls.join_all().await {
        counts[said.trim().strip_prefix("call ").unwrap().parse::<usize>().unwrap()] += 1;
    }
    // then there was no eleventh call, and no second one without a first
    assert_eq!(counts.iter().sum::<usize>(), 200, "{counts:?}");
    assert!(counts[1..].is_sorted_by(|one, next| one >= next), "{counts:?}");
    assert!(counts[2] > 0 && service.idle_instances() <= 4, "{counts:?}");
}

/// Serves `path` with a reused instance, and then sends another request.
async fn after(limits: Limits, path: &str) -> String {
    let service = serve("guests", limits).await;
    assert_eq!(count(&service).await, "call 1\n");
    let response = get(&service, path).await;
    let _ = text(response.into_body()).await;
    idle(&service).await;
    count(&service).await
}

#[tokio::test]
async fn an_instance_with_a_fault_is_not_used_again() {
    let limits = || Limits {
        timeout: Duration::from_millis(300),
        cpu_budget: Duration::from_millis(150),
        ..reusing(1000)
    };
    for fault in [
        "/trap",
        "/exit",
        "/loop",
        "/never-answer",
        "/no-response",
        "/error-code",
        "/trap-after-head?late",
        "/drop-body?late",
        "/length-too-long?late",
        "/late-loop",
    ] {
        assert_eq!(after(limits(), fault).await, "call 1\n", "{fault}");
    }
    // What is no fault shows that the rest of the test means something.
    assert_eq!(after(limits(), "/ok").await, "call 2\n");
}

#[tokio::test]
async fn an_instance_that_works_on_after_its_answer_is_used_when_it_is_done() {
    // given an instance that has answered, and is busy
    let service = serve("guests", reusing(1000)).await;
    assert_eq!(get_text(&service, "/count-and-stay").await.1, "call 1\n");
    // when another request comes meanwhile, then it has another instance
    assert_eq!(count(&service).await, "call 1\n");
    // and when it is done, both are idle
    idle(&service).await;
    assert_eq!(service.idle_instances(), 2);
}

#[tokio::test]
async fn each_call_has_the_whole_cpu_budget() {
    // given calls that compute for 20 ms each
    let limits = Limits { cpu_budget: Duration::from_millis(150), ..reusing(1000) };
    let service = serve("guests", limits).await;
    // when there are far more calls than one budget allows, then all are answered, by one instance
    for n in 1..=40 {
        assert_eq!(ask(&service, "/compute").await, (StatusCode::OK, format!("call {n}\n")));
    }
}

#[tokio::test]
async fn messages_are_calls_as_well_and_each_may_send_as_much() {
    // given a component of messages, with two things to send per call
    let service = serve("message-guests", Limits { sends: 2, ..reusing(1000) }).await;
    let told = "Error::Unavailable(\"there is no connection to NATS\")";
    // when one instance sends at each of many calls, then none has sent too much
    for _ in 0..10 {
        let request = Request::post("http://localhost/run").body(Full::new(Bytes::from("broadcast hello")));
        let response = call(&service, request.unwrap()).await.unwrap();
        assert_eq!(text(response.into_body()).await.unwrap(), told);
        idle(&service).await;
    }
    assert_eq!(service.idle_instances(), 1);
}

#[tokio::test]
async fn t21_an_instance_that_hoards_memory_is_stopped_at_its_limit() {
    // given instances that keep 4 MiB of each call, and may have 24
    let service = serve("guests", Limits { memory_bytes: 24 << 20, ..reusing(1000) }).await;
    // when they get many requests
    let mut failed = 0;
    for _ in 0..40 {
        let (status, said) = ask(&service, "/hoard-memory").await;
        failed += usize::from(status == StatusCode::INTERNAL_SERVER_ERROR);
        assert!(status.is_server_error() || said.starts_with("call "), "{status} {said}");
    }
    // then each ends with the call that wants too much, and a fresh one goes on
    assert!((4..=13).contains(&failed), "{failed}");
    log::line(&[&log::of(&service), "component failed", "memory limit"]).await;
    assert_unharmed(&service).await;
}

#[tokio::test]
async fn t21_an_instance_that_hoards_resources_is_not_used_again() {
    // given
    let service = serve("guests", reusing(1000)).await;
    // when a call leaves its request and something else open, then the next meets a fresh instance
    for _ in 0..3 {
        assert_eq!(ask(&service, "/hoard-resources").await.1, "call 1\n");
        assert_eq!(service.idle_instances(), 0);
    }
    // and the cause is logged, once
    log::line(&[&log::of(&service), "cannot be reused", "resources"]).await;
    assert_eq!(log::lines(&[&log::of(&service), "cannot be reused"]).len(), 1);
}

#[tokio::test]
async fn a_request_that_an_instance_leaves_unread_is_let_go_of() {
    // given an instance that is used again, and never looks at the body of its request
    let service = serve("guests", reusing(1000)).await;
    let (body, dropped) = watched_body();
    // when it has answered
    let request = Request::post("http://localhost/count").body(body).unwrap();
    let response = call(&service, request).await.unwrap();
    assert_eq!(text(response.into_body()).await.unwrap(), "call 1\n");
    // then the request's body has been dropped
    within(dropped).await.unwrap_err();
    idle(&service).await;
    assert_eq!(service.idle_instances(), 1);
}

type Watched = http_body_util::combinators::UnsyncBoxBody<Bytes, std::convert::Infallible>;

/// A body that never ends, and a signal of its drop.
fn watched_body() -> (Watched, tokio::sync::oneshot::Receiver<()>) {
    let (alive, dropped) = tokio::sync::oneshot::channel::<()>();
    let stream = futures_util::stream::pending();
    let body = http_body_util::StreamBody::new(stream).map_frame(move |frame: http_body::Frame<Bytes>| {
        let _alive = &alive;
        frame
    });
    (body.boxed_unsync(), dropped)
}

#[tokio::test]
async fn idle_instances_give_way_to_other_components() {
    // given an engine with two places, both of them kept by one component's idle instances
    let engine = HostEngine::new(EngineConfig { instances: 2, ..EngineConfig::default() }).unwrap();
    let limits = || Limits { concurrency: 2, queue: 0, ..reusing(1000) };
    let one = serve_on(&engine, source("guests", limits())).await;
    let other = serve_on(&engine, source("guests", limits())).await;
    let busy = get(&one, "/slow-stream").await;
    count(&one).await;
    assert!(text(busy.into_body()).await.unwrap().ends_with("data: 4\n\n"));
    idle(&one).await;
    assert_eq!(one.idle_instances(), 2);
    // when the other component gets a request, and none may wait
    let _first = get(&other, "/endless-stream").await;
    let _second = get(&other, "/endless-stream").await;
    // then it has both
    assert_eq!(one.idle_instances(), 0);
}

#[tokio::test]
async fn who_waits_for_a_place_has_it_before_it_is_kept() {
    // given an engine with one place, which one component uses
    let engine = HostEngine::new(EngineConfig { instances: 1, ..EngineConfig::default() }).unwrap();
    let one = serve_on(&engine, source("guests", reusing(1000))).await;
    let other = serve_on(&engine, source("guests", reusing(1000))).await;
    let busy = get(&one, "/slow-stream").await;
    // when the other waits, and the first has done its work
    let (body, waited) = tokio::join!(text(busy.into_body()), call(&other, request(Method::GET, "/count")));
    // then the other has the slot
    assert!(body.unwrap().ends_with("data: 4\n\n"));
    assert_eq!(waited.unwrap().status(), StatusCode::OK);
    assert_eq!(one.idle_instances(), 0);
}

#[tokio::test]
async fn what_is_not_needed_is_let_go_of_after_a_while() {
    // given an idle instance
    let service = serve("guests", reusing(1000)).await;
    count(&service).await;
    assert_eq!(service.idle_instances(), 1);
    // when no request comes
    eventually("it is gone", async || service.idle_instances() == 0).await;
    // then the next request has a fresh one
    assert_eq!(count(&service).await, "call 1\n");
}
