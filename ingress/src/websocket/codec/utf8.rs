//! Validates UTF-8 in pieces, failing at the first invalid byte (RFC 6455 §8.1).

/// The start of a character that is incomplete so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Utf8 {
    begun: [u8; 4],
    begun_bytes: u8,
}

/// The bytes are not valid UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Invalid;

impl Utf8 {
    /// Validates the next bytes.
    pub(super) fn check(&mut self, bytes: &[u8]) -> Result<(), Invalid> {
        let rest = self.complete(bytes)?;
        let Err(error) = std::str::from_utf8(rest) else { return Ok(()) };
        // With a length the bytes are invalid; without, they start a character.
        if error.error_len().is_some() {
            return Err(Invalid);
        }
        self.begin(&rest[error.valid_up_to()..]);
        Ok(())
    }

    /// Whether no character is incomplete.
    pub(super) fn is_whole(&self) -> bool {
        self.begun_bytes == 0
    }

    fn begin(&mut self, bytes: &[u8]) {
        self.begun[..bytes.len()].copy_from_slice(bytes);
        self.begun_bytes = bytes.len() as u8;
    }

    /// Completes the started character byte by byte, and returns the rest.
    fn complete<'a>(&mut self, mut bytes: &'a [u8]) -> Result<&'a [u8], Invalid> {
        while self.begun_bytes > 0 {
            let Some((first, rest)) = bytes.split_first() else { break };
            self.begun[usize::from(self.begun_bytes)] = *first;
            self.begun_bytes += 1;
            bytes = rest;
            match std::str::from_utf8(&self.begun[..usize::from(self.begun_bytes)]) {
                Ok(_) => self.begun_bytes = 0,
                Err(error) if error.error_len().is_some() => return Err(Invalid),
                // At most three bytes can be a beginning, so the fourth has room.
                Err(_) => {}
            }
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn checked(pieces: &[&[u8]]) -> Result<bool, Invalid> {
        let mut utf8 = Utf8::default();
        for piece in pieces {
            utf8.check(piece)?;
        }
        Ok(utf8.is_whole())
    }

    #[test]
    fn invalid_utf8_is_detected_at_its_first_wrong_byte() {
        for (pieces, expected) in [
            (&[&b"\xce\xba"[..], b"\xe1\xbd"][..], Ok(false)),
            (&[b"\xf4", b"\x8f", b"\xbf", b"\xbf"], Ok(true)),
            (&[b"\xf4", b"\x90"], Err(Invalid)),
            (&[b"\xed", b"\xa0"], Err(Invalid)),
            (&[b"\xc0"], Err(Invalid)),
            (&[b"\xe1", b""], Ok(false)),
            (&[b"\x80"], Err(Invalid)),
        ] {
            assert_eq!(checked(pieces), expected, "{pieces:x?}");
        }
    }

    proptest! {
        #[test]
        fn splits_do_not_matter(bytes: Vec<u8>, text: String, at: prop::sample::Index) {
            for bytes in [bytes, text.into_bytes()] {
                let (head, tail) = bytes.split_at(at.index(bytes.len() + 1));
                let is_text = std::str::from_utf8(&bytes).is_ok();
                prop_assert_eq!(checked(&[head, tail]) == Ok(true), is_text);
            }
        }
    }
}
