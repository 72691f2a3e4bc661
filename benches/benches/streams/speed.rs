//! Measures one large body at a time: rate, processor time and memory.

use h8s_benches::memory::{Held, TARGET_BYTES, mib};
use h8s_benches::transfer::{Download, timed, upload};
use h8s_benches::{Clock, Memory, Report, TrackedProcess, Used, Wanted};
use serde_json::{Value, json};

use crate::BODY_BYTES;
use crate::responder::{UP, down};
use crate::setup::{ECHO, Setup};

const MEGABYTES: usize = (BODY_BYTES / 1_000_000) as usize;
/// The target rate in MB/s, per direction.
const TARGET_RATE: Wanted = Wanted::AtLeast(300.0);

pub(crate) fn measure(setup: &mut Setup, report: &mut Report) {
    println!("speed: {MEGABYTES} MB over HTTP/1.1, compared on arrival");
    let address = setup.address();
    setup.memory().forget_peaks();
    let processes = setup.for_responder();
    let download = || Download::start(address, &down(BODY_BYTES), BODY_BYTES).finish();
    one("down", Some(TARGET_RATE), &processes, report, download);
    one("up", Some(TARGET_RATE), &processes, report, || upload(address, UP, BODY_BYTES));
    let processes = setup.for_component();
    one("echo", None, &processes, report, || Download::echo(address, ECHO, BODY_BYTES).finish());
    show_memory("speed", setup.memory(), report);
}

/// Each transfer is measured once: 1 GB is many pieces.
fn one(
    name: &str,
    target: Option<Wanted>,
    processes: &[TrackedProcess],
    report: &mut Report,
    transfer: impl FnOnce(),
) {
    let (clock, mut used) = (Clock::start(processes), Used::default());
    let time = timed(transfer);
    clock.stop(&mut used);
    let rate = MEGABYTES as f64 / time.as_secs_f64();
    let judged = target.map_or(String::new(), |target| format!("   {}", target.judge(rate)));
    let cpu: Value =
        used.micros(MEGABYTES).into_iter().map(|(name, micros)| (name.to_owned(), micros)).collect();
    report.row(
        &format!("{name:6}{rate:6.0} MB/s{judged}   cpu for each MB {}", used.each(MEGABYTES)),
        json!({
            "transfer": name, "mb_per_s": rate, "cpu_us_per_mb": cpu, "met": target.map(|target| target.is_met(rate)),
        }),
    );
}

/// Prints the programs' peak and current memory.
pub(crate) fn show_memory(part: &str, memory: &Memory, report: &mut Report) {
    let target = Wanted::AtMost(mib(TARGET_BYTES));
    for Held { name, idle, most, now } in memory.held() {
        let [idle, most, now] = [idle, most, now].map(mib);
        report.row(
            &format!(
                "{name:10} had {idle:5.1} MiB idle, {most:5.1} MiB more at most ({}), {now:5.1} MiB more at the end",
                target.judge(most)
            ),
            json!({
                "memory": name, "part": part, "idle_mib": idle, "most_more_mib": most, "now_more_mib": now,
                "met": target.is_met(most),
            }),
        );
    }
}
