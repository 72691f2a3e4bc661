//! Measures the whole chain next to its alternatives: hyper alone, a naive gateway, `wasmtime serve`. Servers,
//! responders and the NATS server are separate processes on loopback.
//!
//! All rows respond with the same bytes and are measured in turns in the same run; see `README.md`.

mod alone;
mod cell;
mod naive;
mod native;
mod page;
mod report;
mod responder;
mod setup;
mod target;
mod wasmtime;

use h8s_benches::runtime;
use h8s_benches::usage::raise_descriptors;

use report::Report;
use setup::Setup;

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

/// Filters by names of cells and rows.
fn measure(cells: &str, rows: &str) {
    raise_descriptors();
    let runtime = runtime();
    let _entered = runtime.enter();
    let mut setup = runtime.block_on(Setup::start());
    setup.rows.retain(|row| row.name.contains(rows));
    let mut report = Report::start(&setup.remarks);
    for cell in cell::all().filter(|cell| cell.name().contains(cells)) {
        report.cell(&cell, cell.measure(&setup.rows));
    }
    report.end();
}
