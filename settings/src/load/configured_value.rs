//! The value of one flag, where it comes from, and whether its type accepts it.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::error::{ContextKind, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::command_line::text;
use super::file;
use crate::{ConfigErrors, Secret};

/// Where a value comes from, in order of precedence. Defaults stay with clap.
pub(crate) enum ValueSource {
    CommandLine,
    Environment(String),
    File(PathBuf),
    /// A table of the file, by its label.
    Table(String),
}

/// The values of one flag that replace its default.
pub(crate) struct ConfiguredValue {
    pub(crate) source: ValueSource,
    pub(crate) values: Vec<OsString>,
}

/// The flag's value from the highest layer that has one. An empty environment variable counts as not set.
pub(crate) fn configured_value(
    arg: &Arg,
    line: &ArgMatches,
    env: &dyn Fn(&OsStr) -> Option<OsString>,
    file: Option<(&PathBuf, &file::File)>,
) -> Option<ConfiguredValue> {
    if line.value_source(arg.get_id().as_str()) == Some(clap::parser::ValueSource::CommandLine) {
        let values = line.get_raw(arg.get_id().as_str()).into_iter().flatten().map(OsStr::to_owned).collect();
        return Some(ConfiguredValue { source: ValueSource::CommandLine, values });
    }
    if let Some((name, value)) = arg.get_env().and_then(|name| Some((name, env(name)?)))
        && !value.is_empty()
    {
        let source = ValueSource::Environment(name.to_string_lossy().into_owned());
        return Some(ConfiguredValue { source, values: vec![value] });
    }
    let (path, file) = file?;
    let values = file.values.get(arg.get_long()?)?.clone();
    Some(ConfiguredValue { source: ValueSource::File(path.clone()), values })
}

impl ConfiguredValue {
    /// Records every value that the flag's own type refuses. `typed` has no required flags and no environment.
    pub(crate) fn check(&self, arg: &Arg, typed: &Command, errors: &mut ConfigErrors) {
        if matches!(self.source, ValueSource::CommandLine) && !arg.get_action().takes_values() {
            return;
        }
        for value in &self.values {
            if let Some(refusal) = refusal(arg, value, typed) {
                errors.push(format!("{}: {refusal}{}.", self.name(arg, value), example(arg)));
            }
        }
    }

    /// The command-line arguments for it. Empty if the command line has them already.
    pub(crate) fn arguments(&self, arg: &Arg) -> Vec<OsString> {
        if matches!(self.source, ValueSource::CommandLine) { Vec::new() } else { self.as_arguments(arg) }
    }

    /// The value as command-line arguments. Empty for a positional.
    pub(crate) fn as_arguments(&self, arg: &Arg) -> Vec<OsString> {
        let Some(long) = arg.get_long() else { return Vec::new() };
        let with = |value: &OsString| argument(long, value);
        match arg.get_action().takes_values() {
            true => self.values.iter().map(with).collect(),
            false if self.values.iter().any(|value| value == "true" || value == "1") => {
                vec![format!("--{long}").into()]
            }
            false => Vec::new(),
        }
    }

    fn name(&self, arg: &Arg, value: &OsStr) -> String {
        let shown = if is_secret(arg) { "[secret]".to_owned() } else { format!("{value:?}") };
        let long = arg.get_long().unwrap_or_else(|| arg.get_id().as_str());
        match &self.source {
            ValueSource::CommandLine if arg.is_positional() => format!("{long} {shown}"),
            ValueSource::CommandLine => format!("--{long} {shown}"),
            ValueSource::Environment(name) => format!("{name}={shown}"),
            ValueSource::Table(label) => format!("{label}: {long} = {shown}"),
            ValueSource::File(path) => format!("{}: {long} = {shown}", path.display()),
        }
    }
}

/// `--name=value`: in this form a value may begin with a dash.
fn argument(long: &str, value: &OsStr) -> OsString {
    let mut argument = OsString::from(format!("--{long}="));
    argument.push(value);
    argument
}

/// The reason for which the flag's type refuses a value, if it does.
fn refusal(arg: &Arg, value: &OsStr, typed: &Command) -> Option<String> {
    let Some(long) = arg.get_long() else { return positional_refusal(arg, value) };
    if !arg.get_action().takes_values() {
        return switch_refusal(arg, value);
    }
    let error = typed.clone().try_get_matches_from([OsString::new(), argument(long, value)]).err()?;
    refused_by(&error)
}

/// A positional is parsed alone, in a separate command.
fn positional_refusal(arg: &Arg, value: &OsStr) -> Option<String> {
    let alone = Arg::new("alone").value_parser(ValueParser::clone(arg.get_value_parser()));
    let error = Command::new("alone")
        .arg(alone)
        .try_get_matches_from([OsStr::new(""), OsStr::new("--"), value])
        .err()?;
    refused_by(&error)
}

/// A switch has no value on the command line; in the environment and the file it is true or false.
fn switch_refusal(arg: &Arg, value: &OsStr) -> Option<String> {
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue | ArgAction::SetFalse);
    let is_known = ["true", "false", "1", "0"].iter().any(|known| value == *known);
    match (is_switch, is_known) {
        (true, true) => None,
        (true, false) => Some("expected true or false".to_owned()),
        (false, _) => Some("can only be given on the command line".to_owned()),
    }
}

/// Reports errors of the value only. Conflicts between flags are checked when all values are known.
fn refused_by(error: &clap::Error) -> Option<String> {
    match error.kind() {
        ErrorKind::ValueValidation => {
            let source = std::error::Error::source(error).map(ToString::to_string);
            Some(source.unwrap_or_else(|| "not a valid value".to_owned()))
        }
        ErrorKind::InvalidValue => Some(match text(error, ContextKind::ValidValue) {
            Some(values) => format!("expected one of {values}"),
            None => "a value is required".to_owned(),
        }),
        ErrorKind::InvalidUtf8 => Some("not UTF-8".to_owned()),
        _ => None,
    }
}

/// The default, as an example of a valid value.
fn example(arg: &Arg) -> String {
    match arg.get_default_values() {
        [default] if arg.get_action().takes_values() && !default.is_empty() => {
            format!(" (the default is {})", default.to_string_lossy())
        }
        _ => String::new(),
    }
}

/// Masked wherever values are shown: secrets, and flags that a program hides from its help.
pub(crate) fn is_secret(arg: &Arg) -> bool {
    arg.is_hide_env_values_set() || arg.get_value_parser().type_id() == std::any::TypeId::of::<Secret>()
}
