//! `h8s`: which command → its flags → run.

mod banner;
mod dev;
mod failure;
mod flags;
mod origin;
mod permissions;
mod placement;
mod source;
mod sources;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::dev::failure::Failure;
use crate::dev::flags::Dev;
use crate::permissions::PermissionFlags;

/// Much less memory kept after bursts than the system's allocator keeps.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// As for every mistake on a command line.
const MISTAKEN: u8 = 2;

/// HTTP to WebAssembly components over NATS, on one machine; and what NATS users need
#[derive(Parser)]
#[command(name = "h8s", version)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    // A command's own flags are loaded with environment and file in `main`; here they are for the help.
    Dev(Dev),
    Permissions(PermissionFlags),
}

fn main() -> ExitCode {
    let argv: Vec<OsString> = std::env::args_os().collect();
    match argv.get(1).and_then(|command| command.to_str()) {
        Some("dev") => dev(named("h8s dev", argv)),
        Some("permissions") => permissions::print(named("h8s permissions", argv)),
        _ => help(argv),
    }
}

/// A command's own arguments, after its name.
fn named(name: &str, mut argv: Vec<OsString>) -> Vec<OsString> {
    argv.splice(..2, [name.into()]);
    argv
}

fn dev(argv: Vec<OsString>) -> ExitCode {
    let flags = h8s_settings::load::<Dev>(argv).unwrap_or_else(|exit| exit.exit()).flags;
    flags.log_format.start(flags.levels());
    match run(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Help and version, or what is wrong with the command.
fn help(argv: Vec<OsString>) -> ExitCode {
    match Program::try_parse_from(argv) {
        Ok(Program { command: Command::Dev(_) | Command::Permissions(_) }) => {
            eprintln!("the command comes first, as in `h8s dev --help`");
            ExitCode::from(MISTAKEN)
        }
        Err(error) => error.exit(),
    }
}

fn run(flags: Dev) -> Result<(), Failure> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::Runtime)?;
    let ended = runtime.block_on(dev::run(flags));
    // The process ends now, and all its parts with it: ended one after the other, they would complain of each other.
    std::mem::forget(runtime);
    ended
}
