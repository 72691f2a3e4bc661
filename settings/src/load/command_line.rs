//! The command line, read with every flag as plain text, so that all its errors can be found.

use std::ffi::OsString;

use clap::builder::{OsStr, OsStringValueParser, Resettable};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::{ConfigErrors, Exit};

/// Reads `argv` without checking values. Unknown flags and malformed options are recorded and skipped.
///
/// # Errors
/// Help or version, if requested.
pub(crate) fn read(
    typed: &Command,
    argv: &[OsString],
    errors: &mut ConfigErrors,
) -> Result<ArgMatches, Exit> {
    let plain = typed.clone().mut_args(untyped);
    let mut remaining = argv.to_vec();
    loop {
        let error = match plain.clone().try_get_matches_from(&remaining) {
            Ok(matches) => return Ok(matches),
            Err(error) => error,
        };
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                return Err(help_or_version(typed, argv, &error));
            }
            ErrorKind::UnknownArgument => {
                errors.push(unknown(&error));
                if drop_unknown(&mut remaining, &error) {
                    continue;
                }
            }
            // Checked at the end, when environment and file are known too.
            ErrorKind::MissingRequiredArgument | ErrorKind::ArgumentConflict => {}
            _ => errors.push(first_line(&error)),
        }
        return Ok(readable_part(plain, &remaining));
    }
}

/// The same flag, optional and with any value. Counted flags and switches have no value to loosen.
fn untyped(arg: Arg) -> Arg {
    let arg = without_environment(arg).required(false);
    match arg.get_action() {
        ArgAction::Set | ArgAction::Append => arg.value_parser(OsStringValueParser::new()),
        _ => arg,
    }
}

/// The environment is a separate layer: clap would put it above the file and accept empty values.
/// A positional keeps it, because it has no name that another layer could use.
pub(crate) fn without_environment(arg: Arg) -> Arg {
    if arg.get_long().is_none() { arg } else { arg.env(Resettable::<OsStr>::Reset) }
}

fn readable_part(plain: Command, argv: &[OsString]) -> ArgMatches {
    plain.ignore_errors(true).try_get_matches_from(argv).unwrap_or_default()
}

/// Rendered by the typed command, which knows possible values and the environment. It gets no other arguments, so
/// that an invalid value beside `--help` does not matter.
fn help_or_version(typed: &Command, argv: &[OsString], plain: &clap::Error) -> Exit {
    let long = argv.iter().any(|argument| argument == "--help");
    let help = [argv.first().cloned().unwrap_or_default(), if long { "--help" } else { "-h" }.into()];
    let text = match typed.clone().try_get_matches_from(help) {
        Err(error) if error.kind() == plain.kind() => error.render().to_string(),
        _ => plain.render().to_string(),
    };
    Exit::requested(text)
}

fn unknown(error: &clap::Error) -> String {
    let name = text(error, ContextKind::InvalidArg).unwrap_or_default();
    match text(error, ContextKind::SuggestedArg) {
        Some(similar) => format!("{name} is not a flag of this program; did you mean {similar}?"),
        None if name.starts_with('-') => format!("{name} is not a flag of this program; see --help."),
        None => format!("{name:?} is not expected here; see --help."),
    }
}

/// Removes the unknown flag, with what is probably its value, so that the rest can be read.
fn drop_unknown(argv: &mut Vec<OsString>, error: &clap::Error) -> bool {
    let Some(name) = text(error, ContextKind::InvalidArg) else { return false };
    let with_value = format!("{name}=");
    let found = argv.iter().skip(1).position(|argument| {
        let argument = argument.to_string_lossy();
        argument == name || argument.starts_with(&with_value)
    });
    let Some(at) = found.map(|position| position + 1) else { return false };
    let removed = argv.remove(at);
    let is_bare_flag = name.starts_with('-') && removed.to_string_lossy() == name;
    if is_bare_flag && argv.get(at).is_some_and(|next| !next.to_string_lossy().starts_with('-')) {
        argv.remove(at);
    }
    true
}

/// The message of clap as one sentence, without its "error:" and usage.
pub(crate) fn first_line(error: &clap::Error) -> String {
    let rendered = error.render().to_string();
    let message: Vec<&str> = rendered.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    let message = message.join(" ");
    format!("{}; see --help.", message.trim_start_matches("error: ").trim_end_matches('.'))
}

/// One piece of context of an error, as text.
pub(crate) fn text(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) if !texts.is_empty() => Some(texts.join(", ")),
        _ => None,
    }
}
