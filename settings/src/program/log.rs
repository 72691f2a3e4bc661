//! The log of a program: lines on standard error, as text or JSON.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

/// Format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Plain text.
    Text,
    /// One JSON object per line.
    Json,
}

impl LogFormat {
    /// Starts the process's log on standard error. `levels` is the filter, such as `info` or `warn,h8s_nats=debug`;
    /// `RUST_LOG` replaces it. Colours only on a terminal, and not if `NO_COLOR` is set (no-color.org).
    ///
    /// # Panics
    /// If the process has a log already.
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

/// The current time in the format of log lines: RFC 3339 in UTC, with microseconds.
pub fn timestamp() -> String {
    let mut text = String::with_capacity("2026-01-02T03:04:05.678901Z".len());
    // Writing to a String cannot fail.
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

/// Whether to emit ANSI colours on this stream: it is a terminal, and `NO_COLOR` is not set.
pub fn may_colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
