//! Recognises and validates WebSocket requests: RFC 6455 §4.2.1 over HTTP/1.1, RFC 8441 §5 over HTTP/2.

use h8s_wire::websocket_handshake::{self as handshake, VERSION};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Version};
use hyper::ext::Protocol;

use crate::http::admission::Rejection;

/// A request for a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UpgradeRequest {
    /// `Sec-WebSocket-Accept` of the 101. HTTP/2 has none.
    pub(crate) accept: Option<HeaderValue>,
    /// The fields that list subprotocols.
    pub(crate) offered: Vec<HeaderValue>,
}

/// `None`: the request is not for a WebSocket. Other tokens of `Upgrade` are ignored, as RFC 9110 §7.8 allows.
pub(crate) fn asked<B>(request: &Request<B>, has_body: bool) -> Result<Option<UpgradeRequest>, Rejection> {
    let headers = request.headers();
    let accept = match (request.version(), request.extensions().get::<Protocol>()) {
        (Version::HTTP_2, Some(protocol)) if protocol.as_str().eq_ignore_ascii_case("websocket") => None,
        (Version::HTTP_2, Some(_)) => return Err(Rejection::Protocol),
        (Version::HTTP_11, _) if request.method() == Method::GET && handshake::is_upgrade(headers) => {
            Some(())
        }
        _ => return Ok(None),
    };
    if has_body {
        return Err(Rejection::Upgrade("the handshake has a body"));
    }
    if handshake::only(headers, &header::SEC_WEBSOCKET_VERSION) != Ok(Some(&VERSION)) {
        return Err(Rejection::WebSocketVersion);
    }
    let accept = accept.map(|()| accept_for(headers)).transpose()?;
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().cloned().collect();
    Ok(Some(UpgradeRequest { accept, offered }))
}

fn accept_for(headers: &HeaderMap) -> Result<HeaderValue, Rejection> {
    let key = handshake::only(headers, &header::SEC_WEBSOCKET_KEY).ok().flatten().map(HeaderValue::as_bytes);
    let key = key.filter(|key| handshake::is_key(key));
    let key = key.ok_or(Rejection::Upgrade("Sec-WebSocket-Key is missing, repeated or invalid"))?;
    Ok(handshake::accept(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: (&str, &str) = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    const VERSION_13: (&str, &str) = ("sec-websocket-version", "13");
    const UPGRADE: (&str, &str) = ("upgrade", "websocket");
    const CONNECTION: (&str, &str) = ("connection", "Upgrade");

    fn judge(
        method: &str,
        version: Version,
        fields: &[(&str, &str)],
    ) -> Result<Option<UpgradeRequest>, Rejection> {
        let mut request = http::Request::builder().method(method).version(version);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        asked(&request.body(()).unwrap(), false)
    }

    #[test]
    fn the_rfcs_own_example_is_accepted() {
        let asked = judge("GET", Version::HTTP_11, &[KEY, VERSION_13, UPGRADE, CONNECTION]).unwrap().unwrap();

        assert_eq!(asked.accept.unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn tokens_are_found_in_lists_fields_and_any_case() {
        for fields in [
            [("upgrade", "WebSocket"), ("connection", "keep-alive, UPGRADE"), ("x-a", "")],
            [("upgrade", "h2c, websocket"), ("connection", "close"), ("connection", ",upgrade")],
        ] {
            let fields = [&fields[..], &[KEY, VERSION_13]].concat();
            assert!(judge("GET", Version::HTTP_11, &fields).unwrap().is_some(), "{fields:?}");
        }
    }

    #[test]
    fn what_asks_for_something_else_is_left_alone() {
        for (method, version, fields) in [
            ("GET", Version::HTTP_11, &[KEY, VERSION_13, UPGRADE][..]),
            ("GET", Version::HTTP_11, &[KEY, VERSION_13, CONNECTION]),
            ("GET", Version::HTTP_11, &[("upgrade", "h2c"), CONNECTION]),
            ("GET", Version::HTTP_11, &[("upgrade", "websockets"), CONNECTION]),
            ("POST", Version::HTTP_11, &[KEY, VERSION_13, UPGRADE, CONNECTION]),
            ("GET", Version::HTTP_10, &[KEY, VERSION_13, UPGRADE, CONNECTION]),
            ("GET", Version::HTTP_2, &[KEY, VERSION_13, UPGRADE, CONNECTION]),
            ("CONNECT", Version::HTTP_2, &[VERSION_13]),
        ] {
            assert_eq!(judge(method, version, fields), Ok(None), "{method} {version:?} {fields:?}");
        }
    }

    #[test]
    fn a_key_must_be_there_once_and_a_nonce() {
        let short = ("sec-websocket-key", "c2hvcnQ=");
        let odd = ("sec-websocket-key", "not base64 at all!!!!!!!");
        for keys in [&[][..], &[short], &[odd], &[KEY, KEY]] {
            let fields = [keys, &[VERSION_13, UPGRADE, CONNECTION]].concat();
            let refused = judge("GET", Version::HTTP_11, &fields);
            assert!(matches!(refused, Err(Rejection::Upgrade(_))), "{keys:?}");
        }
    }

    #[test]
    fn any_other_version_is_rejected() {
        for versions in [&[][..], &[("sec-websocket-version", "8")], &[VERSION_13, VERSION_13]] {
            let fields = [versions, &[KEY, UPGRADE, CONNECTION]].concat();
            assert_eq!(
                judge("GET", Version::HTTP_11, &fields),
                Err(Rejection::WebSocketVersion),
                "{versions:?}"
            );
        }
    }
}
