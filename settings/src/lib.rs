//! Flags, environment and a TOML file as one typed struct, for every program of the workspace.
//!
//! A program defines an ordinary `#[derive(clap::Parser)]` struct; its long flag names are the keys of
//! the file that `--config FILE` names. Flags beat the environment, the environment beats the file, the
//! file beats the defaults, and [`load`](load()) reports every error it finds rather than the first.
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
//! The rooms: `load` reads the layers, each in its own file (`load/command_line.rs`, `load/configured_value.rs`,
//! `load/file.rs`, and `load/table.rs` for `[[tables]]`); `value` holds durations, sizes and secrets; `program` holds
//! what every program needs: shared flags, exit codes, the log, signals, reloads; [`tls`] loads root
//! certificates; `nats_flags` connects to NATS.

mod load;
mod nats_flags;
mod program;
pub mod tls;
mod value;

pub use load::{Layers, Loaded, list, load, load_with, parsed, tables, text};
pub use nats_flags::NatsFlags;
pub use program::{
    ConfigErrors, Exit, FileWatch, LogFormat, ProgramFlags, Reload, ReloadTrigger, Stop, ThreadFlags,
    exit_code, may_colour, timestamp,
};
pub use value::{EmptySecret, Secret, duration, size};
