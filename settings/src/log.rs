//! The log of a program: lines on standard error, for people or for machines.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

impl LogFormat {
    /// Starts the process's log, on standard error, so that standard output stays free. `levels` says which lines
    /// there are (`info`, or `warn,h8s_nats=debug`), unless `RUST_LOG` does. Colours only on a terminal, and not
    /// where `NO_COLOR` is set (no-color.org).
    ///
    /// # Panics
    /// When the process has a log already.
    pub fn start(self, levels: &str) {
        let levels = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(levels));
        let log = tracing_subscriber::fmt()
            .with_env_filter(levels)
            .with_writer(std::io::stderr)
            .with_ansi(may_colour(&std::io::stderr()));
        match self {
            Self::Text => log.init(),
            Self::Json => log.json().init(),
        }
    }
}

/// Now, as the lines of the log say it: RFC 3339 in UTC, with microseconds.
pub fn timestamp() -> String {
    let mut text = String::with_capacity("2026-01-02T03:04:05.678901Z".len());
    // Fails only where the text does not take it.
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

/// Whether this stream is for somebody's eyes, who has nothing against colours.
pub fn may_colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
