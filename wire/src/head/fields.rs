//! Field sections (RFC 9292 §3.6): headers and trailers. Names are in lower case, values are exact bytes, and order and
//! repeats are kept.

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use super::common_names;
use crate::varint;

/// Why bytes are not a valid field section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// The bytes end inside the section.
    #[error("the field section is truncated")]
    Truncated,
    /// A name is not a field name in lower case.
    #[error("invalid field name: must be a lower-case token")]
    Name,
    /// A value contains a control character.
    #[error("a field value contains a control character")]
    Value,
    /// More fields than a [`HeaderMap`] holds.
    #[error("too many fields")]
    TooMany,
    /// The section is 1 GiB or larger: its length does not fit the four-byte form.
    #[error("the field section is too large")]
    TooLarge,
}

/// The largest initial capacity of a map: the count of a truncated section is not trusted.
const MAX_INITIAL_CAPACITY: usize = 64;

/// Appends a section. The length has the four-byte form, so that one pass suffices.
pub(crate) fn put(fields: &HeaderMap, out: &mut BytesMut) -> Result<(), FieldError> {
    let start = out.len();
    out.put_u32(0);
    for (name, value) in fields {
        varint::put_bytes(name.as_str().as_bytes(), out);
        varint::put_bytes(value.as_bytes(), out);
    }
    let length = varint::four_bytes(out.len() - start - 4).ok_or(FieldError::TooLarge)?;
    out[start..start + 4].copy_from_slice(&length);
    Ok(())
}

/// Reads a section from the front. Values share the memory of `from`.
pub(crate) fn get(from: &mut Bytes) -> Result<HeaderMap, FieldError> {
    let mut section = varint::get_bytes(from).ok_or(FieldError::Truncated)?;
    let mut fields = HeaderMap::with_capacity(count(&section).min(MAX_INITIAL_CAPACITY));
    while !section.is_empty() {
        let name = varint::get_bytes(&mut section).ok_or(FieldError::Truncated)?;
        let value = varint::get_bytes(&mut section).ok_or(FieldError::Truncated)?;
        let name = common_names::lookup(&name).map_or_else(|| HeaderName::from_lowercase(&name), Ok);
        let name = name.map_err(|_| FieldError::Name)?;
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| FieldError::Value)?;
        fields.try_append(name, value).map_err(|_| FieldError::TooMany)?;
    }
    Ok(fields)
}

/// Counts the fields of a section up to its first unreadable byte.
fn count(mut section: &[u8]) -> usize {
    let mut texts = 0;
    while let Some((length, size)) = varint::peek(section)
        && let Some(end) = usize::try_from(length).ok().and_then(|length| length.checked_add(size))
        && let Some(rest) = section.get(end..)
    {
        (section, texts) = (rest, texts + 1);
    }
    texts / 2
}
