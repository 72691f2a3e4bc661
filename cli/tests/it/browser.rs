//! The chat end to end: a real browser, a real gateway, a real NATS server, and hosts that are killed.

use std::time::Duration;

use h8s_test_support::browser::browser;
use h8s_test_support::http_client::post;
use h8s_test_support::process::Process;
use h8s_test_support::{Bus, Tool, needs, within};

use crate::programs::{Gateway, Host};

/// Opens two tabs, writes a message in each, and waits for it in both; prints one line for each.
const TABS: &str = include_str!("browser/tabs.js");
/// A browser takes some seconds to start on a loaded machine.
const BROWSER_DEADLINE: Duration = Duration::from_secs(60);

const SERVED: [(&str, &str); 2] = [("/chat/*", "chat"), ("/send", "sender")];

async fn line(tabs: &mut Process, text: &str) {
    within(BROWSER_DEADLINE, async {
        while !tabs.output().contains(text) && tabs.is_running() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    tabs.wait_for_line(text).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tabs_receive_both_tabs_messages_and_pushes() {
    needs!(Tool::Browser, Tool::NatsServer);
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
async fn two_tabs_continue_when_their_host_is_killed() {
    needs!(Tool::Browser, Tool::NatsServer);
    // given tabs served by one host, and a second host started later
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
