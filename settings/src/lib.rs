//! Flags, environment and a TOML file as one typed struct, for every program of the workspace.
//!
//! A program defines an ordinary `#[derive(clap::Parser)]` struct; its long flag names are the keys of
//! the file that `--config FILE` names. Flags beat the environment, the environment beats the file, the
//! file beats the defaults, and [`load`](load()) reports every mistake it finds rather than the first.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! #[derive(clap::Parser)]
//! struct Flags {
//!     /// A TOML file with the same keys as the flags
//!     #[arg(long, env = "H8S_CONFIG", value_name = "FILE")]
//!     config: Option<std::path::PathBuf>,
//!     /// How long a responder may take until its response head
//!     #[arg(long, env = "H8S_REQUEST_TIMEOUT", default_value = "10s", value_parser = h8s_settings::duration)]
//!     request_timeout: Duration,
//!     /// Requests must carry exactly this `Authorization`
//!     #[arg(long, env = "H8S_AUTHORIZATION_KEY")]
//!     authorization_key: Option<h8s_settings::Secret>,
//! }
//!
//! let settings = h8s_settings::load::<Flags>(std::env::args_os()).unwrap_or_else(|exit| exit.exit());
//! println!("{:?}", settings.flags.request_timeout);
//! ```
//!
//! Where to look: [`load`](load()) is in `load.rs`; what one flag was given, and by whom, in `given.rs`; the
//! command line in `command_line.rs`; the file in `file.rs`, its further tables in `table.rs`; the log that `--log-format`
//! asks for in `log.rs`; how many threads there are in `threads.rs`; the signals that end a program in `stop.rs`; what
//! makes it read its files again in `reload.rs` and `file_watch.rs`.

mod command_line;
mod duration;
mod exit;
mod file;
mod file_watch;
mod given;
mod load;
mod log;
mod nats_flags;
mod reload;
mod secret;
mod size;
mod stop;
mod table;
mod threads;

pub use duration::duration;
pub use exit::{Exit, Mistakes};
pub use file_watch::FileWatch;
pub use load::{Loaded, load, load_with};
pub use log::{LogFormat, may_colour, timestamp};
pub use nats_flags::NatsFlags;
pub use reload::{Asked, Reload};
pub use secret::{EmptySecret, Secret};
pub use size::size;
pub use stop::Stop;
pub use table::{list, parsed, tables, text};
pub use threads::threads;
