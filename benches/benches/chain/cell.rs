//! What is measured at once: a number of connections, and a head.

use std::time::Duration;

use h8s_benches::{Kind, Load, Measured, heads};
use http::Request;

use crate::page;
use crate::stand::Row;

const CONNECTIONS: [usize; 3] = [1, 64, 256];
const ROUND: Duration = Duration::from_millis(500);
/// Seconds that each kind is measured in each cell, where that is not the usual.
const SECONDS: &str = "H8S_BENCH_SECONDS";
/// Of seven kinds in six cells, with a round of each before that, that is two and a half minutes.
const USUAL_SECONDS: u32 = 3;

/// One of the tables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) connections: usize,
    pub(crate) head: Head,
}

/// What clients send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    Bare,
    Browser,
}

/// All of them, in the order in which they are shown.
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

    /// All rows, in turns.
    pub(crate) fn measure(&self, rows: &[Row]) -> Vec<Measured> {
        let (request, body) = (self.head.request(), page::body());
        let kind = |row: &Row| {
            let request = heads::http1(&request, row.host);
            let load = Load::open(row.address, request, body.as_bytes(), self.connections);
            Kind::new(row.name, load, row.members.clone())
        };
        let mut kinds: Vec<_> = rows.iter().map(kind).collect();
        Kind::take_turns(&mut kinds, rounds(), ROUND);
        kinds.into_iter().map(Kind::measured).collect()
    }
}

fn rounds() -> u32 {
    let seconds =
        std::env::var(SECONDS).ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(USUAL_SECONDS);
    2 * seconds.max(1)
}
