//! Tables of the file that are not flags: `[[component]]`, `[[backend]]`.

use std::str::FromStr;

use toml::{Table, Value};

use crate::ConfigErrors;

/// The tables called `name`, one or several, each with its position from 1.
pub fn tables(value: Option<Value>, name: &str, errors: &mut ConfigErrors) -> Vec<(usize, Table)> {
    let values = match value {
        None => Vec::new(),
        Some(Value::Array(values)) => values,
        Some(value) => vec![value],
    };
    let table = |(at, value)| match value {
        Value::Table(table) => Some((at + 1, table)),
        _ => {
            errors.push(format!("{name}: write a table, [[{name}]]"));
            None
        }
    };
    values.into_iter().enumerate().filter_map(table).collect()
}

/// A string, or a number as one.
///
/// # Errors
/// The value to write instead.
pub fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        _ => Err("write a text, in quotes".into()),
    }
}

/// Parses a string.
///
/// # Errors
/// The message of its parser.
pub fn parsed<T: FromStr<Err: ToString>>(value: &Value) -> Result<T, String> {
    text(value)?.parse().map_err(|error: T::Err| error.to_string())
}

/// The strings of a list, or of one string with commas.
///
/// # Errors
/// The value to write instead.
pub fn list(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::Array(values) => values.iter().map(text).collect(),
        one => Ok(text(one)?.split(',').map(|part| part.trim().to_owned()).collect()),
    }
}
