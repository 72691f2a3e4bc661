//! The exit code of a program that has run.

use std::fmt::Display;
use std::process::ExitCode;

/// For invalid settings, and for resources in them that are missing or in use.
const INVALID_SETTINGS: u8 = 2;

/// Prints an error as `program: error.` to standard error, and returns the exit code: 0 without an error, 2 if
/// `is_about_settings`, as for an invalid flag, and 1 otherwise. The text of the error must include its cause.
pub fn exit_code<E: Display>(
    program: &str,
    ended: Result<(), E>,
    is_about_settings: impl FnOnce(&E) -> bool,
) -> ExitCode {
    let Err(error) = ended else { return ExitCode::SUCCESS };
    eprintln!("{program}: {error}.");
    if is_about_settings(&error) { ExitCode::from(INVALID_SETTINGS) } else { ExitCode::FAILURE }
}
