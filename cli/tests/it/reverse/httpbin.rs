//! httpbin behind the daemon, tested with the suite of a client library that was written for it.

use std::collections::BTreeSet;
use std::time::Duration;

use h8s_test_support::python::python;
use h8s_test_support::{Bus, Process, Tool, needs, within};

use crate::programs::{Daemon, Gateway};

/// The client library, with its tests.
const REQUESTS: &str = "requests==2.34.2";
const SUITE: &str = include_str!("httpbin/requests_suite.py");
/// The suite sleeps for some seconds.
const PATIENCE: Duration = Duration::from_secs(90);
/// Tests that fail through a gateway by design, or by chance.
const DIFFERENT: [&str; 2] = [
    // Marked as failing by its authors. It passes if the pieces of a body happen to end at lines.
    "TestRequests::test_response_iter_lines_reentrant",
    // `Proxy-Authorization` is for the first proxy, which the gateway is (RFC 9110 §11.7.2).
    "TestRequests::test_proxy_authorization_preserved_on_request",
];
/// The least number of tests that use httpbin: fewer would mean that the suite has changed.
const TESTS: usize = 180;

/// httpbin, started as documented, and its address.
async fn httpbin() -> (Process, String) {
    let arguments = ["--bind", "127.0.0.1:0", "--threads", "16", "--no-control-socket", "httpbin:app"];
    let mut server = python().start_module("gunicorn", &arguments);
    let line = server.wait_for_line("Listening at: ").await;
    let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
    (server, url)
}

/// The result of each test, and the whole output.
async fn outcomes(url: &str) -> (BTreeSet<String>, String) {
    let sources = python().sources(REQUESTS);
    let mut suite = python().start_script(SUITE, &[sources.to_str().unwrap(), url]);
    within(PATIENCE, async {
        while suite.is_running() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    suite.wait_for_exit().await;
    let output = suite.stdout();
    let is_outcome = |line: &&str| {
        ["passed: ", "failed: ", "skipped: "].iter().any(|word| line.starts_with(word))
            && !DIFFERENT.iter().any(|test| line.ends_with(test))
    };
    (output.lines().filter(is_outcome).map(str::to_owned).collect(), output)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tests_of_requests_pass_through_the_gateway() {
    needs!(Tool::NatsServer, Tool::PythonSources(REQUESTS));
    let bus = Bus::real().await;
    let (_httpbin, direct) = httpbin().await;
    // One of the tests uses this host.
    let _daemon = Daemon::start(&bus.url(), &direct, &["--hostname", "httpbin.org"]).await;
    let gateway = Gateway::start(&bus.url(), &[]).await;

    let ((expected, _), (outcomes, output)) = tokio::join!(outcomes(&direct), outcomes(&gateway.url));

    assert!(expected.iter().filter(|test| test.starts_with("passed: ")).count() >= TESTS, "{expected:#?}");
    let differences: Vec<_> = expected.symmetric_difference(&outcomes).collect();
    assert!(differences.is_empty(), "{differences:#?}\n{output}");
}
