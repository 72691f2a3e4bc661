//! The `[[component]]` tables of the `--config` file: the flags' keys, for one component.

use std::path::PathBuf;
use std::time::Duration;

use h8s_settings::{ConfigErrors, list, parsed, text};
use h8s_wire::MethodPattern;
use toml::{Table, Value};

use crate::config::flags::Flags;
use crate::config::guest_flags::{UnreadSecret, variable};
use crate::config::host::ServedSource;
use crate::instance::configuration::SecretSource;
use crate::outgoing::allow_list::{AllowedHost, NoAllowedHost};

/// The name of the tables.
pub(crate) const NAME: &str = "component";

/// The keys of a table, for errors.
const KEYS: &str = "file, name, host, path, methods, env, max-memory, timeout, cpu-budget, concurrency, \
                    reuse, settings, secrets, allow-outgoing, outgoing-ca";

/// More than any machine can run; each instance costs 16 GiB of address space.
const MAX_CONCURRENCY: usize = 10_000;

/// The size of a 32-bit memory.
const MAX_MEMORY_BYTES: u64 = 4 << 30;

/// The components of a file. Keys missing from a table default to the flags.
pub(crate) fn components(
    tables: Option<Value>,
    flags: &Flags,
    mistakes: &mut ConfigErrors,
) -> Vec<ServedSource> {
    let tables = h8s_settings::tables(tables, NAME, mistakes);
    tables.into_iter().filter_map(|(place, table)| component(place, table, flags, mistakes)).collect()
}

fn component(place: usize, table: Table, flags: &Flags, mistakes: &mut ConfigErrors) -> Option<ServedSource> {
    let Some(file) = table.get("file").and_then(Value::as_str).map(PathBuf::from) else {
        mistakes.push(format!("[[{NAME}]] {place}: file is missing; it names the .wasm file"));
        return None;
    };
    let mut served = flags.served(&file);
    let mut is_whole = true;
    for (key, value) in &table {
        if let Err(mistake) = set(&mut served, key, value) {
            is_whole = false;
            mistakes.push(format!("[[{NAME}]] {place} ({}): {key}: {mistake}", file.display()));
        }
    }
    // A component with an invalid table is not checked further.
    is_whole.then_some(served)
}

fn set(served: &mut ServedSource, key: &str, value: &Value) -> Result<(), String> {
    let limits = &mut served.source.limits;
    match key {
        "file" => {}
        "name" => served.source.name = text(value)?,
        "host" => served.hosts = vec![parsed(value)?],
        "path" => served.path = parsed(value)?,
        "methods" => served.methods = methods(value)?,
        "env" => served.source.environment = environment(value)?,
        "settings" => served.source.configuration.settings = environment(value)?,
        "secrets" => served.source.configuration.secrets = secrets(value)?,
        "allow-outgoing" => served.source.outgoing.allowed = allowed(value)?,
        "outgoing-ca" => served.source.outgoing.ca = Some(text(value)?.into()),
        "max-memory" => limits.memory_bytes = memory(&text(value)?)?,
        "timeout" => limits.timeout = timeout(&text(value)?)?,
        "cpu-budget" => limits.cpu_budget = timeout(&text(value)?)?,
        "concurrency" => {
            limits.concurrency = concurrency(&text(value)?)?;
            limits.queue = limits.concurrency;
        }
        "reuse" => limits.reuse = reuse(&text(value)?)?,
        _ => return Err(format!("unknown key; valid keys are {KEYS}")),
    }
    Ok(())
}

fn methods(value: &Value) -> Result<Vec<MethodPattern>, String> {
    list(value)?.iter().map(|name| method(name)).collect()
}

fn allowed(value: &Value) -> Result<Vec<AllowedHost>, String> {
    list(value)?.iter().map(|host| host.parse().map_err(|error: NoAllowedHost| error.to_string())).collect()
}

fn environment(value: &Value) -> Result<Vec<(String, String)>, String> {
    let table = value.as_table().ok_or("write a table, such as { GREETING = \"hello\" }")?;
    let pairs = table.iter().map(|(name, value)| variable(&format!("{name}={}", text(value)?)));
    pairs.collect()
}

fn secrets(value: &Value) -> Result<Vec<(String, SecretSource)>, String> {
    let table = value.as_table().ok_or("write a table, such as { API_KEY = \"env:API_KEY\" }")?;
    let places = table.iter().map(|(name, place)| UnreadSecret::new(name, &text(place)?).read());
    places.collect()
}

/// Parses an HTTP method.
pub(crate) fn method(text: &str) -> Result<MethodPattern, String> {
    match text.parse().map_err(|error: h8s_wire::PatternError| error.to_string())? {
        MethodPattern::WebSocket => {
            Err("not an HTTP method; components that export receiver serve WebSockets in any case".into())
        }
        method => Ok(method),
    }
}

/// Parses the memory limit of one instance, in bytes.
pub(crate) fn memory(text: &str) -> Result<usize, String> {
    match h8s_settings::size(text)? {
        bytes @ 0x1_0000..=MAX_MEMORY_BYTES => usize::try_from(bytes).map_err(|error| error.to_string()),
        _ => Err("must be from 64KiB to 4GiB".into()),
    }
}

/// Parses a timeout.
pub(crate) fn timeout(text: &str) -> Result<Duration, String> {
    match h8s_settings::duration(text)? {
        Duration::ZERO => Err("must be at least 1ms".into()),
        timeout => Ok(timeout),
    }
}

/// Parses a concurrency.
pub(crate) fn concurrency(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=MAX_CONCURRENCY) => Ok(count),
        _ => Err(format!("must be a number from 1 to {MAX_CONCURRENCY}")),
    }
}

/// Parses the calls of one instance.
pub(crate) fn reuse(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(count @ 1..) => Ok(count),
        _ => Err(format!("must be a number from 1 (a fresh instance for each request) to {}", u32::MAX)),
    }
}
