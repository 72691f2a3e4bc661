//! Programs and packages that tests need and a machine may lack: found on the machine, or fetched.

pub(crate) mod browser;
pub(crate) mod nats_server;
pub(crate) mod python;
mod store;

use std::fmt;
use std::io::Write as _;

/// Without it, missing tools are fetched and no test is skipped.
const OFFLINE: &str = "H8S_TEST_OFFLINE";

/// A tool that is fetched where the machine lacks it.
///
/// A test that uses one begins with [`needs!`](crate::needs), so that it can be left out where nothing may be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// `nats-server` 2.10 or newer.
    NatsServer,
    /// Python 3 with the packages of [`python`](crate::python::python).
    Python,
    /// The source distribution of a Python package, such as `requests==2.34.2`.
    PythonSources(&'static str),
    /// Node.js, Playwright and Chromium.
    Browser,
}

impl Tool {
    /// Whether a test that needs it has to be left out: only with `H8S_TEST_OFFLINE=1`, and only where the tool is
    /// neither on the machine nor in `target/test-tools`. Then one line on standard error names the test and the tool.
    pub fn is_left_out(self) -> bool {
        if !is_offline() || self.find().is_ok() {
            return false;
        }
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("a test");
        report(&format!(
            "NOT RUN ({OFFLINE}): {test} needs {self}, which is neither on this machine nor in target/test-tools"
        ));
        true
    }

    fn find(self) -> Result<(), String> {
        match self {
            Self::NatsServer => nats_server::program().map(drop),
            Self::Python => python::interpreter().map(drop),
            Self::PythonSources(package) => python::sources(package).map(drop),
            Self::Browser => browser::installation().map(drop),
        }
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NatsServer => f.write_str("nats-server"),
            Self::Python => f.write_str("Python with packages"),
            Self::PythonSources(package) => write!(f, "the sources of {package}"),
            Self::Browser => f.write_str("a browser"),
        }
    }
}

/// Returns from a test whose [`Tool`](crate::Tool)s are missing where nothing may be fetched.
///
/// ```
/// use h8s_test_support::{Bus, Tool, needs};
///
/// # #[tokio::main]
/// async fn a_test() {
///     needs!(Tool::NatsServer);
///     let bus = Bus::real().await;
///     assert!(bus.url().starts_with("nats://"));
/// }
/// # a_test();
/// ```
#[macro_export]
macro_rules! needs {
    ($($tool:expr),+ $(,)?) => {
        $(if $crate::Tool::is_left_out($tool) {
            return;
        })+
    };
}

/// Whether `H8S_TEST_OFFLINE` is set.
fn is_offline() -> bool {
    std::env::var_os(OFFLINE).is_some_and(|value| !value.is_empty())
}

/// Announces a download, or refuses it.
///
/// # Errors
///
/// `H8S_TEST_OFFLINE` is set.
fn fetching(what: &str, from: &str) -> Result<(), String> {
    if is_offline() {
        return Err(format!("{what} is not in target/test-tools, and {OFFLINE} forbids fetching it"));
    }
    report(&format!("fetching {what} from {from} into target/test-tools …"));
    Ok(())
}

/// Writes a line to standard error itself: the test harness keeps back what the print macros write.
fn report(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
