//! A page with an event stream, from a Python server to a real browser.

use std::time::Duration;

use h8s_test_support::browser::browser;
use h8s_test_support::http_client::post;
use h8s_test_support::process::Process;
use h8s_test_support::python::python;
use h8s_test_support::{Bus, Tool, needs, within};

use crate::programs::gateway_and_daemon;

/// Serves a page that lists events, the event stream, and a path that causes an event.
const SERVER: &str = include_str!("events/server.py");
/// Opens the page, prints a line for each event on it, and closes it after the last.
const TAB: &str = include_str!("events/tab.js");
/// A browser takes some seconds to start on a loaded machine.
const BROWSER_DEADLINE: Duration = Duration::from_secs(60);

async fn line(process: &mut Process, text: &str) {
    within(BROWSER_DEADLINE, async {
        while !process.output().contains(text) && process.is_running() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    process.wait_for_line(text).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_arrive_as_they_are_sent_and_the_server_notices_that_a_client_left() {
    needs!(Tool::Browser, Tool::NatsServer, Tool::Python);
    // given a page in a browser
    let bus = Bus::real().await;
    let mut server = python().start_script(SERVER, &[]);
    let port = server.wait_for_line("port ").await.rsplit(' ').next().unwrap().to_owned();
    let (gateway, _daemon) = gateway_and_daemon(&bus, &format!("http://127.0.0.1:{port}")).await;
    let mut tab = browser().start_script(TAB, &[&gateway.url, "last"]);
    line(&mut tab, "seen: welcome").await;
    // when events are caused in turn, each arrives before the next is caused
    for event in ["one", "two", "three"] {
        post(&format!("{}/say", gateway.url), event).await;
        line(&mut tab, &format!("seen: {event}")).await;
    }
    assert!(!server.output().contains("left"), "{}", server.output());
    post(&format!("{}/say", gateway.url), "last").await;
    // then the server notices that the tab was closed
    line(&mut tab, "seen: last").await;
    line(&mut tab, "closed the tab").await;
    server.wait_for_line("left").await;
    tab.wait_for_line("and the browser").await;
    assert!(tab.wait_for_exit().await.success());
}
