//! Random ids in hexadecimal.
//!
//! Written out, since a hex crate would replace six lines.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// 128 bits: the longest id.
const MOST_BYTES: usize = 16;

/// Fills `text`, of an even length up to 32, with random lower-case hexadecimal digits.
pub(crate) fn fill_random(text: &mut [u8]) {
    let mut bytes = [0_u8; MOST_BYTES];
    rand::fill(&mut bytes[..]);
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}
