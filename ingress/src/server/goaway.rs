//! Tracks HTTP/2 frame boundaries in written bytes, so that a `GOAWAY` with a reason can be inserted.
//!
//! hyper itself only sends `GOAWAY` with `NO_ERROR`, and waits for the client.

/// RFC 9113 §4.1: length, type, flags, stream.
const HEAD_BYTES: usize = 9;
/// RFC 9113 §6.8, with the last stream that may have been looked at (any) and `ENHANCE_YOUR_CALM` (§7).
const GOAWAY: [u8; HEAD_BYTES + 8] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0x0b];

/// Tracks written frames.
#[derive(Debug, Default)]
pub(crate) struct FrameEdges {
    /// The written part of the next frame's head.
    head: [u8; HEAD_BYTES],
    head_bytes: usize,
    /// Payload bytes of the frame not yet written.
    left_bytes: usize,
}

impl FrameEdges {
    /// Records written bytes.
    pub(crate) fn wrote(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let payload = self.left_bytes.min(bytes.len());
            self.left_bytes -= payload;
            bytes = &bytes[payload..];
            let part = (HEAD_BYTES - self.head_bytes).min(bytes.len());
            self.head[self.head_bytes..self.head_bytes + part].copy_from_slice(&bytes[..part]);
            self.head_bytes += part;
            bytes = &bytes[part..];
            if self.head_bytes == HEAD_BYTES {
                let [high, middle, low, ..] = self.head;
                self.left_bytes = u32::from_be_bytes([0, high, middle, low]) as usize;
                self.head_bytes = 0;
            }
        }
    }

    /// The closing frame, if the stream is at a frame boundary.
    pub(crate) fn goaway(&self) -> Option<[u8; GOAWAY.len()]> {
        (self.left_bytes == 0 && self.head_bytes == 0).then_some(GOAWAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_end_where_they_end_however_they_are_written() {
        let frames = [&[0, 0, 4, 0, 0, 0, 0, 0, 1][..], b"data", &GOAWAY].concat();
        let ends = [0, HEAD_BYTES + 4, frames.len()];
        for step in 1..frames.len() {
            let mut edges = FrameEdges::default();
            let mut written = 0;
            for piece in frames.chunks(step) {
                assert_eq!(edges.goaway().is_some(), ends.contains(&written), "{written} of {step}");
                edges.wrote(piece);
                written += piece.len();
            }
            assert!(edges.goaway().is_some());
        }
    }
}
