//! The chat as people have it: a real browser, a real gateway, a real NATS server, and hosts that come and go.

use std::time::Duration;

use h8s_test_support::browser::browser;
use h8s_test_support::http_client::post;
use h8s_test_support::process::Process;
use h8s_test_support::{Bus, within};

use crate::programs::{Gateway, Host};

/// Opens two tabs, says something in each, and looks for it in both, again and again: once for each line it prints.
const TABS: &str = include_str!("browser/tabs.js");
/// A browser needs some seconds to start on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

const SERVED: [(&str, &str); 2] = [("/chat/*", "chat"), ("/send", "sender")];

async fn line(tabs: &mut Process, text: &str) {
    within(PATIENCE, async {
        while !tabs.output().contains(text) && tabs.is_running() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    tabs.wait_for_line(text).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tabs_see_what_is_said_in_both_and_what_is_pushed() {
    let bus = Bus::real().await;
    let _hosts = [Host::start(&bus.url(), &SERVED, &[]).await, Host::start(&bus.url(), &SERVED, &[]).await];
    let gateway = Gateway::start(&bus.url(), &[]).await;
    let mut tabs = browser().start_script(TABS, &[&format!("{}/chat/room", gateway.url), "pushed"]);

    line(&mut tabs, "both have seen: one says this").await;
    line(&mut tabs, "both have seen: the other says that").await;
    line(&mut tabs, "waiting for: pushed").await;
    post(&format!("{}/send", gateway.url), "pushed").await;

    line(&mut tabs, "both have seen: pushed").await;
    line(&mut tabs, "2 WebSockets in all").await;
    assert!(tabs.wait_for_exit().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tabs_do_not_notice_that_their_host_is_killed() {
    // given tabs that one host serves, and a second host that came later
    let bus = Bus::real().await;
    let mut owner = Host::start(&bus.url(), &SERVED, &[]).await;
    let gateway = Gateway::start(&bus.url(), &[]).await;
    let mut tabs = browser().start_script(TABS, &[&format!("{}/chat/room", gateway.url), "after the kill"]);
    line(&mut tabs, "both have seen: the other says that").await;
    let _second = Host::start(&bus.url(), &SERVED, &[]).await;
    // when
    owner.process.kill().await;
    line(&mut tabs, "waiting for: after the kill").await;
    post(&format!("{}/send", gateway.url), "after the kill").await;
    // then
    line(&mut tabs, "both have seen: after the kill").await;
    line(&mut tabs, "both have seen: one goes on").await;
    line(&mut tabs, "both have seen: the other goes on").await;
    line(&mut tabs, "2 WebSockets in all").await;
    assert!(tabs.wait_for_exit().await.success());
}
