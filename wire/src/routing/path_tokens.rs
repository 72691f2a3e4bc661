//! Subject tokens: encodes any byte string as valid, literal, bounded tokens (`PROTOCOL.md §2`).
//!
//! Percent-encoding is written here rather than taken from a crate: a segment is decoded and encoded byte by byte into
//! the subject, in one pass that stops at the size limit and needs no buffer.

use std::fmt;

/// The number of path segments in a subject. Further ones are left off; the head carries the whole path.
pub const MAX_PATH_TOKENS: usize = 32;

/// The size limit of a subject. nats-server closes a connection whose protocol line exceeds 4 KiB, and that line
/// carries a subject, a reply subject and sizes.
pub const MAX_SUBJECT_BYTES: usize = 1024;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// `pchar` of RFC 3986 without `.` (the token separator), `*` (a wildcard) and `%` (the escape).
fn is_raw(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-~_!$&'()+,;=:@".contains(&byte)
}

/// Appends `bytes` as one token: allowed characters as they are, every other byte as `%XX`.
pub fn encode_token(bytes: &[u8], out: &mut String) {
    for &byte in bytes {
        push_byte(byte, out);
    }
}

fn push_byte(byte: u8, out: &mut String) {
    if is_raw(byte) {
        out.push(char::from(byte));
    } else {
        out.push('%');
        out.push(char::from(HEX[usize::from(byte >> 4)]));
        out.push(char::from(HEX[usize::from(byte & 15)]));
    }
}

/// Decodes a token to bytes. A `%` that is not followed by two hexadecimal digits stands for itself.
pub fn decode_token(token: &str) -> Vec<u8> {
    percent_decoded(token.as_bytes()).collect()
}

fn percent_decoded(segment: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = segment;
    std::iter::from_fn(move || {
        let (&first, tail) = rest.split_first()?;
        if first == b'%'
            && let [high, low, after @ ..] = tail
            && let (Some(high), Some(low)) = (hex_value(*high), hex_value(*low))
        {
            rest = after;
            return Some(high << 4 | low);
        }
        rest = tail;
        Some(first)
    })
}

fn hex_value(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// A path as subject tokens, joined by `.`: one per non-empty segment, [`MAX_PATH_TOKENS`] at most.
///
/// Paths that differ only in escapes (`/a%62`, `/ab`) or empty segments (`/a//b`, `/a/b/`) have the same tokens and
/// route alike. The head carries the exact path.
///
/// ```
/// use h8s_wire::PathTokens;
///
/// assert_eq!(PathTokens::of("/a%62//c.d/").as_str(), "ab.c%2Ed");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathTokens {
    joined: String,
    truncated: bool,
}

impl PathTokens {
    /// Tokenizes a raw path, as in the request target, without its query.
    pub fn of(path: &str) -> Self {
        let mut tokens = Self { joined: String::with_capacity(path.len()), truncated: false };
        for (index, segment) in path.split('/').filter(|segment| !segment.is_empty()).enumerate() {
            if index == MAX_PATH_TOKENS || !tokens.push(segment) {
                tokens.truncated = true;
                break;
            }
        }
        tokens
    }

    /// Appends one segment. Removes it again and returns `false` if the total exceeds the limit.
    fn push(&mut self, segment: &str) -> bool {
        let before = self.joined.len();
        if before > 0 {
            self.joined.push('.');
        }
        for byte in percent_decoded(segment.as_bytes()) {
            push_byte(byte, &mut self.joined);
            if self.joined.len() > MAX_SUBJECT_BYTES {
                self.joined.truncate(before);
                return false;
            }
        }
        true
    }

    /// The tokens joined by `.`; empty for the root.
    pub fn as_str(&self) -> &str {
        &self.joined
    }

    /// Whether segments were left off.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// The whole tokens that fit into `budget` bytes, separators included.
    pub(crate) fn within(&self, budget: usize) -> &str {
        if self.joined.len() <= budget {
            return &self.joined;
        }
        // Tokens are ASCII, so every index is a character boundary.
        let cut = self.joined.as_bytes()[..=budget].iter().rposition(|&byte| byte == b'.');
        &self.joined[..cut.unwrap_or(0)]
    }
}

impl fmt::Display for PathTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.joined)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_become_tokens() {
        for (path, tokens) in [
            ("/", ""),
            ("", ""),
            ("/a/b", "a.b"),
            ("//a///b/", "a.b"),
            ("/a.b", "a%2Eb"),
            ("/*/>", "%2A.%3E"),
            ("/%2a", "%2A"),
            ("/a%62c", "abc"),
            ("/100%", "100%25"),
            ("/%zz", "%25zz"),
            ("/%", "%25"),
            ("/a b", "a%20b"),
            ("/%0d%0a", "%0D%0A"),
            ("/é", "%C3%A9"),
            ("/..", "%2E%2E"),
            ("/$SYS/_", "$SYS._"),
            ("*", "%2A"),
        ] {
            assert_eq!(PathTokens::of(path).as_str(), tokens, "{path}");
        }
    }

    #[test]
    fn long_paths_lose_whole_tokens_at_the_end() {
        let many = PathTokens::of(&"/x".repeat(40));
        assert_eq!(many.as_str(), vec!["x"; 32].join("."));
        assert!(many.is_truncated());

        let long = PathTokens::of(&format!("/a/{}/b", "y".repeat(64 * 1024)));
        assert_eq!(long.as_str(), "a");
        assert!(long.is_truncated());
        assert!(!PathTokens::of(&"/x".repeat(32)).is_truncated());
    }

    #[test]
    fn within_keeps_whole_tokens() {
        let tokens = PathTokens::of("/abc/def/g");
        for (budget, kept) in [
            (10, "abc.def.g"),
            (9, "abc.def.g"),
            (8, "abc.def"),
            (7, "abc.def"),
            (6, "abc"),
            (3, "abc"),
            (2, ""),
            (0, ""),
        ] {
            assert_eq!(tokens.within(budget), kept, "{budget}");
        }
    }
}
