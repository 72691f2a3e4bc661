//! The process's limit of open files. Each client connection needs one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Config;

/// Listeners, NATS, the runtime and a reserve.
const OTHER_FILES: u64 = 100;

impl Config {
    /// Open files at full load.
    fn needed_files(&self) -> u64 {
        u64::from(self.max_connections) + u64::from(self.websockets.max_open) + OTHER_FILES
    }
}

/// Raises the process's soft limit of open files to the hard limit, and logs a warning if `config` needs more. (The soft
/// limit is low only for programs that use `select`.)
pub fn raise_limit(config: &Config) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!(%error, ?current, ?maximum, "failed to raise the limit of open files");
    }
    let (limit, needed) = (getrlimit(Resource::Nofile).current, config.needed_files());
    if let Some(limit) = limit.filter(|limit| *limit < needed) {
        tracing::warn!(
            limit,
            needed,
            "the limit of open files is too low for --max-connections plus --max-websockets; raise it (ulimit -n)"
        );
    }
}
