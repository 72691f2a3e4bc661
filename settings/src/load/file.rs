//! The TOML file: keys are long flag names, and some programs allow tables beside them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use toml::{Table, Value};

use crate::ConfigErrors;

/// The content of a file: values by flag name, and the tables that the program knows.
#[derive(Default)]
pub(crate) struct File {
    pub(crate) values: BTreeMap<String, Vec<OsString>>,
    pub(crate) tables: Table,
}

/// Reads `path`. Keys must be in `flags`, tables in `tables`; any other entry is an error.
pub(crate) fn read(path: &Path, flags: &[&str], tables: &[&str], errors: &mut ConfigErrors) -> File {
    let mut file = File::default();
    let Some(content) = parse(path, errors) else { return file };
    for (key, value) in content {
        if tables.contains(&key.as_str()) && holds_tables(&value) {
            file.tables.insert(key, value);
        } else if !flags.contains(&key.as_str()) {
            errors.push(unknown_key(path, &key, flags, tables));
        } else if let Some(values) = as_texts(&value) {
            file.values.insert(key, values);
        } else {
            errors.push(format!(
                "{}: {key} is a table; write {key} = \"value\", or a list of values.",
                path.display()
            ));
        }
    }
    file
}

fn parse(path: &Path, errors: &mut ConfigErrors) -> Option<Table> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            errors.push(format!(
                "--config {}: cannot be read ({error}); give a readable TOML file.",
                path.display()
            ));
            return None;
        }
    };
    match text.parse::<Table>() {
        Ok(table) => Some(table),
        Err(error) => {
            let line = error.span().map_or(1, |span| line_of(&text, span.start));
            let message = error.message().replace('\n', ", ");
            errors.push(format!("{}, line {line}: not valid TOML ({message}).", path.display()));
            None
        }
    }
}

/// Lines are counted from 1, as editors do.
fn line_of(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|byte| *byte == b'\n').count() + 1
}

fn holds_tables(value: &Value) -> bool {
    match value {
        Value::Table(_) => true,
        Value::Array(items) => items.iter().all(Value::is_table),
        _ => false,
    }
}

/// Scalars of any type, or a list of them, as command-line values.
pub(super) fn as_texts(value: &Value) -> Option<Vec<OsString>> {
    match value {
        Value::Array(items) => items.iter().map(as_text).collect(),
        _ => as_text(value).map(|text| vec![text]),
    }
}

fn as_text(value: &Value) -> Option<OsString> {
    match value {
        Value::String(text) => Some(text.into()),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {
            Some(value.to_string().into())
        }
        Value::Array(_) | Value::Table(_) => None,
    }
}

fn unknown_key(path: &Path, key: &str, flags: &[&str], tables: &[&str]) -> String {
    let path = path.display();
    match similar(key, flags.iter().chain(tables)) {
        Some(similar) => format!("{path}: {key} is not a known key; did you mean {similar}?"),
        None => format!("{path}: {key} is not a known key; the keys are the long flags of --help."),
    }
}

/// The closest name, if the key could be a misspelling of it: at most a third of the letters differ.
fn similar<'a>(key: &str, names: impl Iterator<Item = &'a &'a str>) -> Option<&'a str> {
    let key = key.to_ascii_lowercase().replace('_', "-");
    names
        .map(|name| (strsim::damerau_levenshtein(&key, name), *name))
        .filter(|(distance, name)| distance * 3 <= name.len())
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelling_is_recognised_and_another_word_is_not() {
        let names = ["listen", "request-timeout", "nats-url"];

        assert_eq!(similar("listne", names.iter()), Some("listen"));
        assert_eq!(similar("request_timeout", names.iter()), Some("request-timeout"));
        assert_eq!(similar("colour", names.iter()), None);
    }

    #[test]
    fn lines_count_from_one() {
        assert_eq!(line_of("a\nb\nc", 0), 1);
        assert_eq!(line_of("a\nb\nc", 4), 3);
        assert_eq!(line_of("", 99), 1);
    }
}
