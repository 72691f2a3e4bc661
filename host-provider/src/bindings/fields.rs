//! Header fields as the WIT packages represent them: each name once, with all its values.

use h8s_wire::plain::train_case;

use crate::bindings::h8s::imported::types::KeyValue;

/// Groups the values by name. Fields of one name are adjacent, as in every header map.
pub(crate) fn grouped<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<(&'a str, Vec<String>)> {
    let mut grouped: Vec<(&str, Vec<String>)> = Vec::new();
    for (name, value) in fields {
        match grouped.last_mut() {
            Some((known, values)) if known.eq_ignore_ascii_case(name) => values.push(value.to_owned()),
            _ => grouped.push((name, vec![value.to_owned()])),
        }
    }
    grouped
}

/// Fields for guests, with names in `Train-Case`.
pub(crate) fn fields<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<KeyValue> {
    grouped(fields).into_iter().map(|(key, value)| KeyValue { key: train_case(key), value }).collect()
}
