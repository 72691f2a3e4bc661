//! How many files this process may have open: each client connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Config;

/// Listeners, NATS, the runtime, and a few to spare.
const OTHER_FILES: u64 = 100;

impl Config {
    /// Open files, when everything is as busy as it may be.
    fn needed_files(&self) -> u64 {
        u64::from(self.max_connections) + u64::from(self.websockets.max_open) + OTHER_FILES
    }
}

/// Raises the soft limit of open files to the hard one, for the whole process; and says so if that is still not enough
/// for `config`. The soft limit is low for the sake of programs that use `select`, which this is none of.
pub fn raise_limit(config: &Config) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!(%error, ?current, ?maximum, "the limit of open files cannot be raised");
    }
    let (limit, needed) = (getrlimit(Resource::Nofile).current, config.needed_files());
    if let Some(limit) = limit.filter(|limit| *limit < needed) {
        tracing::warn!(
            limit,
            needed,
            "--max-connections and --max-websockets together need more open files than this process may have"
        );
    }
}
