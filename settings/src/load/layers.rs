//! A table of the file as one more layer: the keys of the flags, checked by the flags' own definitions.

use std::ffi::OsString;
use std::fmt;

use clap::{Arg, Command, Parser};
use toml::Table;

use super::command_line::{first_line, without_environment};
use super::configured_value::{ConfiguredValue, ValueSource, is_secret};
use super::file::as_texts;
use crate::ConfigErrors;

/// The values behind a program's flags, which a table of the file can override. Without secrets.
pub struct Layers {
    command: Command,
    values: Vec<(Arg, ConfiguredValue)>,
}

impl Layers {
    pub(super) fn new(command: Command, mut values: Vec<(Arg, ConfiguredValue)>) -> Self {
        values.retain(|(arg, _)| arg.get_long().is_some() && !is_secret(arg));
        Self { command: command.mut_args(|arg| without_environment(arg).required(false)), values }
    }

    /// The flags with the values of `table`, which has only these `keys`, each the long name of a flag. `label` names the
    /// table in errors, such as `[[backend]] 2`. `None` after an error.
    pub fn overridden<F: Parser>(
        &self,
        label: &str,
        table: &Table,
        keys: &[&str],
        errors: &mut ConfigErrors,
    ) -> Option<F> {
        let mut is_valid = true;
        let mut report = |error: String| {
            is_valid = false;
            errors.push(error);
        };
        let mut own = Vec::new();
        for (key, value) in table {
            let arg = self.command.get_arguments().find(|arg| arg.get_long() == Some(key));
            let Some(arg) = arg.filter(|_| keys.contains(&key.as_str())) else {
                report(format!("{label}: {key}: unknown key; the keys are {}", keys.join(", ")));
                continue;
            };
            let Some(values) = as_texts(value) else {
                report(format!("{label}: {key}: write a value, or a list of values"));
                continue;
            };
            let value = ConfiguredValue { source: ValueSource::Table(label.to_owned()), values };
            let mut invalid = ConfigErrors::new();
            value.check(arg, &self.command, &mut invalid);
            invalid.into_sentences().for_each(&mut report);
            own.push((arg, value));
        }
        if !is_valid {
            return None;
        }
        let inherited =
            self.values.iter().filter(|(arg, _)| !table.contains_key(arg.get_long().unwrap_or_default()));
        let arguments = inherited
            .flat_map(|(arg, value)| value.as_arguments(arg))
            .chain(own.iter().flat_map(|(arg, value)| value.as_arguments(arg)));
        let merged = std::iter::once(OsString::new()).chain(arguments);
        let parsed = self.command.clone().try_get_matches_from(merged);
        match parsed.and_then(|matches| F::from_arg_matches(&matches)) {
            Ok(flags) => Some(flags),
            Err(error) => {
                errors.push(format!("{label}: {}", first_line(&error)));
                None
            }
        }
    }
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = self.values.iter().filter_map(|(arg, _)| arg.get_long());
        f.debug_list().entries(flags).finish()
    }
}
