//! Flags that several programs share.

use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::Duration;

use super::LogFormat;

/// The flags of every program. Flatten them into the program's flags.
#[derive(Clone, Debug, clap::Args)]
pub struct ProgramFlags {
    /// How long open requests may take to end after SIGTERM. A second signal ends at once
    // Shorter than the 30 s after which Kubernetes and most others kill the process.
    #[arg(long, env = "H8S_GRACE_PERIOD", value_name = "DURATION", default_value = "25s", value_parser = crate::duration)]
    pub grace_period: Duration,
    /// Log format. RUST_LOG sets the level (default: info)
    #[arg(long, env = "H8S_LOG_FORMAT", value_name = "FORMAT", default_value = "text", value_enum)]
    pub log_format: LogFormat,
}

/// The flag of the programs that relay traffic. Flatten it into the program's flags.
#[derive(Clone, Debug, clap::Args)]
pub struct ThreadFlags {
    /// Worker threads. One per processor unless set; fewer leave more to other programs on the machine
    #[arg(long, env = "H8S_THREADS", value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
}

impl ThreadFlags {
    /// The value of `--threads`, or else one per processor available to the process.
    pub fn count(&self) -> usize {
        self.threads.map_or_else(|| available_parallelism().map_or(1, NonZero::get), usize::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_overrides_the_number_of_processors() {
        assert_eq!(ThreadFlags { threads: Some(7) }.count(), 7);
        assert_eq!(ThreadFlags { threads: None }.count(), available_parallelism().unwrap().get());
    }
}
