//! Targets, and whether they are met.

use h8s_benches::{Measured, Wanted};

use crate::cell::{Cell, Head};

/// A figure and its target.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) what: &'static str,
    pub(crate) figure: f64,
    pub(crate) wanted: Wanted,
}

/// The targets of a cell whose rows were measured.
pub(crate) fn targets(cell: &Cell, measured: &[Measured]) -> Vec<Target> {
    let targets = if cell.connections == 1 { alone(measured) } else { under_load(cell, measured) };
    targets.into_iter().flatten().collect()
}

/// With one connection there is no queueing, so the time of a request is compared.
fn alone(measured: &[Measured]) -> Vec<Option<Target>> {
    let p50 = |measured: &Measured| measured.times.median().as_secs_f64();
    vec![
        Target::of("native ÷ naive, p50", Wanted::AtMost(1.0), measured, ["native", "naive"], p50),
        gateway_cost(measured),
    ]
}

fn under_load(cell: &Cell, measured: &[Measured]) -> Vec<Option<Target>> {
    let rate = |measured: &Measured| measured.rate;
    let native = match (cell.head, cell.connections) {
        (Head::Browser, _) => 1.6,
        (Head::Bare, ..256) => 1.2,
        (Head::Bare, _) => 1.3,
    };
    let at_least = |what, wanted, names| Target::of(what, Wanted::AtLeast(wanted), measured, names, rate);
    vec![
        at_least("native ÷ naive, requests/s", native, ["native", "naive"]),
        gateway_cost(measured),
        at_least("component ÷ wasmtime, requests/s", 2.5, ["component", "wasmtime"]),
        at_least("component ÷ wasmtime+pool, requests/s", 1.0, ["component", "wasmtime+pool"]),
    ]
}

fn gateway_cost(measured: &[Measured]) -> Option<Target> {
    // The gateway or server is the first process of the chain.
    let first =
        |measured: &Measured| measured.used.micros(measured.count).first().map_or(f64::NAN, |(_, cpu)| *cpu);
    Target::of("h8sd (native) ÷ hyper, cpu", Wanted::AtMost(1.6), measured, ["native", "hyper"], first)
}

impl Target {
    fn of(
        what: &'static str,
        wanted: Wanted,
        measured: &[Measured],
        [one, other]: [&str; 2],
        figure: impl Fn(&Measured) -> f64,
    ) -> Option<Self> {
        let figure = |name| measured.iter().find(|measured| measured.name == name).map(&figure);
        Some(Self { what, figure: figure(one)? / figure(other)?, wanted })
    }
}
