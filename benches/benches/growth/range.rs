//! Measures how the cost of a request grows over a range.

use std::time::Duration;

use h8s_benches::{Load, Measured, Report, Scenario, TrackedProcess, Wanted};
use serde_json::{Value, json};

/// Rounds of each scenario, in turns.
const ROUNDS: u32 = 8;
const ROUND: Duration = Duration::from_millis(400);
/// The cost at the end of the range, relative to its start.
const TARGET: Wanted = Wanted::AtMost(1.3);

/// Requests that differ in one number only.
#[derive(Debug)]
pub(crate) struct Range {
    name: &'static str,
    /// Each number, and the requests measured with it.
    scenarios: Vec<(usize, Scenario)>,
}

impl Range {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, scenarios: Vec::new() }
    }

    /// Adds the requests measured with `count`, and the processes of their chain.
    pub(crate) fn add(&mut self, count: usize, load: Load, processes: &[TrackedProcess]) {
        self.scenarios.push((count, Scenario::new(self.name, load, processes.to_vec())));
    }
}

/// Measures all ranges in turns, and prints each of them.
pub(crate) fn measure(ranges: Vec<Range>, report: &mut Report) {
    let (counts, mut scenarios): (Vec<_>, Vec<_>) =
        ranges.into_iter().flat_map(|range| range.scenarios).unzip();
    // The bench's own threads have no other work.
    tokio::task::block_in_place(|| Scenario::take_turns(&mut scenarios, ROUNDS, ROUND));
    let measured: Vec<_> = counts.into_iter().zip(scenarios.into_iter().map(Scenario::measured)).collect();
    for range in measured.chunk_by(|(_, one), (_, next)| one.name == next.name) {
        show(range, report);
    }
}

fn show(range: &[(usize, Measured)], report: &mut Report) {
    let name = range.first().map_or("nothing", |(_, measured)| measured.name);
    println!("  {name}");
    let costs: Vec<_> = range.iter().map(|(count, measured)| show_one(*count, measured, report)).collect();
    if let [first, .., last] = costs.as_slice() {
        let (wall, cpu) = (last.wall / first.wall, last.cpu / first.cpu);
        report.row(
            &format!(
                "        grows {wall:.2} times in time, {cpu:.2} times in cpu   {}",
                TARGET.judge(wall.max(cpu))
            ),
            json!({ "growth": name, "wall": wall, "cpu": cpu, "met": TARGET.is_met(wall.max(cpu)) }),
        );
    }
}

/// The cost of one request: the time to the next one, and the processor time of all processes, in microseconds.
struct Cost {
    wall: f64,
    cpu: f64,
}

fn show_one(count: usize, measured: &Measured, report: &mut Report) -> Cost {
    let micros = measured.used.micros(measured.count);
    let cpu = micros.iter().map(|(_, micros)| micros).sum();
    let of_each: Value = micros.into_iter().map(|(name, micros)| (name.to_owned(), micros)).collect();
    report.row(
        &format!(
            "{count:>6}  {:7.0}/s  {:8.1?} p50, {:8.1?} p99   cpu {cpu:5.1} µs: {}",
            measured.rate,
            measured.times.median(),
            measured.times.at(99),
            measured.used.each(measured.count)
        ),
        json!({
            "range": measured.name, "count": count, "per_s": measured.rate, "cpu_us": cpu, "cpu_us_of_each": of_each,
            "p50_us": measured.times.median().as_secs_f64() * 1e6,
            "p99_us": measured.times.at(99).as_secs_f64() * 1e6,
        }),
    );
    Cost { wall: 1e6 / measured.rate, cpu }
}
