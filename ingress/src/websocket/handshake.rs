//! The response that opens a WebSocket: 101 over HTTP/1.1, 200 over HTTP/2.

use h8s_wire::websocket_handshake as handshake;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};

use super::upgrade::UpgradeRequest;
use crate::http::error_response::ResponseFault;
use crate::http::header_policy;

/// `headers` are the responder's.
///
/// # Errors
/// The responder chose a subprotocol that the client did not offer, or several (RFC 6455 §4.1).
pub(crate) fn accepted<B: Default>(
    asked: UpgradeRequest,
    headers: HeaderMap,
) -> Result<Response<B>, ResponseFault> {
    let mut response = Response::new(B::default());
    *response.headers_mut() = headers;
    let headers = response.headers_mut();
    header_policy::strip_response(headers);
    handshake::strip(headers);
    check_protocol(headers, &asked.offered)?;
    if let Some(accept) = asked.accept {
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    }
    Ok(response)
}

fn check_protocol(headers: &HeaderMap, offered: &[HeaderValue]) -> Result<(), ResponseFault> {
    let mut chosen = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let Some(protocol) = chosen.next() else { return Ok(()) };
    let is_offered = offered.iter().flat_map(handshake::tokens).any(|offered| offered == protocol.as_bytes());
    if is_offered && chosen.next().is_none() { Ok(()) } else { Err(ResponseFault::Subprotocol) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(offered: &[&'static str], chosen: &[&'static str]) -> Result<Response<()>, ResponseFault> {
        let offered = offered.iter().map(|value| HeaderValue::from_static(value)).collect();
        let mut headers: HeaderMap = chosen
            .iter()
            .map(|value| (header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(value)))
            .collect();
        for (name, value) in [
            ("set-cookie", "a=1"),
            ("sec-websocket-extensions", "permessage-deflate"),
            ("content-length", "3"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        accepted(UpgradeRequest { accept: Some(HeaderValue::from_static("accept")), offered }, headers)
    }

    #[test]
    fn the_responders_fields_go_along_but_the_handshake_is_the_gateways() {
        let response = answer(&["chat, superchat"], &["superchat"]).unwrap();

        let mut names: Vec<_> = response.headers().keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(response.status(), 101);
        assert_eq!(
            names,
            ["connection", "sec-websocket-accept", "sec-websocket-protocol", "set-cookie", "upgrade"]
        );
    }

    #[test]
    fn a_subprotocol_is_one_of_those_offered() {
        assert!(answer(&["a"], &[]).is_ok() && answer(&["a", "b"], &["b"]).is_ok());
        for (offered, chosen) in
            [(&[][..], &["a"][..]), (&["a"], &["A"]), (&["a"], &["a", "a"]), (&["a, b"], &["a, b"])]
        {
            assert_eq!(answer(offered, chosen).unwrap_err(), ResponseFault::Subprotocol, "{chosen:?}");
        }
    }
}
