//! A cell: a number of connections and a head.

use std::time::Duration;

use h8s_benches::{Load, Measured, Scenario, heads};
use http::Request;

use crate::page;
use crate::setup::Row;

const CONNECTIONS: [usize; 3] = [1, 64, 256];
const ROUND: Duration = Duration::from_millis(500);
/// The environment variable with the seconds per row and cell.
const SECONDS: &str = "H8S_BENCH_SECONDS";
/// With seven rows in six cells and a warm-up round each, this takes two and a half minutes.
const USUAL_SECONDS: u32 = 3;

/// One table of the output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) connections: usize,
    pub(crate) head: Head,
}

/// The head that clients send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    Bare,
    Browser,
}

/// All cells, in the order of the output.
pub(crate) fn all() -> impl Iterator<Item = Cell> {
    let heads = [Head::Bare, Head::Browser];
    heads.into_iter().flat_map(|head| CONNECTIONS.map(|connections| Cell { connections, head }))
}

impl Head {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Browser => "browser",
        }
    }

    fn request(self) -> Request<()> {
        match self {
            Self::Bare => heads::bare(),
            Self::Browser => heads::browser(),
        }
    }
}

impl Cell {
    /// `64 connections, bare head`.
    pub(crate) fn name(&self) -> String {
        let plural = if self.connections == 1 { "" } else { "s" };
        format!("{} connection{plural}, {} head", self.connections, self.head.name())
    }

    /// Measures all rows in turns.
    pub(crate) fn measure(&self, rows: &[Row]) -> Vec<Measured> {
        let (request, body) = (self.head.request(), page::body());
        let scenario = |row: &Row| {
            let request = heads::http1(&request, row.host);
            let load = Load::open(row.address, request, body.as_bytes(), self.connections);
            Scenario::new(row.name, load, row.processes.clone())
        };
        let mut scenarios: Vec<_> = rows.iter().map(scenario).collect();
        Scenario::take_turns(&mut scenarios, rounds(), ROUND);
        scenarios.into_iter().map(Scenario::measured).collect()
    }
}

fn rounds() -> u32 {
    let seconds =
        std::env::var(SECONDS).ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(USUAL_SECONDS);
    2 * seconds.max(1)
}
