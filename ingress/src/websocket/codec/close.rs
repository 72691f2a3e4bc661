//! Close frames of clients (RFC 6455 §5.5.1, §7.4).

use h8s_wire::Close;

use super::Violation;

/// Parses the payload of a client's close frame.
pub(crate) fn parse(payload: &[u8]) -> Result<Close, Violation> {
    let (code, reason) = match payload {
        [] => return Ok(Close::new(Close::NO_CODE, "")),
        [_] => return Err(Violation::Protocol("a close code must have two bytes")),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    let reason = std::str::from_utf8(reason).map_err(|_| Violation::Utf8)?;
    let close = Close { code, reason: reason.to_owned() };
    if close.is_sendable() { Ok(close) } else { Err(Violation::Protocol("invalid close code")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_nothing_or_a_code_and_text() {
        assert_eq!(parse(b"").unwrap().code, 1005);
        assert_eq!(parse(b"\x03\xe8bye").unwrap(), Close { code: 1000, reason: "bye".into() });
        assert!(matches!(parse(b"\x03"), Err(Violation::Protocol(_))));
        assert!(matches!(parse(b"\x03\xec"), Err(Violation::Protocol(_))));
        assert_eq!(parse(b"\x03\xe8\xff"), Err(Violation::Utf8));
    }
}
