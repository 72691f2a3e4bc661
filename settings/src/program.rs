//! What every program of the workspace does beside its work: flags, exit codes, the log, signals, reloads.

mod exit;
mod exit_code;
mod file_watch;
mod flags;
mod log;
mod reload;
mod stop;

pub use exit::{ConfigErrors, Exit};
pub use exit_code::exit_code;
pub use file_watch::FileWatch;
pub use flags::{ProgramFlags, ThreadFlags};
pub use log::{LogFormat, may_colour, timestamp};
pub use reload::{Reload, ReloadTrigger};
pub use stop::Stop;
