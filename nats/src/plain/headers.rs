//! Between the plain dialect's names and values and the client library's header map.
//!
//! Only fallible constructors: the library's `From` implementations panic on CR and LF.

use std::str::FromStr;

use async_nats::HeaderMap;
use async_nats::header::{HeaderName, HeaderValue};
use h8s_wire::plain::PlainError;

/// Collects what `encode` emits. A name or value that NATS cannot carry is reported as malformed.
pub(crate) fn collect(
    encode: impl FnOnce(&mut dyn FnMut(&str, &str)) -> Result<(), PlainError>,
) -> Result<HeaderMap, PlainError> {
    let mut headers = HeaderMap::new();
    let mut refused = false;
    encode(&mut |name, value| match (HeaderName::from_str(name), HeaderValue::from_str(value)) {
        (Ok(name), Ok(value)) => headers.append(name, value),
        _ => refused = true,
    })?;
    if refused { Err(PlainError::Name) } else { Ok(headers) }
}

/// Every name and value, repeats in order.
pub(crate) fn iter(headers: Option<&HeaderMap>) -> impl Iterator<Item = (&str, &str)> {
    let fields = headers.into_iter().flat_map(HeaderMap::iter);
    fields.flat_map(|(name, values)| values.iter().map(move |value| (name.as_ref(), value.as_str())))
}

/// What the block takes of a message: `NATS/1.0`, and a colon, a space and a line end around each field.
pub(crate) fn bytes(headers: &HeaderMap) -> usize {
    12 + iter(Some(headers)).map(|(name, value)| name.len() + value.len() + 4).sum::<usize>()
}
