//! A `[[backend]]` table of the `--config` file: the flags' keys, for one backend.

use h8s_settings::{Mistakes, duration, list, parsed, size, tables, text};
use toml::{Table, Value};

use crate::backend::Protocol;
use crate::config::MappingConfig;
use crate::flags::{Flags, bytes, count};

/// What the tables are called.
pub(crate) const NAME: &str = "backend";

/// What a table may hold, for those who wrote something else.
const KEYS: &str = "hostname, path, backend-url, strip-prefix, host-header, backend-protocol, backend-ca, \
                    connect-timeout, keep-alive, idle-timeout, max-connections, max-websockets, max-message-size";

/// The mappings of a file. What a table does not say is as the flags have it.
pub(crate) fn mappings(value: Option<Value>, flags: &Flags, mistakes: &mut Mistakes) -> Vec<MappingConfig> {
    let tables = tables(value, NAME, mistakes);
    tables.into_iter().filter_map(|(place, table)| mapping(place, &table, flags, mistakes)).collect()
}

fn mapping(place: usize, table: &Table, flags: &Flags, mistakes: &mut Mistakes) -> Option<MappingConfig> {
    let mut say = |mistake: String| mistakes.push(format!("[[{NAME}]] {place}: {mistake}"));
    let url = match (table.get("backend-url").map(parsed), &flags.backend_url) {
        (Some(url), _) => url.map_err(|mistake| say(format!("backend-url: {mistake}"))).ok(),
        // What is wrong with that one is said of the flag.
        (None, Some(url)) => url.parse().ok(),
        (None, None) => {
            say("backend-url is missing; write one, such as \"http://localhost:3000\"".into());
            None
        }
    };
    // Only to go on with: without a URL nothing comes of it.
    let stand_in = || "http://localhost".parse().ok();
    let mut mapping = flags.mapping(url.clone().or_else(stand_in)?);
    let mut is_whole = url.is_some();
    for (key, value) in table.iter().filter(|(key, _)| *key != "backend-url") {
        if let Err(mistake) = set(&mut mapping, key, value) {
            is_whole = false;
            say(format!("{key}: {mistake}"));
        }
    }
    if mapping.hosts.is_empty() && !table.contains_key("hostname") {
        is_whole = false;
        say("hostname is missing; it is the host that clients ask the gateway for".into());
    }
    is_whole.then_some(mapping)
}

fn set(mapping: &mut MappingConfig, key: &str, value: &Value) -> Result<(), String> {
    let backend = &mut mapping.backend;
    match key {
        "hostname" => {
            let hosts = list(value)?;
            let parsed =
                hosts.iter().map(|host| host.parse().map_err(|error: h8s_wire::HostError| error.to_string()));
            mapping.hosts = parsed.collect::<Result<_, _>>()?;
            if mapping.hosts.is_empty() {
                return Err("name at least one".into());
            }
        }
        "path" => mapping.path = parsed(value)?,
        "strip-prefix" => mapping.strip_prefix = value.as_bool().ok_or("write true or false")?,
        "host-header" => mapping.host_header = parsed(value)?,
        "backend-protocol" => backend.protocol = protocol(&text(value)?)?,
        "backend-ca" => backend.ca = Some(text(value)?.into()),
        "connect-timeout" => backend.connect_timeout = duration(&text(value)?)?,
        "keep-alive" => backend.keep_alive = duration(&text(value)?)?,
        "idle-timeout" => backend.idle_timeout = duration(&text(value)?)?,
        "max-connections" => backend.max_connections = positive(value)?,
        "max-websockets" => backend.max_websockets = positive(value)?,
        "max-message-size" => backend.max_message_bytes = bytes(size(&text(value)?)?),
        _ => return Err(format!("there is no such key; there are {KEYS}")),
    }
    Ok(())
}

fn protocol(text: &str) -> Result<Protocol, String> {
    clap::ValueEnum::from_str(text, false).map_err(|_| "write auto, http1 or http2".into())
}

fn positive(value: &Value) -> Result<usize, String> {
    match parsed::<u32>(value) {
        Ok(number) if number > 0 => Ok(count(number)),
        _ => Err("write a number from 1".into()),
    }
}
