//! A guest's view of its environment, and its output in the log.

use h8s_host::{EngineConfig, HostEngine, Limits};

use crate::fixture::{engine, get_text, guests, serve_on, source};
use crate::log;

#[tokio::test]
async fn output_goes_to_the_log_by_lines_with_the_components_name() {
    // given a guest that prints two lines, and one without an end
    let service = guests().await;
    // when
    get_text(&service, "/print").await;
    // then each is an event of its own
    let of = log::of(&service);
    log::line(&[&of, "\"message\":\"to standard output\"", "\"stream\":\"stdout\"", "INFO"]).await;
    log::line(&[&of, "\"message\":\"to standard error\"", "\"stream\":\"stderr\"", "WARN"]).await;
    log::line(&[&of, "\"message\":\"a last line without its end\""]).await;
}

#[tokio::test]
async fn a_long_line_is_cut() {
    let service = guests().await;
    assert_eq!(get_text(&service, "/print-long-line").await.1, "printed\n");
    let line = log::line(&[&log::of(&service), "xxxx"]).await;
    assert!(line.contains("… (cut)"));
    assert!(line.len() < 10_000, "{}", line.len());
}

#[tokio::test]
async fn a_flood_of_lines_is_cut_and_counted() {
    // given a component that floods, within a budget in which it writes far more than the log takes
    let service = serve_on(
        engine(),
        source("guests", Limits { cpu_budget: std::time::Duration::from_millis(300), ..Limits::default() }),
    )
    .await;
    let of = log::of(&service);
    // when
    get_text(&service, "/print-endlessly").await;
    // then the log has some, and in the end how many it has not
    drop(service);
    log::line(&[&of, "guest output exceeded its limit", "dropped"]).await;
    assert!((1..5_000).contains(&log::lines(&[&of, "and on and on"]).len()));
}

#[tokio::test]
async fn a_guest_sees_its_own_environment_and_no_other() {
    // given
    let mut source = source("guests", Limits::default());
    source.environment = vec![("GREETING".into(), "hello".into()), ("EMPTY".into(), String::new())];
    let service = serve_on(engine(), source).await;
    // when, then
    assert_eq!(get_text(&service, "/environment").await.1, "GREETING=hello\nEMPTY=\n");
}

#[tokio::test]
async fn there_are_no_files_and_no_network() {
    let (_, found) = get_text(&guests().await, "/reach-out").await;
    assert_eq!(found, "file false directory false written false tcp false udp false\n");
}

#[tokio::test]
async fn outgoing_http_is_denied_by_its_name() {
    let (_, refused) = get_text(&guests().await, "/send-http").await;
    assert_eq!(refused, "ErrorCode::HttpRequestDenied\n");
}

#[tokio::test]
async fn every_request_finds_fresh_memory() {
    // given a pool of one slot, so that every instance has the memory of the one before
    let engine = HostEngine::new(EngineConfig { instances: 1, ..EngineConfig::default() }).unwrap();
    let service = serve_on(&engine, source("guests", Limits::default())).await;
    for _ in 0..20 {
        // when an instance fills 8 MiB
        let (_, found) = get_text(&service, "/leave-traces").await;
        // then none finds data of another
        assert_eq!(found, "call 1, traces 0\n");
    }
}
