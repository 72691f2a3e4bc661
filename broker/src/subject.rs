//! Subjects: dot-separated tokens. In a subscription, `*` matches one token, and `>` one or more at the end.

/// The limit of tokens in the subject of a subscription, which bounds the depth of the trie. The longest host name has
/// 127 labels, to which h8s adds 40 tokens at most.
pub(crate) const MAX_TOKENS: usize = 256;

/// Whether a message may have this subject: literal, visible UTF-8, no empty token.
///
/// nats-server accepts anything here, but a subject that is not UTF-8 makes some clients close their connection.
pub(crate) fn is_literal(subject: &[u8]) -> bool {
    is_visible_text(subject) && tokens(subject).all(|token| !matches!(token, b"" | b"*" | b">"))
}

/// Whether a subscription may have this subject: like a message, and with wildcards, `>` only at the end.
pub(crate) fn is_pattern(subject: &[u8]) -> bool {
    let mut ended = false;
    let mut count = 0;
    for token in tokens(subject) {
        if ended || token.is_empty() {
            return false;
        }
        ended = token == b">";
        count += 1;
    }
    count <= MAX_TOKENS && is_visible_text(subject)
}

/// The tokens, in order. An empty subject has one empty token.
pub(crate) fn tokens(subject: &[u8]) -> impl Iterator<Item = &[u8]> {
    subject.split(|byte| *byte == b'.')
}

fn is_visible_text(subject: &[u8]) -> bool {
    subject.iter().all(|byte| *byte > b' ' && *byte != 0x7f) && str::from_utf8(subject).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_subjects_have_no_wildcards_and_no_empty_tokens() {
        for subject in ["a", "a.b", "a*.b>", "$SYS.x", "h8s.http.GET.com.example._.a%20b", "straße.ü"] {
            assert!(is_literal(subject.as_bytes()), "{subject}");
        }
        for subject in ["", ".", "a.", ".a", "a..b", "*", "a.*", ">", "a.>", "a b", "a\tb", "a\0b", "a\r\nb"]
        {
            assert!(!is_literal(subject.as_bytes()), "{subject:?}");
        }
        assert!(!is_literal(b"a.\xff"));
    }

    #[test]
    fn patterns_have_their_tail_at_the_end() {
        for subject in ["a", "*", ">", "a.*.c", "a.>", "*.>", "a*", "a.>b"] {
            assert!(is_pattern(subject.as_bytes()), "{subject}");
        }
        for subject in ["", "a..b", ".a", "a.", "a.>.b", ">.>", ">.", "a b"] {
            assert!(!is_pattern(subject.as_bytes()), "{subject:?}");
        }
        assert!(!is_pattern(b"a.\xff"));
    }

    #[test]
    fn patterns_have_a_bounded_number_of_tokens() {
        assert!(is_pattern(["a"; MAX_TOKENS].join(".").as_bytes()));
        assert!(!is_pattern(["a"; MAX_TOKENS + 1].join(".").as_bytes()));
    }
}
