//! Reading all layers into one struct.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Command, Parser};

use crate::command_line::{self, without_environment};
use crate::file::{self, File};
use crate::given::{Given, given, is_secret};
use crate::{Exit, Mistakes};

/// The flag that names the file. A file cannot name another, so it is not a key.
const CONFIG: &str = "config";

/// A program's settings, all layers taken together.
#[derive(Debug)]
pub struct Loaded<F> {
    /// The program's own struct.
    pub flags: F,
    /// The tables that [`load_with`] was asked for, as the file has them. Empty without a file.
    pub tables: toml::Table,
    /// The file that was read: what `--config` named.
    pub file: Option<PathBuf>,
}

/// Reads flags, environment and the `--config` file into `F`. `argv` begins with the program's name.
///
/// Flags beat environment beat file beat defaults. An empty environment variable counts as not set. In the
/// file, keys are long flag names; scalars of any type count as their text, a list as the flag repeated, and
/// switches are `true` or `false`. `F` must not have subcommands with flags of their own: choose the
/// subcommand first, then load its struct.
///
/// # Errors
/// All mistakes found, in one [`Exit`]; or the help or version that was asked for.
pub fn load<F: Parser>(argv: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Loaded<F>, Exit> {
    load_with(argv, &[])
}

/// [`load`], where the file may also hold these tables or arrays of tables (such as `component` for
/// `[[component]]`). They are handed back as they are in [`Loaded::tables`].
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
    let mut mistakes = Mistakes::new();
    let command = F::command().mut_args(mask_secrets);
    let line = command_line::read(&command, &argv, &mut mistakes)?;
    let (path, file) = read_file(&command, &line, tables, env, &mut mistakes);

    let layers = collect(&command, |arg| given(arg, &line, env, path.as_ref().map(|path| (path, &file))));
    check(&command, &line, &layers, &mut mistakes);
    mistakes.into_result()?;

    let flags = parse(command, argv, &layers)?;
    Ok(Loaded { flags, tables: file.tables, file: path })
}

/// `--help` shows what the environment holds; not for secrets.
fn mask_secrets(arg: Arg) -> Arg {
    let is_secret = is_secret(&arg);
    arg.hide_env_values(is_secret)
}

fn collect(command: &Command, given: impl Fn(&Arg) -> Option<Given>) -> Vec<(Arg, Given)> {
    command.get_arguments().filter_map(|arg| Some((arg.clone(), given(arg)?))).collect()
}

fn read_file(
    command: &Command,
    line: &ArgMatches,
    tables: &[&str],
    env: &dyn Fn(&OsStr) -> Option<OsString>,
    mistakes: &mut Mistakes,
) -> (Option<PathBuf>, File) {
    let config = command.get_arguments().find(|arg| arg.get_long() == Some(CONFIG));
    let named = config.and_then(|config| given(config, line, env, None)?.values.pop());
    let Some(path) = named.map(PathBuf::from) else { return (None, File::default()) };
    let keys: Vec<&str> =
        command.get_arguments().filter_map(Arg::get_long).filter(|long| *long != CONFIG).collect();
    let file = file::read(&path, &keys, tables, mistakes);
    (Some(path), file)
}

/// Notes every value its type refuses, and every required flag that nobody gave.
fn check(command: &Command, line: &ArgMatches, layers: &[(Arg, Given)], mistakes: &mut Mistakes) {
    let typed = command.clone().mut_args(|arg| without_environment(arg).required(false));
    for (arg, given) in layers {
        given.check(arg, &typed, mistakes);
    }
    for arg in command.get_arguments().filter(|arg| arg.is_required_set()) {
        let is_given = layers.iter().any(|(given, _)| given.get_id() == arg.get_id());
        if !is_given && !line.contains_id(arg.get_id().as_str()) {
            mistakes.push(missing(arg, command));
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

/// The last word is clap's own, over all layers: what is left to find is flags that do not fit together.
fn parse<F: Parser>(command: Command, argv: Vec<OsString>, layers: &[(Arg, Given)]) -> Result<F, Exit> {
    let mut argv = argv.into_iter();
    let mut merged: Vec<OsString> = argv.next().into_iter().collect();
    merged.extend(layers.iter().flat_map(|(arg, given)| given.arguments(arg)));
    merged.extend(argv);
    let command = command.mut_args(without_environment);
    command.try_get_matches_from(merged).and_then(|matches| F::from_arg_matches(&matches)).map_err(mistaken)
}

fn mistaken(error: clap::Error) -> Exit {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return Exit::asked_for(error.render().to_string());
    }
    Exit::mistaken(command_line::first_line(&error))
}

#[cfg(test)]
mod tests;
