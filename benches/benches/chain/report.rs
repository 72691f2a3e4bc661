//! The output: a table for people while the bench runs, and JSON for programs at the end.

use h8s_benches::{Measured, Wanted};
use serde_json::{Map, Value, json};

use crate::cell::Cell;
use crate::target::{Target, targets};

/// The measured figures.
pub(crate) struct Report {
    cells: h8s_benches::Report,
    met: usize,
    targets: usize,
}

impl Report {
    /// A new report, which prints remarks before the figures.
    pub(crate) fn start(remarks: &[String]) -> Self {
        let mut cells = h8s_benches::Report::new("chain");
        remarks.iter().for_each(|remark| cells.row(remark, json!({ "remark": remark })));
        Self { cells, met: 0, targets: 0 }
    }

    /// Prints a table and its targets.
    pub(crate) fn cell(&mut self, cell: &Cell, measured: Vec<Measured>) {
        println!("\n{}", cell.name());
        println!(
            "  {:14}{:>10}{:>8}{:>8}{:>11}{:>11}   cpu of a request, µs",
            "", "requests/s", "×hyper", "×naive", "p50, µs", "p99, µs"
        );
        let rate = |name| measured.iter().find(|row| row.name == name).map_or(f64::NAN, |row| row.rate);
        let beside = [rate("hyper"), rate("naive")];
        let rows: Vec<_> = measured.iter().map(|row| show_row(row, beside)).collect();
        let targets = targets(cell, &measured);
        let shown: Vec<_> = targets.iter().map(show_target).collect();
        self.targets += targets.len();
        self.met += targets.iter().filter(|target| target.wanted.is_met(target.figure)).count();
        self.cells.record(json!({
            "connections": cell.connections, "head": cell.head.name(), "rows": rows, "targets": shown,
        }));
    }

    /// Prints the summary and writes the JSON: one array.
    pub(crate) fn end(&self) {
        println!("\n{} of {} targets are met", self.met, self.targets);
        self.cells.write();
    }
}

/// `beside` is requests/s of hyper alone and of the naive gateway.
fn show_row(row: &Measured, beside: [f64; 2]) -> Value {
    let micros = |percent| row.times.at(percent).as_secs_f64() * 1e6;
    let (p50, p99) = (micros(50), micros(99));
    let [to_hyper, to_naive] = beside.map(|other| row.rate / other);
    let each = row.used.micros(row.count);
    let names: Vec<_> = each.iter().map(|(name, cpu)| format!("{name} {cpu:.1}")).collect();
    let sum: f64 = each.iter().map(|(_, cpu)| cpu).sum();
    println!(
        "  {:14}{:10.0}{to_hyper:8.2}{to_naive:8.2}{p50:11.0}{p99:11.0}   {sum:.1} = {}",
        row.name,
        row.rate,
        names.join(" + ")
    );
    let cpu: Map<_, _> = each.into_iter().map(|(name, cpu)| (name.to_owned(), json!(cpu))).collect();
    json!({
        "row": row.name, "requests_per_second": row.rate, "to_hyper": to_hyper, "to_naive": to_naive,
        "p50_us": p50, "p99_us": p99, "requests": row.count, "cpu_us": cpu, "cpu_us_sum": sum,
    })
}

fn show_target(target: &Target) -> Value {
    let Target { what, figure, wanted } = target;
    let (how, number) = match wanted {
        Wanted::AtLeast(number) => ("at least", number),
        Wanted::AtMost(number) => ("at most", number),
    };
    println!("  {what:40}{figure:6.2}   {}", wanted.judge(*figure));
    json!({ "target": what, "figure": figure, how: number, "met": wanted.is_met(*figure) })
}
