//! The opening handshake with a backend (RFC 6455 §4.1): this daemon is its client.

use h8s_wire::reserved::strip_hop_by_hop;
use h8s_wire::{subprotocol, websocket_handshake};
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Version};

/// What the backend must respond with.
#[derive(Debug)]
pub(crate) struct Handshake {
    accept: HeaderValue,
    /// The subprotocols of the request.
    offered: Vec<String>,
}

/// Why a 101 is not valid.
const NO_UPGRADE: &str = "its 101 does not upgrade to websocket";
const WRONG_ACCEPT: &str = "its sec-websocket-accept does not fit our key";
const EXTENSION: &str = "it chose a WebSocket extension that was not offered";
const PROTOCOL: &str = "it chose a subprotocol that was not offered";

impl Handshake {
    /// Turns a request into a handshake. No extension is offered: messages pass unchanged.
    pub(crate) fn begin(parts: &mut Parts) -> Self {
        parts.method = Method::GET;
        parts.version = Version::HTTP_11;
        let key = websocket_handshake::key(rand::random());
        let accept = websocket_handshake::accept(key.as_bytes());
        let headers = &mut parts.headers;
        let offered = subprotocol::offered(headers).map(str::to_owned).collect();
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::TE);
        headers.remove(header::SEC_WEBSOCKET_EXTENSIONS);
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_VERSION, websocket_handshake::VERSION);
        headers.insert(header::SEC_WEBSOCKET_KEY, key);
        Self { accept, offered }
    }

    /// Checks a 101, and removes the fields that are not for the client. Returns the subprotocol, if any.
    ///
    /// # Errors
    /// The first error in the order of RFC 6455 §4.1. The client gets a 502.
    pub(crate) fn check(&self, headers: &mut HeaderMap) -> Result<Option<String>, &'static str> {
        if !websocket_handshake::is_upgrade(headers) {
            return Err(NO_UPGRADE);
        }
        if websocket_handshake::only(headers, &header::SEC_WEBSOCKET_ACCEPT) != Ok(Some(&self.accept)) {
            return Err(WRONG_ACCEPT);
        }
        let extensions = headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS).iter();
        if extensions.flat_map(websocket_handshake::tokens).next().is_some() {
            return Err(EXTENSION);
        }
        let protocol = websocket_handshake::only(headers, &header::SEC_WEBSOCKET_PROTOCOL);
        let protocol = protocol.map_err(|_repeated| PROTOCOL)?.map(HeaderValue::to_str).transpose();
        let protocol = protocol.map_err(|_not_text| PROTOCOL)?.map(str::trim);
        if protocol.is_some_and(|protocol| !self.offered.iter().any(|offered| offered == protocol)) {
            return Err(PROTOCOL);
        }
        let protocol = protocol.map(str::to_owned);
        strip_hop_by_hop(headers);
        websocket_handshake::strip(headers);
        headers.remove(header::SEC_WEBSOCKET_PROTOCOL);
        Ok(protocol)
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use http::header::HeaderName;

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
    fn the_request_is_a_handshake_and_keeps_the_clients_fields() {
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
        assert!(websocket_handshake::is_key(headers["sec-websocket-key"].as_bytes()));
        assert!(!headers.contains_key("sec-websocket-extensions"));
    }

    #[test]
    fn only_the_clients_fields_of_a_101_remain() {
        let (handshake, _) = begun(&["chat, superchat"]);
        let mut headers = fields(&[
            ("upgrade", "WebSocket"),
            ("connection", "keep-alive, UPGRADE, x-hop"),
            ("sec-websocket-accept", handshake.accept.to_str().unwrap()),
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
    fn an_invalid_101_is_refused_with_its_reason() {
        let (handshake, _) = begun(&["chat"]);
        let right = [
            ("upgrade", "websocket"),
            ("connection", "upgrade"),
            ("sec-websocket-accept", handshake.accept.to_str().unwrap()),
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
            (with("sec-websocket-accept", handshake.accept.to_str().unwrap()), Err(WRONG_ACCEPT)),
            (with("sec-websocket-extensions", "permessage-deflate"), Err(EXTENSION)),
            (with("sec-websocket-protocol", "Chat"), Err(PROTOCOL)),
            (with("sec-websocket-protocol", "chat, chat"), Err(PROTOCOL)),
        ] {
            assert_eq!(handshake.check(&mut fields(&answer)), expected, "{answer:?}");
        }
    }
}
