//! A `[[backend]]` table of the `--config` file: the keys of the flags, for one backend.

use h8s_settings::{ConfigErrors, Layers, tables};
use toml::{Table, Value};

use super::MappingConfig;
use super::flags::Flags;
use crate::backend::{BackendUrl, BackendUrlError};

/// The name of the tables.
pub(super) const NAME: &str = "backend";

const BACKEND_URL: &str = "backend-url";
const HOSTNAME: &str = "hostname";

/// The flags that a table can override.
const KEYS: [&str; 13] = [
    HOSTNAME,
    "path",
    BACKEND_URL,
    "strip-prefix",
    "host-header",
    "backend-protocol",
    "backend-ca",
    "connect-timeout",
    "keep-alive",
    "idle-timeout",
    "max-connections",
    "max-websockets",
    "max-message-size",
];

/// The mappings of a file. The flags are the defaults of a table.
pub(super) fn mappings(
    value: Option<Value>,
    flags: &Flags,
    layers: &Layers,
    errors: &mut ConfigErrors,
) -> Vec<MappingConfig> {
    let tables = tables(value, NAME, errors);
    tables.into_iter().filter_map(|(place, table)| mapping(place, &table, flags, layers, errors)).collect()
}

fn mapping(
    place: usize,
    table: &Table,
    flags: &Flags,
    layers: &Layers,
    errors: &mut ConfigErrors,
) -> Option<MappingConfig> {
    let label = format!("[[{NAME}]] {place}");
    let url = url(&label, table, flags, errors);
    if flags.hostname.is_empty() && !table.contains_key(HOSTNAME) {
        errors.push(format!(
            "{label}: {HOSTNAME} is missing; it is the host that clients request from the gateway"
        ));
    }
    let own: Flags = layers.overridden(&label, table, &KEYS, errors)?;
    if own.hostname.is_empty() && table.contains_key(HOSTNAME) {
        errors.push(format!("{label}: {HOSTNAME}: name at least one"));
    }
    Some(own.mapping(url?)).filter(|mapping| !mapping.hosts.is_empty())
}

fn url(label: &str, table: &Table, flags: &Flags, errors: &mut ConfigErrors) -> Option<BackendUrl> {
    match (table.get(BACKEND_URL).and_then(Value::as_str), &flags.backend_url) {
        (Some(url), _) => url
            .parse()
            .map_err(|error: BackendUrlError| errors.push(format!("{label}: {BACKEND_URL}: {error}")))
            .ok(),
        // Reported for the flag, if it is invalid.
        (None, Some(url)) => url.parse().ok(),
        (None, None) => {
            errors.push(format!(
                "{label}: {BACKEND_URL} is missing; write one, such as \"http://localhost:3000\""
            ));
            None
        }
    }
}
