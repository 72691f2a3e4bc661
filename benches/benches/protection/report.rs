//! What is shown: a table for people as it is measured, and JSON for programs at the end.

use std::fs;
use std::time::Duration;

use crate::steady::Served;

/// Where the JSON is, in the directory of the bench's workspace.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/protection.json");

/// Everything measured so far.
#[derive(Default)]
pub(crate) struct Report(Vec<String>);

/// Milliseconds to three digits after the point.
fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

impl Report {
    /// One run of the load. `beside`: the one to which it is compared.
    pub(crate) fn load(&mut self, name: &str, served: &Served, beside: Option<&Served>) {
        let Served { times, answered, failed, why } = served;
        let (median, p99) = (millis(times.median()), millis(times.at(99)));
        let ratio = beside.map(|alone| p99 / millis(alone.times.at(99)));
        let shown = ratio.map_or(String::new(), |ratio| format!("   {ratio:.2} × alone (target 2)"));
        println!(
            "  {name:28} p50 {median:7.3} ms   p99 {p99:7.3} ms   {answered} answered, {failed} failed (target 0){shown}"
        );
        if let Some(why) = why {
            println!("  {:28} first failure: {why}", "");
        }
        let ratio = ratio.map_or("null".to_owned(), |ratio| format!("{ratio:.3}"));
        self.0.push(format!(
            "{{\"load\":\"{name}\",\"p50_ms\":{median:.4},\"p99_ms\":{p99:.4},\"answered\":{answered},\
             \"failed\":{failed},\"p99_ratio\":{ratio}}}"
        ));
    }

    /// Memory of the gateway, in bytes.
    pub(crate) fn memory(&mut self, name: &str, before: u64, most: u64, after: u64) {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        println!(
            "  {name:28} {:.1} MiB before, {:.1} MiB at most, {:.1} MiB after",
            mib(before),
            mib(most),
            mib(after)
        );
        self.0.push(format!(
            "{{\"memory\":\"{name}\",\"before_bytes\":{before},\"most_bytes\":{most},\"after_bytes\":{after}}}"
        ));
    }

    /// Whatever else is to be known, in words without quotes.
    pub(crate) fn note(&mut self, name: &str, text: &str) {
        println!("  {name:28} {text}");
        let text = text.replace('\\', "\\\\").replace('"', "\\\"");
        self.0.push(format!("{{\"note\":\"{name}\",\"text\":\"{text}\"}}"));
    }

    /// The JSON: one array.
    pub(crate) fn write(&self) {
        let written = fs::write(FILE, format!("[\n{}\n]\n", self.0.join(",\n")));
        written.unwrap_or_else(|error| panic!("{FILE} cannot be written: {error}"));
        println!("written to {FILE}");
    }
}
