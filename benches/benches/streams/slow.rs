//! Measures the memory used for readers that are slow for a while.

use std::thread;
use std::time::Duration;

use h8s_benches::Report;
use h8s_benches::transfer::{Download, slow_time, timed};
use serde_json::json;

use crate::BODY_BYTES;
use crate::responder::down;
use crate::setup::{ECHO, Setup};
use crate::speed::show_memory;

const USUAL: Duration = Duration::from_secs(30);

pub(crate) fn measure(setup: &Setup, report: &mut Report) {
    let (address, time) = (setup.address(), slow_time(USUAL));
    println!("slow: two clients read 1 MB/s for {time:?}, one from the responder and one from the component");
    let memory = setup.memory();
    memory.forget_peaks();
    let mut from_responder = Download::start(address, &down(BODY_BYTES), BODY_BYTES);
    let mut from_component = Download::echo(address, ECHO, BODY_BYTES);
    thread::scope(|scope| {
        scope.spawn(|| from_responder.sip(time));
        from_component.sip(time);
    });
    show_memory("slow", memory, report);
    memory.forget_peaks();
    println!("  then at full speed, one after the other:");
    for (name, download) in [("responder", from_responder), ("component", from_component)] {
        let left = (BODY_BYTES - download.bytes()) as f64 / 1e6;
        let rate = left / timed(|| download.finish()).as_secs_f64();
        report.row(
            &format!("{name:10} the other {left:.0} MB at {rate:.0} MB/s, whole"),
            json!({ "rest": name, "mb": left, "mb_per_s": rate }),
        );
    }
    show_memory("rest", memory, report);
}
