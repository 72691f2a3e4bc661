//! The client's masking (RFC 6455 §5.3): exclusive or with a repeated key of four bytes.

/// A frame's key, rotated to the next byte of the payload.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mask {
    key: [u8; 4],
}

impl Mask {
    pub(super) fn new(key: [u8; 4]) -> Self {
        Self { key }
    }

    /// Takes the mask off the next bytes of the payload.
    pub(super) fn remove(&mut self, bytes: &mut [u8]) {
        let twice = u32::from_ne_bytes(self.key);
        let twice = u64::from(twice) << 32 | u64::from(twice);
        let mut eights = bytes.chunks_exact_mut(8);
        for eight in &mut eights {
            let mut word = [0; 8];
            word.copy_from_slice(eight);
            eight.copy_from_slice(&(u64::from_ne_bytes(word) ^ twice).to_ne_bytes());
        }
        let rest = eights.into_remainder();
        for (byte, key) in rest.iter_mut().zip(self.key.iter().cycle()) {
            *byte ^= key;
        }
        // Blocks of eight do not rotate the key.
        let rest_bytes = rest.len();
        self.key.rotate_left(rest_bytes % 4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_split_takes_off_the_same_mask() {
        let masked: Vec<u8> = (0..100).collect();
        let expected: Vec<u8> = (0..100).map(|at: u8| at ^ [1, 2, 4, 8][usize::from(at % 4)]).collect();
        for first in 0..masked.len() {
            let (mut bytes, mut mask) = (masked.clone(), Mask::new([1, 2, 4, 8]));
            let (head, tail) = bytes.split_at_mut(first);
            mask.remove(head);
            mask.remove(tail);
            assert_eq!(bytes, expected, "split at {first}");
        }
    }
}
