//! The opening handshake of a WebSocket (RFC 6455 §4), as far as client and server share it.
//!
//! Pure: the caller brings the nonce, and decides what to do about a handshake that does not fit.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// `Sec-WebSocket-Version`: 13, the only version in use (RFC 6455 §4.1).
pub const VERSION: HeaderValue = HeaderValue::from_static("13");

/// The nonce in a key, in bytes (RFC 6455 §4.1).
pub const NONCE_BYTES: usize = 16;

/// Hashed with every key (RFC 6455 §1.3).
const ACCEPT_GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A field occurs more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeated;

/// `Sec-WebSocket-Key` for a nonce.
pub fn key(nonce: [u8; NONCE_BYTES]) -> HeaderValue {
    visible(&STANDARD.encode(nonce))
}

/// Whether this is the base64 of a nonce.
pub fn is_key(key: &[u8]) -> bool {
    STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == NONCE_BYTES)
}

/// `Sec-WebSocket-Accept` for a key (RFC 6455 §4.2.2).
pub fn accept(key: &[u8]) -> HeaderValue {
    let mut hash = sha1_smol::Sha1::new();
    hash.update(key);
    hash.update(ACCEPT_GUID);
    visible(&STANDARD.encode(hash.digest().bytes()))
}

fn visible(base64: &str) -> HeaderValue {
    HeaderValue::from_str(base64).expect("base64 is visible ASCII")
}

/// Whether `Upgrade` and `Connection` name a WebSocket. Other tokens are ignored (RFC 9110 §7.8).
pub fn is_upgrade(headers: &HeaderMap) -> bool {
    lists(headers, &header::UPGRADE, b"websocket") && lists(headers, &header::CONNECTION, b"upgrade")
}

/// Whether a list, perhaps spread over several fields, has this token in any case.
fn lists(headers: &HeaderMap, name: &HeaderName, token: &[u8]) -> bool {
    headers.get_all(name).iter().flat_map(tokens).any(|listed| listed.eq_ignore_ascii_case(token))
}

/// The parts of a comma-separated value.
pub fn tokens(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    let parts = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    parts.filter(|part| !part.is_empty())
}

/// The value of a field that may occur once.
///
/// # Errors
/// The field occurs more than once.
pub fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Repeated> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => Err(Repeated),
    }
}

/// Removes the fields of the handshake that concern one connection only. `Sec-WebSocket-Protocol` stays.
pub fn strip(headers: &mut HeaderMap) {
    for name in [
        header::SEC_WEBSOCKET_KEY,
        header::SEC_WEBSOCKET_VERSION,
        header::SEC_WEBSOCKET_EXTENSIONS,
        header::SEC_WEBSOCKET_ACCEPT,
        header::CONTENT_LENGTH,
    ] {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_of_the_rfcs_key_is_the_rfcs() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_key_is_the_base64_of_16_bytes() {
        assert_eq!(key(*b"the sample nonce"), "dGhlIHNhbXBsZSBub25jZQ==");
        assert!(is_key(b"dGhlIHNhbXBsZSBub25jZQ=="));
        assert!(!is_key(b"c2hvcnQ=") && !is_key(b"not base64 at all!!!!!!!") && !is_key(b""));
    }

    #[test]
    fn a_repeated_field_is_an_error() {
        let mut headers = HeaderMap::new();
        assert_eq!(only(&headers, &header::SEC_WEBSOCKET_VERSION), Ok(None));
        headers.append(header::SEC_WEBSOCKET_VERSION, VERSION);
        assert_eq!(only(&headers, &header::SEC_WEBSOCKET_VERSION), Ok(Some(&VERSION)));
        headers.append(header::SEC_WEBSOCKET_VERSION, VERSION);
        assert_eq!(only(&headers, &header::SEC_WEBSOCKET_VERSION), Err(Repeated));
    }
}
