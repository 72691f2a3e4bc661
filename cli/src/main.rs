//! `h8s`: selects the command, loads its flags, runs it.
//!
//! | command | room |
//! |---|---|
//! | `h8s dev` | [`dev`]: gateway, broker and host in one process |
//! | `h8s permissions` | [`permissions`]: NATS permissions per role |
//! | `h8s completions`, `h8s man` | [`reference`]: documentation of all programs' flags |

mod dev;
mod permissions;
mod reference;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::dev::Dev;
use crate::permissions::PermissionFlags;
use crate::reference::{CompletionFlags, ManFlags};

/// Keeps much less memory after bursts than the system's allocator.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The exit code for an invalid command line.
const INVALID_ARGUMENTS: u8 = 2;

/// Serve HTTP with WebAssembly components over NATS on one machine, and print NATS permissions
#[derive(Parser)]
#[command(name = "h8s", version)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

// For help, suggestions and documentation only: `main` loads each command's flags with environment and file.
#[derive(clap::Subcommand)]
enum Command {
    Dev(Dev),
    Permissions(PermissionFlags),
    Completions(CompletionFlags),
    Man(ManFlags),
}

fn main() -> ExitCode {
    let argv: Vec<OsString> = std::env::args_os().collect();
    match argv.get(1).and_then(|command| command.to_str()) {
        Some("dev") => dev::main(arguments("h8s dev", argv)),
        Some("permissions") => permissions::main(arguments("h8s permissions", argv)),
        Some("completions") => reference::completions(arguments("h8s completions", argv)),
        Some("man") => reference::man(arguments("h8s man", argv)),
        _ => help(argv),
    }
}

/// The arguments of a command, after its name.
fn arguments(name: &str, mut argv: Vec<OsString>) -> Vec<OsString> {
    argv.splice(..2, [name.into()]);
    argv
}

/// Prints help or the version, or the error in the command.
fn help(argv: Vec<OsString>) -> ExitCode {
    match Program::try_parse_from(argv) {
        Ok(_) => {
            eprintln!("the command must be the first argument, as in `h8s dev --help`");
            ExitCode::from(INVALID_ARGUMENTS)
        }
        Err(error) => error.exit(),
    }
}
