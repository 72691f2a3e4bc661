//! The opening handshake with a backend (RFC 6455 §4.1): this daemon is its client.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use h8s_wire::reserved::strip_hop_by_hop;
use h8s_wire::subprotocol;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Version};

/// What every key is answered with (RFC 6455 §1.3).
const ACCEPT_GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// RFC 6455 §4.1: a nonce.
const KEY_BYTES: usize = 16;

/// Fields of an answer that are between this daemon and the backend.
const OURS: [HeaderName; 6] = [
    header::CONTENT_LENGTH,
    header::SEC_WEBSOCKET_ACCEPT,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::SEC_WEBSOCKET_VERSION,
];

/// What the backend must answer.
#[derive(Debug)]
pub(crate) struct Handshake {
    accept: String,
    /// What the request offered.
    offered: Vec<String>,
}

/// Why a 101 is none.
const NO_UPGRADE: &str = "its 101 does not upgrade to websocket";
const WRONG_ACCEPT: &str = "its sec-websocket-accept does not fit our key";
const EXTENSION: &str = "it chose a WebSocket extension that was not offered";
const PROTOCOL: &str = "it chose a subprotocol that was not offered";

impl Handshake {
    /// Completes a request whose fields are otherwise as the backend is to get them. No extension is offered: messages
    /// travel as they are.
    pub(crate) fn begin(parts: &mut Parts) -> Self {
        parts.method = Method::GET;
        parts.version = Version::HTTP_11;
        let key = STANDARD.encode(rand::random::<[u8; KEY_BYTES]>());
        let accept = accept(&key);
        let headers = &mut parts.headers;
        let offered = subprotocol::offered(headers).map(str::to_owned).collect();
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::TE);
        headers.remove(header::SEC_WEBSOCKET_EXTENSIONS);
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        headers
            .insert(header::SEC_WEBSOCKET_KEY, HeaderValue::try_from(key).expect("base64 is visible ASCII"));
        Self { accept, offered }
    }

    /// Checks a 101, and leaves in its fields what is for the client. The subprotocol, if there is one.
    ///
    /// # Errors
    /// What is wrong with it, in the order of RFC 6455 §4.1. The client gets a 502.
    pub(crate) fn check(&self, headers: &mut HeaderMap) -> Result<Option<String>, &'static str> {
        let has = |name, token: &str| tokens(headers, name).any(|each| each.eq_ignore_ascii_case(token));
        if !has(&header::UPGRADE, "websocket") || !has(&header::CONNECTION, "upgrade") {
            return Err(NO_UPGRADE);
        }
        if only(headers, &header::SEC_WEBSOCKET_ACCEPT) != Ok(Some(self.accept.as_str())) {
            return Err(WRONG_ACCEPT);
        }
        if tokens(headers, &header::SEC_WEBSOCKET_EXTENSIONS).next().is_some() {
            return Err(EXTENSION);
        }
        let protocol = only(headers, &header::SEC_WEBSOCKET_PROTOCOL).map_err(|Odd| PROTOCOL)?;
        if protocol.is_some_and(|protocol| !self.offered.iter().any(|offered| offered == protocol)) {
            return Err(PROTOCOL);
        }
        let protocol = protocol.map(str::to_owned);
        strip_hop_by_hop(headers);
        for name in &OURS {
            headers.remove(name);
        }
        Ok(protocol)
    }
}

/// What is in a list that may be spread over several fields.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

/// There more than once, or not even text.
#[derive(Debug, PartialEq, Eq)]
struct Odd;

/// The value of a field that may be there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Odd> {
    let mut values = headers.get_all(name).into_iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(|value| Some(value.trim())).map_err(|_| Odd),
        (Some(_), Some(_)) => Err(Odd),
    }
}

fn accept(key: &str) -> String {
    let mut hash = sha1_smol::Sha1::new();
    hash.update(key.as_bytes());
    hash.update(ACCEPT_GUID);
    STANDARD.encode(hash.digest().bytes())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn begun(offers: &[&str]) -> (Handshake, HeaderMap) {
        let mut request = Request::builder().method("CONNECT").uri("/chat?room=1").header("cookie", "a=1");
        for offer in offers {
            request = request.header("sec-websocket-protocol", *offer);
        }
        let (mut parts, ()) =
            request.header("sec-websocket-extensions", "permessage-deflate").body(()).unwrap().into_parts();
        let handshake = Handshake::begin(&mut parts);
        assert_eq!((parts.method, parts.version), (Method::GET, Version::HTTP_11));
        (handshake, parts.headers)
    }

    fn fields(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn the_request_asks_for_a_websocket_and_keeps_what_is_the_clients() {
        let (_, headers) = begun(&["chat, superchat", "v2"]);

        let offers: Vec<_> = headers.get_all("sec-websocket-protocol").iter().collect();
        assert_eq!(offers, ["chat, superchat", "v2"]);
        for (name, value) in [
            ("cookie", "a=1"),
            ("upgrade", "websocket"),
            ("connection", "Upgrade"),
            ("sec-websocket-version", "13"),
        ] {
            assert_eq!(headers[name], value);
        }
        assert_eq!(STANDARD.decode(&headers["sec-websocket-key"]).unwrap().len(), KEY_BYTES);
        assert!(!headers.contains_key("sec-websocket-extensions"));
    }

    #[test]
    fn keys_are_answered_as_in_the_rfc() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn the_clients_fields_of_a_101_are_left() {
        let (handshake, _) = begun(&["chat, superchat"]);
        let mut headers = fields(&[
            ("upgrade", "WebSocket"),
            ("connection", "keep-alive, UPGRADE, x-hop"),
            ("sec-websocket-accept", &handshake.accept),
            ("sec-websocket-protocol", "superchat"),
            ("sec-websocket-version", "13"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("x-hop", "1"),
        ]);

        assert_eq!(handshake.check(&mut headers), Ok(Some("superchat".into())));

        assert_eq!(headers, fields(&[("set-cookie", "a=1"), ("set-cookie", "b=2")]));
    }

    #[test]
    fn a_101_that_is_none_is_told_apart() {
        let (handshake, _) = begun(&["chat"]);
        let right = [
            ("upgrade", "websocket"),
            ("connection", "upgrade"),
            ("sec-websocket-accept", handshake.accept.as_str()),
        ];
        let but = |name, value| right.map(|field| if field.0 == name { (name, value) } else { field });
        let with = |name, value| [&right[..], &[(name, value)]].concat();
        for (answer, expected) in [
            (right.to_vec(), Ok(None)),
            (with("sec-websocket-extensions", ""), Ok(None)),
            (but("upgrade", "h2c").to_vec(), Err(NO_UPGRADE)),
            (but("connection", "close").to_vec(), Err(NO_UPGRADE)),
            (but("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=").to_vec(), Err(WRONG_ACCEPT)),
            (right[..2].to_vec(), Err(WRONG_ACCEPT)),
            (with("sec-websocket-accept", &handshake.accept), Err(WRONG_ACCEPT)),
            (with("sec-websocket-extensions", "permessage-deflate"), Err(EXTENSION)),
            (with("sec-websocket-protocol", "Chat"), Err(PROTOCOL)),
            (with("sec-websocket-protocol", "chat, chat"), Err(PROTOCOL)),
        ] {
            assert_eq!(handshake.check(&mut fields(&answer)), expected, "{answer:?}");
        }
    }
}
