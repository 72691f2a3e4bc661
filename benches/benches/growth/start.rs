//! Measures the memory of an idle gateway, and the time until `h8s dev` responds.

use std::time::{Duration, Instant};

use h8s_benches::memory::mib;
use h8s_benches::programs::{Gateway, Programs};
use h8s_benches::usage::resident_bytes;
use h8s_benches::{Report, Spread, Wanted};
use h8s_test_support::guests::guest;
use h8s_test_support::process::Process;
use h8s_test_support::{NatsServer, http_client};
use serde_json::json;

/// Starts with compiled code in the cache.
const STARTS: usize = 7;
/// By then, memory used only during the start has been freed.
const SETTLED: Duration = Duration::from_secs(3);
/// The target of the gateway's memory, in decimal MB.
const TARGET_IDLE: Wanted = Wanted::AtMost(20.0);
/// The target of the time to the first response, in seconds.
const TARGET_START: Wanted = Wanted::AtMost(1.0);

pub(crate) async fn measure(report: &mut Report) {
    println!("start: an idle gateway, and the first response of `h8s dev`");
    idle(report).await;
    first_answer(report).await;
}

async fn idle(report: &mut Report) {
    let nats = NatsServer::start().await;
    let gateway = Gateway::start(Programs::built(), &nats.url(), &[]).await;
    tokio::time::sleep(SETTLED).await;
    let bytes = resident_bytes(gateway.process.id().expect("it runs"));
    let megabytes = bytes as f64 / 1e6;
    report.row(
        &format!(
            "idle h8sd has {megabytes:.1} MB ({:.1} MiB)   {}",
            mib(bytes),
            TARGET_IDLE.judge(megabytes)
        ),
        json!({ "idle": "h8sd", "bytes": bytes, "met": TARGET_IDLE.is_met(megabytes) }),
    );
}

async fn first_answer(report: &mut Report) {
    let cache = tempfile::tempdir().expect("a temporary directory");
    let compiling = start(cache.path()).await;
    let mut times = Vec::new();
    for _ in 0..STARTS {
        times.push(start(cache.path()).await);
    }
    let times = Spread::of(times);
    let seconds = times.median().as_secs_f64();
    report.row(
        &format!(
            "`h8s dev` has answered {:.0?} after its start, {:.0?} at most of {STARTS}   {}   {compiling:.0?} without \
             compiled code",
            times.median(),
            times.at(100),
            TARGET_START.judge(seconds)
        ),
        json!({
            "start": "h8s dev", "median_s": seconds, "most_s": times.at(100).as_secs_f64(),
            "compiling_s": compiling.as_secs_f64(), "met": TARGET_START.is_met(seconds),
        }),
    );
}

/// The time from the start of the process to the end of the first response. `cache` is the user's cache directory.
async fn start(cache: &std::path::Path) -> Duration {
    let component = guest("hello");
    let mut command = Programs::built().command("h8s");
    command.args(["dev", "--quiet", "--listen", "127.0.0.1:0"]).arg(component).env("XDG_CACHE_HOME", cache);
    let begin = Instant::now();
    let mut process = Process::start(&mut command);
    // With `--quiet` it prints nothing else on standard output.
    let url = process.wait_for_line("http://").await;
    let (status, _, _) = http_client::get(&url).await;
    let time = begin.elapsed();
    assert_eq!(status, 200, "the first request is answered");
    process.kill().await;
    time
}
