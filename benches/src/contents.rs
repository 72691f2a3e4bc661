//! Bytes that are different everywhere, and told apart at the speed of memory: what is measured is not a hash.
//!
//! Each eight bytes are their own position, times an odd constant: whatever is missing, doubled or exchanged is noticed.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// Odd, so that no two positions have the same word; 2⁶⁴ over the golden ratio, so that all bytes of it change.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
const WORD_BYTES: usize = 8;
/// Bytes of a large body that are handed out at once, as by a file server.
const PIECE_BYTES: u64 = 64 * 1024;

/// Writes what is at `position` and after it.
pub fn fill(position: u64, bytes: &mut [u8]) {
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

/// A body of so many of these bytes, made as they are asked for.
#[derive(Debug)]
pub struct Contents {
    position: u64,
    bytes: u64,
}

impl Contents {
    /// All of them still to come.
    pub fn of(bytes: u64) -> Self {
        Self { position: 0, bytes }
    }
}

impl Body for Contents {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = PIECE_BYTES.min(self.bytes - self.position);
        if next == 0 {
            return Poll::Ready(None);
        }
        let mut piece = vec![0; next as usize];
        fill(self.position, &mut piece);
        self.position += next;
        Poll::Ready(Some(Ok(Frame::data(piece.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.position == self.bytes
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes - self.position)
    }
}

/// Looks at a body piece by piece.
#[derive(Debug, Default)]
pub struct Comparison {
    position: u64,
    expected: Vec<u8>,
}

impl Comparison {
    /// All of a body. How much there was.
    ///
    /// # Errors
    ///
    /// The body's own.
    ///
    /// # Panics
    ///
    /// When it is another one.
    pub async fn all<B: Body<Data = Bytes>>(body: B) -> Result<u64, B::Error> {
        let (mut body, mut comparison) = (std::pin::pin!(body), Self::default());
        while let Some(frame) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            if let Ok(data) = frame?.into_data() {
                comparison.next(&data);
            }
        }
        Ok(comparison.bytes())
    }

    /// The next piece of it.
    ///
    /// # Panics
    ///
    /// When it is another one.
    pub fn next(&mut self, bytes: &[u8]) {
        self.expected.resize(bytes.len(), 0);
        fill(self.position, &mut self.expected);
        assert!(self.expected == bytes, "other bytes after {} bytes", self.position);
        self.position += bytes.len() as u64;
    }

    /// How much there has been.
    pub fn bytes(&self) -> u64 {
        self.position
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_pieces_of_it_are_the_same_body() {
        let mut whole = vec![0; 1000];
        fill(0, &mut whole);
        let mut comparison = Comparison::default();

        for piece in whole.chunks(7) {
            comparison.next(piece);
        }

        assert_eq!(comparison.bytes(), 1000);
    }

    #[test]
    #[should_panic(expected = "other bytes after 8 bytes")]
    fn a_missing_byte_is_noticed() {
        let mut whole = vec![0; 100];
        fill(0, &mut whole);
        let mut comparison = Comparison::default();

        comparison.next(&whole[..8]);
        comparison.next(&whole[9..]);
    }
}
