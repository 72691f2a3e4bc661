//! The output: a table for people while the bench runs, and JSON for programs at the end.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

/// The figures of a bench.
#[derive(Debug)]
pub struct Report {
    file: PathBuf,
    rows: Vec<Value>,
}

impl Report {
    /// A report that writes its JSON to `target/<bench>.json` of the workspace.
    pub fn new(bench: &str) -> Self {
        let target = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target"));
        Self { file: target.join(bench).with_extension("json"), rows: Vec::new() }
    }

    /// Prints a line and records its figures.
    pub fn row(&mut self, line: &str, figures: Value) {
        println!("  {line}");
        self.record(figures);
    }

    /// Records figures without printing them.
    pub fn record(&mut self, figures: Value) {
        self.rows.push(figures);
    }

    /// Writes the JSON: one array.
    ///
    /// # Panics
    ///
    /// If the file cannot be written.
    pub fn write(&self) {
        let rows: Vec<_> = self.rows.iter().map(Value::to_string).collect();
        let written = fs::write(&self.file, format!("[\n{}\n]\n", rows.join(",\n")));
        written.unwrap_or_else(|error| panic!("{} cannot be written: {error}", self.file.display()));
        println!("written to {}", self.file.display());
    }
}

/// The target of a figure. A missed target does not fail a bench, since machines differ.
#[derive(Clone, Copy, Debug)]
pub enum Wanted {
    /// At least this value.
    AtLeast(f64),
    /// At most this value.
    AtMost(f64),
}

impl Wanted {
    /// Whether the figure meets the target.
    pub fn is_met(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(least) => figure >= least,
            Self::AtMost(most) => figure <= most,
        }
    }

    /// `target at least 300: met`.
    pub fn judge(self, figure: f64) -> String {
        format!("target {self}: {}", if self.is_met(figure) { "met" } else { "NOT MET" })
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "at least {least}"),
            Self::AtMost(most) => write!(f, "at most {most}"),
        }
    }
}
