//! Variable-length integers (RFC 9000 §16): 1, 2, 4 or 8 bytes, values below 2^62.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The largest encodable value.
pub(crate) const MAX: u64 = (1 << 62) - 1;

/// Appends `value` in its shortest form. Values past [`MAX`] are written as [`MAX`], which no counter and
/// no length reaches.
pub(crate) fn put(value: u64, out: &mut impl BufMut) {
    match value {
        0..0x40 => out.put_u8(value as u8),
        0x40..0x4000 => out.put_u16(value as u16 | 0x4000),
        0x4000..0x4000_0000 => out.put_u32(value as u32 | 0x8000_0000),
        _ => out.put_u64(value.min(MAX) | 0xc000_0000_0000_0000),
    }
}

/// The four-byte form, for a length that is known only after its content has been written. `None` from 2^30.
pub(crate) fn four_bytes(value: usize) -> Option<[u8; 4]> {
    let value = u32::try_from(value).ok().filter(|value| *value < 0x4000_0000)?;
    Some((value | 0x8000_0000).to_be_bytes())
}

/// Reads one integer from the front. `None` if the bytes end inside it. Longer forms than necessary are valid.
pub(crate) fn get(from: &mut Bytes) -> Option<u64> {
    let (value, length) = peek(from)?;
    from.advance(length);
    Some(value)
}

/// The integer at the front and its size in bytes.
pub(crate) fn peek(from: &[u8]) -> Option<(u64, usize)> {
    let length = 1usize << (from.first()? >> 6);
    let bytes = from.get(..length)?;
    let value = bytes.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
    // The top two bits of the first byte encode the size.
    Some((value & (u64::MAX >> (64 - 8 * length) >> 2), length))
}

/// Reads a length and that many bytes. `None` if the bytes end first.
pub(crate) fn get_bytes(from: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(get(from)?).ok()?;
    (length <= from.len()).then(|| from.split_to(length))
}

/// The number of bytes that [`put`] writes.
const fn size(value: u64) -> usize {
    match value {
        0..0x40 => 1,
        0x40..0x4000 => 2,
        0x4000..0x4000_0000 => 4,
        _ => 8,
    }
}

/// Appends the output of `put_all` preceded by its length. The output is written first and moved by the size of the
/// length.
pub(crate) fn put_section<T>(out: &mut BytesMut, put_all: impl FnOnce(&mut BytesMut) -> T) -> T {
    let start = out.len();
    let result = put_all(out);
    let length = out.len() - start;
    let size = size(length as u64);
    out.put_bytes(0, size);
    out.copy_within(start..start + length, start + size);
    put(length as u64, &mut &mut out[start..start + size]);
    result
}

/// Appends a length and the bytes.
pub(crate) fn put_bytes(bytes: &[u8], out: &mut impl BufMut) {
    put(bytes.len() as u64, out);
    out.put_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9000 §A.1.
    #[test]
    fn the_examples_of_the_rfc() {
        for (bytes, value) in [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c][..], 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
        ] {
            assert_eq!(peek(bytes), Some((value, bytes.len())));
            let mut out = Vec::new();
            put(value, &mut out);
            assert_eq!(out, bytes);
            assert_eq!(peek(&bytes[..bytes.len() - 1]), None);
        }
        assert_eq!(peek(&[0x40, 0x25]), Some((37, 2)), "longer than necessary");
    }

    #[test]
    fn the_edges_of_each_length() {
        for value in [0, 0x3f, 0x40, 0x3fff, 0x4000, 0x3fff_ffff, 0x4000_0000, MAX] {
            let mut out = Vec::new();
            put(value, &mut out);
            assert_eq!(peek(&out), Some((value, out.len())));
        }
        assert_eq!(four_bytes(7).map(|bytes| peek(&bytes)), Some(Some((7, 4))));
        assert_eq!(four_bytes(1 << 30), None);
    }
}
