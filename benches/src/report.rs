//! What is shown: a table for people as it is measured, and JSON for programs at the end.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

/// Everything that a bench has measured so far.
#[derive(Debug)]
pub struct Report {
    file: PathBuf,
    rows: Vec<Value>,
}

impl Report {
    /// Its JSON will be in `target/<bench>.json` of the workspace.
    pub fn new(bench: &str) -> Self {
        let target = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target"));
        Self { file: target.join(bench).with_extension("json"), rows: Vec::new() }
    }

    /// A line for people, and the same for programs.
    pub fn row(&mut self, line: &str, figures: Value) {
        println!("  {line}");
        self.record(figures);
    }

    /// For programs only: people are shown it otherwise.
    pub fn record(&mut self, figures: Value) {
        self.rows.push(figures);
    }

    /// The JSON: one array.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn write(&self) {
        let rows: Vec<_> = self.rows.iter().map(Value::to_string).collect();
        let written = fs::write(&self.file, format!("[\n{}\n]\n", rows.join(",\n")));
        written.unwrap_or_else(|error| panic!("{} cannot be written: {error}", self.file.display()));
        println!("written to {}", self.file.display());
    }
}

/// What a figure is to reach. None of them fails a bench: machines differ.
#[derive(Clone, Copy, Debug)]
pub enum Wanted {
    /// As much or more.
    AtLeast(f64),
    /// As little or less.
    AtMost(f64),
}

impl Wanted {
    /// Whether it does.
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
