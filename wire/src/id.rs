//! 128-bit ids, written as 32 lower-case hexadecimal digits: one NATS subject token.
//!
//! They are secrets of a kind (who knows an exchange's id can write to its inbox), so whoever makes one uses
//! a cryptographic random source; this crate only carries them.

use std::fmt;
use std::str::FromStr;

/// The text was not 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id is 32 lower-case hexadecimal digits")]
pub struct IdError;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Digits of an id.
pub(crate) const DIGIT_COUNT: usize = 32;

/// What a byte is worth as a digit; `NO_DIGIT` for all others.
const VALUES: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        values[DIGITS[value] as usize] = value as u8;
        value += 1;
    }
    values
};

const NO_DIGIT: u8 = 0xff;

/// Ids are read several times for each message: all digits are looked up, and judged once.
fn parse(text: &str) -> Result<[u8; 16], IdError> {
    let text: &[u8; 32] = text.as_bytes().try_into().map_err(|_| IdError)?;
    let (mut bytes, mut seen) = ([0; 16], 0);
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let (high, low) = (VALUES[usize::from(pair[0])], VALUES[usize::from(pair[1])]);
        *byte = high << 4 | low & 15;
        seen |= high | low;
    }
    if seen < 16 { Ok(bytes) } else { Err(IdError) }
}

fn write(bytes: &[u8; 16], out: &mut impl fmt::Write) -> fmt::Result {
    let mut text = [0; DIGIT_COUNT];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    out.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 16]);

        impl $name {
            /// An id from 16 bytes of a cryptographic random source.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// Appends the 32 digits.
            pub fn push_to(&self, text: &mut String) {
                // Digits are text, and a `String` takes all of it.
                let _ = write(&self.0, text);
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write(&self.0, f)
            }
        }
    };
}

id! {
    /// One attempt at one HTTP request and its response. Made by the gateway; every attempt has a new one.
    ExchangeId
}
id! {
    /// One client WebSocket. Made by the gateway.
    ConnectionId
}
id! {
    /// One NATS connection of a gateway process.
    GatewayId
}
id! {
    /// One NATS connection of a responder process.
    ResponderId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_refuses_everything_else() {
        let id = ExchangeId::from_bytes(*b"\x00\x01\xfe\xff0123456789ab");
        assert_eq!(id.to_string(), "0001feff303132333435363738396162");
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in [
            "",
            "0001feff30313233343536373839616",
            "0001FEFF303132333435363738396162",
            "0001feff3031323334353637383961é",
        ] {
            assert_eq!(bad.parse::<ExchangeId>(), Err(IdError), "{bad}");
        }
    }
}
