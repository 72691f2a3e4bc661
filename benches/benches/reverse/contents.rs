//! Bytes that are different everywhere, and told apart at the speed of memory: what is measured is not a hash.
//!
//! Each eight bytes are their own position, times an odd constant: whatever is missing, doubled or exchanged is noticed.

/// Odd, so that no two positions have the same word; 2⁶⁴ over the golden ratio, so that all bytes of it change.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
const WORD_BYTES: usize = 8;

/// Writes what is at `position` and after it.
pub(crate) fn fill(position: u64, bytes: &mut [u8]) {
    let inside = (position % WORD_BYTES as u64) as usize;
    let mut word = (position / WORD_BYTES as u64).wrapping_mul(STEP);
    // The rest of a word that began before.
    let (first, rest) = bytes.split_at_mut(((WORD_BYTES - inside) % WORD_BYTES).min(bytes.len()));
    if !first.is_empty() {
        first.copy_from_slice(&word.to_le_bytes()[inside..inside + first.len()]);
        word = word.wrapping_add(STEP);
    }
    let (words, last) = rest.as_chunks_mut();
    for bytes in words {
        *bytes = word.to_le_bytes();
        word = word.wrapping_add(STEP);
    }
    last.copy_from_slice(&word.to_le_bytes()[..last.len()]);
}

/// Looks at a body piece by piece.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    position: u64,
    expected: Vec<u8>,
}

impl Comparison {
    /// The next piece of it.
    ///
    /// # Panics
    ///
    /// When it is another one.
    pub(crate) fn next(&mut self, bytes: &[u8]) {
        self.expected.resize(bytes.len(), 0);
        fill(self.position, &mut self.expected);
        assert!(self.expected == bytes, "other bytes after {} bytes", self.position);
        self.position += bytes.len() as u64;
    }

    /// How much there has been.
    pub(crate) fn bytes(&self) -> u64 {
        self.position
    }
}
