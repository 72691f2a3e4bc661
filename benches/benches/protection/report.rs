//! The output of this bench.

use std::time::Duration;

use h8s_benches::memory::mib;
use serde_json::json;

use crate::open_loop_load::Served;

/// The measured figures.
pub(crate) struct Report(h8s_benches::Report);

/// Milliseconds with three decimals.
fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

impl Report {
    pub(crate) fn new() -> Self {
        Self(h8s_benches::Report::new("protection"))
    }

    /// Reports one run of the load. `beside` is the run to compare with.
    pub(crate) fn load(&mut self, name: &str, served: &Served, beside: Option<&Served>) {
        let Served { times, answered, failed, why } = served;
        let (median, p99) = (millis(times.median()), millis(times.at(99)));
        let ratio = beside.map(|alone| p99 / millis(alone.times.at(99)));
        let shown = ratio.map_or(String::new(), |ratio| format!("   {ratio:.2} × alone (target 2)"));
        let why = why.as_ref().map_or(String::new(), |why| format!("   first failure: {why}"));
        self.0.row(
            &format!(
                "{name:28} p50 {median:7.3} ms   p99 {p99:7.3} ms   {answered} answered, {failed} failed (target 0)\
                 {shown}{why}"
            ),
            json!({
                "load": name, "p50_ms": median, "p99_ms": p99, "answered": answered, "failed": failed,
                "p99_ratio": ratio,
            }),
        );
    }

    /// Reports the gateway's memory, in bytes.
    pub(crate) fn memory(&mut self, name: &str, before: u64, most: u64, after: u64) {
        self.0.row(
            &format!(
                "{name:28} {:.1} MiB before, {:.1} MiB at most, {:.1} MiB after",
                mib(before),
                mib(most),
                mib(after)
            ),
            json!({ "memory": name, "before_bytes": before, "most_bytes": most, "after_bytes": after }),
        );
    }

    /// Reports a remark.
    pub(crate) fn note(&mut self, name: &str, text: &str) {
        self.0.row(&format!("{name:28} {text}"), json!({ "note": name, "text": text }));
    }

    /// Writes the JSON.
    pub(crate) fn write(&self) {
        self.0.write();
    }
}
