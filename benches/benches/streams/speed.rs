//! One large body at a time: how fast it goes, what it costs, and what is kept of it.

use h8s_benches::memory::{Held, TARGET_BYTES, mib};
use h8s_benches::transfer::{Download, timed, upload};
use h8s_benches::{Clock, Member, Memory, Report, Used, Wanted};
use serde_json::{Value, json};

use crate::BODY_BYTES;
use crate::responder::{UP, down};
use crate::stand::{ECHO, Stand};

const MEGABYTES: usize = (BODY_BYTES / 1_000_000) as usize;
/// MB a second, each direction.
const TARGET_RATE: Wanted = Wanted::AtLeast(300.0);

pub(crate) fn measure(stand: &mut Stand, report: &mut Report) {
    println!("speed: {MEGABYTES} MB over HTTP/1.1, all of it compared at its end");
    let address = stand.address();
    stand.memory().forget_peaks();
    let members = stand.for_responder();
    let download = || Download::start(address, &down(BODY_BYTES), BODY_BYTES).finish();
    one("down", Some(TARGET_RATE), &members, report, download);
    one("up", Some(TARGET_RATE), &members, report, || upload(address, UP, BODY_BYTES));
    let members = stand.for_component();
    one("echo", None, &members, report, || Download::echo(address, ECHO, BODY_BYTES).finish());
    show_memory("speed", stand.memory(), report);
}

/// Each is measured once: a GB is many pieces.
fn one(name: &str, target: Option<Wanted>, members: &[Member], report: &mut Report, transfer: impl FnOnce()) {
    let (clock, mut used) = (Clock::start(members), Used::default());
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

/// What our programs have kept, at most and still.
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
