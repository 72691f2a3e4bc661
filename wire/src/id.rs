//! 128-bit ids, written as 32 lower-case hexadecimal digits: one NATS subject token.
//!
//! An id is a capability: a peer that knows the id of an exchange can publish to its inbox. Ids therefore come from a
//! cryptographic random source; this crate only encodes them.
//!
//! Hexadecimal is written here rather than taken from a crate: ids are parsed several times per message, have a fixed
//! size, and must be in lower case, since each id has exactly one subject.

use std::fmt;
use std::str::FromStr;

/// The text is not 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid id: must be 32 lower-case hexadecimal digits")]
pub struct IdError;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The number of digits of an id.
pub(crate) const DIGIT_COUNT: usize = 32;

/// The value of each byte as a digit; `NO_DIGIT` if it is not one.
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

/// Looks up all digits and checks them once at the end: no branch per digit.
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
            /// The id with these bytes, which come from a cryptographic random source.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// Appends the 32 digits.
            pub fn push_to(&self, text: &mut String) {
                // Writing to a `String` cannot fail.
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
    /// Identifies an exchange: one attempt at an HTTP request and its response. Created by the gateway for each attempt.
    ExchangeId
}
id! {
    /// Identifies one client WebSocket. Created by the gateway.
    ConnectionId
}
id! {
    /// Identifies one NATS connection of a gateway.
    GatewayId
}
id! {
    /// Identifies one NATS connection of a responder.
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
