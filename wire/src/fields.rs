//! Field sections (RFC 9292 §3.6): headers and trailers, names in lower case, values as exact bytes, repeats in order.

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use crate::{names, varint};

/// Why bytes are no field section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// The bytes end before the section does.
    #[error("a field section is cut short")]
    Truncated,
    /// A name that is no lower-case field name.
    #[error("a field name is not a lower-case token")]
    Name,
    /// A value with a control character.
    #[error("a field value has a control character")]
    Value,
    /// More fields than a map holds.
    #[error("there are too many fields")]
    TooMany,
    /// Too large for its length to be written.
    #[error("a field section is too large")]
    TooLarge,
}

/// Room that a map has from the start, at most: who says that many come may not have them.
const MOST_EXPECTED: usize = 64;

/// Appends a section. Its length is written in the four-byte form, so that one pass is enough.
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

/// Takes a section off the front. Values share the memory of `from`.
pub(crate) fn get(from: &mut Bytes) -> Result<HeaderMap, FieldError> {
    let mut section = varint::get_bytes(from).ok_or(FieldError::Truncated)?;
    let mut fields = HeaderMap::with_capacity(count(&section).min(MOST_EXPECTED));
    while !section.is_empty() {
        let name = varint::get_bytes(&mut section).ok_or(FieldError::Truncated)?;
        let value = varint::get_bytes(&mut section).ok_or(FieldError::Truncated)?;
        let name = names::usual(&name).map_or_else(|| HeaderName::from_lowercase(&name), Ok);
        let name = name.map_err(|_| FieldError::Name)?;
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| FieldError::Value)?;
        fields.try_append(name, value).map_err(|_| FieldError::TooMany)?;
    }
    Ok(fields)
}

/// How many fields a section has, as far as it can be read.
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
