//! Concurrency: calls run, wait, or are refused.

use h8s_host::{Allocation, ComponentService, EngineConfig, HostEngine, Limits};
use h8s_nats::Refused;
use http::{Method, StatusCode};
use tokio::task::JoinSet;
use tower_service::Service;

use crate::fixture::{assert_unharmed, call, get, request, serve, serve_on, source, text, within};

fn narrow(concurrency: usize, queue: usize) -> Limits {
    Limits { concurrency, queue, ..Limits::default() }
}

#[tokio::test]
async fn beyond_the_limit_is_refused_as_busy_before_any_work() {
    // given a component that may do two things at a time, and does
    let service = serve("guests", narrow(2, 0)).await;
    let first = get(&service, "/endless-stream").await;
    let _second = get(&service, "/endless-stream").await;
    // when a third comes
    let refused = call(&service, request(Method::GET, "/ok")).await.unwrap_err();
    // then
    assert_eq!(refused, Refused::Busy);
    // and when one ends, a slot is free
    drop(first);
    assert_eq!(get(&service, "/ok").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_queued_request_is_answered_when_there_is_room() {
    // given a busy component with one place to wait
    let service = serve("guests", narrow(1, 1)).await;
    let first = get(&service, "/endless-stream").await;
    let mut second = service.clone().call(request(Method::GET, "/ok"));
    assert!(futures_util::poll!(&mut second).is_pending());
    // when the first leaves
    drop(first);
    // then the second has its turn
    assert_eq!(within(second).await.unwrap().status(), StatusCode::OK);
    assert_unharmed(&service).await;
}

#[tokio::test]
async fn waiting_has_an_end() {
    let service = serve("guests", narrow(1, 1)).await;
    let _first = get(&service, "/endless-stream").await;
    assert_eq!(call(&service, request(Method::GET, "/ok")).await.unwrap_err(), Refused::Busy);
}

#[tokio::test]
async fn the_pool_is_never_overdrawn_by_several_components() {
    // given an engine with two slots, and two components that each would take two
    let engine = HostEngine::new(EngineConfig { instances: 2, ..EngineConfig::default() }).unwrap();
    let one = serve_on(&engine, source("guests", narrow(2, 0))).await;
    let other = serve_on(&engine, source("guests", narrow(2, 0))).await;
    let _first = get(&one, "/endless-stream").await;
    let _second = get(&one, "/endless-stream").await;
    // when the other gets a request, then it is busy, not broken
    assert_eq!(call(&other, request(Method::GET, "/ok")).await.unwrap_err(), Refused::Busy);
}

/// How many of `count` calls at the same time were answered, and how many refused.
async fn at_once(service: &ComponentService, count: usize) -> (usize, usize) {
    let mut calls = JoinSet::new();
    for _ in 0..count {
        let service = service.clone();
        calls.spawn(async move {
            let response = call(&service, request(Method::GET, "/slow-stream")).await?;
            assert!(text(response.into_body()).await.unwrap().ends_with("data: 4\n\n"));
            Ok::<_, Refused>(())
        });
    }
    let outcomes = calls.join_all().await;
    let answered = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    (answered, count - answered)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_calls_at_the_same_time() {
    // given a component with room for them
    let engine = HostEngine::new(EngineConfig { instances: 1000, ..EngineConfig::default() }).unwrap();
    let service = serve_on(&engine, source("guests", narrow(1000, 0))).await;
    // when, then
    assert_eq!(at_once(&service, 1000).await, (1000, 0));
    assert_unharmed(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_calls_at_the_same_time_are_answered_or_refused() {
    // given a component with room for a few
    let service = serve("guests", narrow(50, 50)).await;
    // when
    let (answered, refused) = at_once(&service, 10_000).await;
    // then none is lost
    assert!(answered >= 50 && refused > 0, "{answered} {refused}");
    assert_unharmed(&service).await;
}

#[tokio::test]
async fn a_machine_that_refuses_the_address_space_serves_all_the_same() {
    // given an engine for which no machine has the address space
    let engine = HostEngine::new(EngineConfig { instances: 2_000_000, ..EngineConfig::default() }).unwrap();
    assert_eq!(engine.allocation(), Allocation::OnDemand);
    // when, then
    let service = serve_on(&engine, source("guests", Limits::default())).await;
    get(&service, "/allocate").await;
    assert_unharmed(&service).await;
}
