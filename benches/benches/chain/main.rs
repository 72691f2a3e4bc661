//! What the whole chain costs beside what else there is: hyper alone, an obvious gateway, `wasmtime serve`. Servers,
//! responders and the NATS server are processes of their own, on loopback.
//!
//! Everybody answers with the same bytes, and is measured in turns in the same run: `README.md` says what is beside what.

mod alone;
mod cell;
mod naive;
mod native;
mod page;
mod report;
mod responder;
mod stand;
mod target;
mod wasmtime;

use h8s_benches::runtime;
use h8s_benches::usage::raise_descriptors;

use report::Report;
use stand::Stand;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [alone::ROLE] => alone::run(),
        [naive::ROLE, nats_url] => naive::run(nats_url),
        [responder::ROLE, nats_url, subject] => responder::run(nats_url, subject),
        [native::ROLE, nats_url] => native::run(nats_url),
        [] => measure("", ""),
        [cells] => measure(cells, ""),
        [cells, rows, ..] => measure(cells, rows),
    }
}

/// The cells and the rows whose names contain these.
fn measure(cells: &str, rows: &str) {
    raise_descriptors();
    let runtime = runtime();
    let _entered = runtime.enter();
    let mut stand = runtime.block_on(Stand::start());
    stand.rows.retain(|row| row.name.contains(rows));
    let mut report = Report::start(&stand.remarks);
    for cell in cell::all().filter(|cell| cell.name().contains(cells)) {
        report.cell(&cell, cell.measure(&stand.rows));
    }
    report.end();
}
