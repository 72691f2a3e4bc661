//! A page with an event stream, of a Python server and in a real browser.

use std::time::Duration;

use h8s_test_support::browser::browser;
use h8s_test_support::http_client::post;
use h8s_test_support::process::Process;
use h8s_test_support::python::python;
use h8s_test_support::{Bus, within};

use crate::programs::gateway_and_daemon;

/// A page that lists events, the events, and a way to cause one.
const SERVER: &str = include_str!("events/server.py");
/// Opens the page, and writes a line for each event that is seen on it; leaves after the last.
const TAB: &str = include_str!("events/tab.js");
/// A browser needs some seconds to start on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

async fn line(process: &mut Process, text: &str) {
    within(PATIENCE, async {
        while !process.output().contains(text) && process.is_running() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    process.wait_for_line(text).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_seen_as_they_are_sent_and_the_server_notices_who_leaves() {
    // given a page in a browser
    let bus = Bus::real().await;
    let mut server = python().start_script(SERVER, &[]);
    let port = server.wait_for_line("port ").await.rsplit(' ').next().unwrap().to_owned();
    let (gateway, _daemon) = gateway_and_daemon(&bus, &format!("http://127.0.0.1:{port}")).await;
    let mut tab = browser().start_script(TAB, &[&gateway.url, "last"]);
    line(&mut tab, "seen: welcome").await;
    // when events are caused one after the other, each is seen before the next is there
    for event in ["one", "two", "three"] {
        post(&format!("{}/say", gateway.url), event).await;
        line(&mut tab, &format!("seen: {event}")).await;
    }
    assert!(!server.output().contains("left"), "{}", server.output());
    post(&format!("{}/say", gateway.url), "last").await;
    // then the server notices that the tab is closed
    line(&mut tab, "seen: last").await;
    line(&mut tab, "closed the tab").await;
    server.wait_for_line("left").await;
    tab.wait_for_line("and the browser").await;
    assert!(tab.wait_for_exit().await.success());
}
