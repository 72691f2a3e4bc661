//! Reads all layers into one struct: the command line, the environment, the file, the defaults.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Command, Parser};

mod command_line;
mod configured_value;
mod file;
mod layers;
mod table;

use command_line::without_environment;
use configured_value::{ConfiguredValue, configured_value, is_secret};
use file::File;
pub use layers::Layers;
pub use table::{list, parsed, tables, text};

use crate::{ConfigErrors, Exit};

/// The flag that names the file. It is not a key: a file cannot name another.
const CONFIG: &str = "config";

/// A program's settings, merged from all layers.
#[derive(Debug)]
pub struct Loaded<F> {
    /// The program's own struct.
    pub flags: F,
    /// The tables named in the call of [`load_with`], as the file has them. Empty without a file.
    pub tables: toml::Table,
    /// The file of `--config`, if any.
    pub file: Option<PathBuf>,
    /// The values behind `flags`, for tables that override them.
    pub layers: Layers,
}

/// Reads flags, environment and the `--config` file into `F`. `argv` begins with the program's name.
///
/// Flags beat environment beat file beat defaults. An empty environment variable counts as not set. In the
/// file, keys are long flag names; scalars of any type count as their text, a list as the flag repeated, and
/// switches are `true` or `false`. `F` must not have subcommands with flags of their own: choose the
/// subcommand first, then load its struct.
///
/// # Errors
/// All errors found, in one [`Exit`]; or the requested help or version.
pub fn load<F: Parser>(argv: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Loaded<F>, Exit> {
    load_with(argv, &[])
}

/// [`load`], where the file may also hold these tables or arrays of tables (such as `component` for
/// `[[component]]`). They are returned unchanged in [`Loaded::tables`].
///
/// # Errors
/// As [`load`].
pub fn load_with<F: Parser>(
    argv: impl IntoIterator<Item = impl Into<OsString>>,
    tables: &[&str],
) -> Result<Loaded<F>, Exit> {
    load_from(argv, tables, &|name| std::env::var_os(name))
}

fn load_from<F: Parser>(
    argv: impl IntoIterator<Item = impl Into<OsString>>,
    tables: &[&str],
    env: &dyn Fn(&OsStr) -> Option<OsString>,
) -> Result<Loaded<F>, Exit> {
    let argv: Vec<OsString> = argv.into_iter().map(Into::into).collect();
    let mut errors = ConfigErrors::new();
    let command = F::command().mut_args(mask_secrets);
    let line = command_line::read(&command, &argv, &mut errors)?;
    let (path, file) = read_file(&command, &line, tables, env, &mut errors);

    let layers =
        collect(&command, |arg| configured_value(arg, &line, env, path.as_ref().map(|path| (path, &file))));
    check(&command, &line, &layers, &mut errors);
    errors.into_result()?;

    let flags = parse(command.clone(), argv, &layers)?;
    Ok(Loaded { flags, tables: file.tables, file: path, layers: Layers::new(command, layers) })
}

/// `--help` shows values from the environment, except for secrets.
fn mask_secrets(arg: Arg) -> Arg {
    let is_secret = is_secret(&arg);
    arg.hide_env_values(is_secret)
}

fn collect(
    command: &Command,
    value: impl Fn(&Arg) -> Option<ConfiguredValue>,
) -> Vec<(Arg, ConfiguredValue)> {
    command.get_arguments().filter_map(|arg| Some((arg.clone(), value(arg)?))).collect()
}

fn read_file(
    command: &Command,
    line: &ArgMatches,
    tables: &[&str],
    env: &dyn Fn(&OsStr) -> Option<OsString>,
    errors: &mut ConfigErrors,
) -> (Option<PathBuf>, File) {
    let config = command.get_arguments().find(|arg| arg.get_long() == Some(CONFIG));
    let named = config.and_then(|config| configured_value(config, line, env, None)?.values.pop());
    let Some(path) = named.map(PathBuf::from) else { return (None, File::default()) };
    let keys: Vec<&str> =
        command.get_arguments().filter_map(Arg::get_long).filter(|long| *long != CONFIG).collect();
    let file = file::read(&path, &keys, tables, errors);
    (Some(path), file)
}

/// Records every value that its type refuses, and every required flag without a value.
fn check(command: &Command, line: &ArgMatches, layers: &[(Arg, ConfiguredValue)], errors: &mut ConfigErrors) {
    let typed = command.clone().mut_args(|arg| without_environment(arg).required(false));
    for (arg, value) in layers {
        value.check(arg, &typed, errors);
    }
    for arg in command.get_arguments().filter(|arg| arg.is_required_set()) {
        let is_given = layers.iter().any(|(configured, _)| configured.get_id() == arg.get_id());
        if !is_given && !line.contains_id(arg.get_id().as_str()) {
            errors.push(missing(arg, command));
        }
    }
}

fn missing(arg: &Arg, command: &Command) -> String {
    let Some(long) = arg.get_long() else {
        return format!("{} is missing; give it on the command line.", arg.get_id().as_str().to_uppercase());
    };
    let variable =
        arg.get_env().map(|name| format!(" or set {}", name.to_string_lossy())).unwrap_or_default();
    let has_file = command.get_arguments().any(|arg| arg.get_long() == Some(CONFIG));
    let file = if has_file { format!(", or write {long} in the --config file") } else { String::new() };
    format!("--{long} is missing; give it{variable}{file}.")
}

/// Parses the merged layers with clap, which finds conflicts between flags.
fn parse<F: Parser>(
    command: Command,
    argv: Vec<OsString>,
    layers: &[(Arg, ConfiguredValue)],
) -> Result<F, Exit> {
    let mut argv = argv.into_iter();
    let mut merged: Vec<OsString> = argv.next().into_iter().collect();
    merged.extend(layers.iter().flat_map(|(arg, value)| value.arguments(arg)));
    merged.extend(argv);
    let command = command.mut_args(without_environment);
    command.try_get_matches_from(merged).and_then(|matches| F::from_arg_matches(&matches)).map_err(exit)
}

fn exit(error: clap::Error) -> Exit {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return Exit::requested(error.render().to_string());
    }
    Exit::invalid(command_line::first_line(&error))
}

#[cfg(test)]
mod tests;
