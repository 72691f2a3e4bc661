//! The queue group of the responders of one interest (`PROTOCOL.md §2`).

use std::fmt;
use std::str::FromStr;

/// Together with the longest subject, it leaves more than half of a protocol line free.
const MAX_BYTES: usize = 128;

/// The name of a NATS queue group. Default `h8s`.
///
/// Valid for every NATS server and in permissions: tokens of visible ASCII without `*` and `>`, joined by `.`, 128
/// bytes at most.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QueueGroup(Box<str>);

/// The text is not a valid queue group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid queue group {0:?}: must be 1 to {MAX_BYTES} visible ASCII characters without '*' and '>', in tokens joined by '.'"
)]
pub struct QueueGroupError(String);

impl QueueGroup {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for QueueGroup {
    fn default() -> Self {
        Self("h8s".into())
    }
}

impl FromStr for QueueGroup {
    type Err = QueueGroupError;

    fn from_str(text: &str) -> Result<Self, QueueGroupError> {
        let is_sign = |byte: u8| byte.is_ascii_graphic() && !b"*>".contains(&byte);
        let is_token = |token: &str| !token.is_empty() && token.bytes().all(is_sign);
        if text.len() <= MAX_BYTES && text.split('.').all(is_token) {
            Ok(Self(text.into()))
        } else {
            Err(QueueGroupError(text.chars().take(MAX_BYTES).collect()))
        }
    }
}

impl fmt::Display for QueueGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_valid_for_servers_and_permissions() {
        for good in ["h8s", "a.b-c_d", "team/7", &"x".repeat(MAX_BYTES)] {
            assert_eq!(good.parse::<QueueGroup>().unwrap().as_str(), good);
        }
        for bad in
            ["", ".", "a.", "a..b", "a b", "a\tb", "a*", ">", "é", "a\r\nPUB b", &"x".repeat(MAX_BYTES + 1)]
        {
            assert!(
                bad.parse::<QueueGroup>().unwrap_err().to_string().contains("invalid queue group"),
                "{bad}"
            );
        }
    }
}
