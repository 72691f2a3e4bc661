//! Header names that clients and responders must not set (`PROTOCOL.md §1`), and hop-by-hop names.

use http::HeaderMap;
use http::header::{self, HeaderName};

/// Whether h8s reserves the name. A gateway removes such fields from requests and responses.
pub fn is_ours(name: &str) -> bool {
    starts_with(name, "x-h8s-") || starts_with(name, "h8s-")
}

/// Whether NATS reserves the name. Such fields are removed when HTTP headers are converted to NATS headers and back:
/// `Nats-*` controls nats-server, and `Status` is the status of a response.
pub fn is_the_bus_own(name: &str) -> bool {
    starts_with(name, "nats-")
        || name.eq_ignore_ascii_case("status")
        || name.eq_ignore_ascii_case("status-code")
}

fn starts_with(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Removes every field whose name h8s reserves.
pub fn strip_ours(headers: &mut HeaderMap) {
    // Few requests have one: search before building a list.
    while let Some(name) = headers.keys().find(|name| is_ours(name.as_str())).cloned() {
        headers.remove(name);
    }
}

/// RFC 9110 §7.6.1. `TE` belongs to one hop; the next HTTP sender adds `TE: trailers` itself. `Trailer` passes (§6.6.2):
/// many HTTP libraries drop trailers that it does not announce.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Whether the name is on the fixed list of hop-by-hop names.
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(name)
}

/// Removes hop-by-hop fields: the fixed list, and the names that `Connection` lists. `Host` and `Content-Length` stay
/// even if it lists them: they determine destination and length.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    for listed in connection_options(headers) {
        headers.remove(listed);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

fn connection_options(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(header::CONNECTION).into_iter();
    // Splits bytes: a value that is not UTF-8 may still list valid names.
    let options = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let names = options.filter_map(|option| HeaderName::from_bytes(option.trim_ascii()).ok());
    names.filter(|name| *name != header::HOST && *name != header::CONTENT_LENGTH).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_names_in_any_case() {
        assert!(is_ours("X-H8s-Original-Path") && is_ours("h8s-more") && !is_ours("x-h8") && !is_ours("é"));
        assert!(is_the_bus_own("NATS-Msg-Id") && is_the_bus_own("Status") && is_the_bus_own("status-code"));
        assert!(!is_the_bus_own("status-line") && !is_the_bus_own("nat"));
    }

    #[test]
    fn hop_by_hop_fields_are_removed() {
        let mut headers = HeaderMap::new();
        let odd = http::HeaderValue::from_bytes(b"caf\xe9, x-odd, content-length").unwrap();
        headers.append("connection", odd);
        for (name, value) in [
            ("x-odd", "1"),
            ("content-length", "1"),
            ("connection", "close, X-Mine"),
            ("connection", "keep-alive"),
            ("keep-alive", "1"),
            ("te", "trailers"),
            ("trailer", "x-sum"),
            ("x-mine", "1"),
            ("x-h8s-original-path", "/"),
            ("x-kept", "1"),
        ] {
            headers.append(name, value.parse().unwrap());
        }
        strip_hop_by_hop(&mut headers);
        strip_ours(&mut headers);
        let mut kept: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        kept.sort_unstable();
        assert_eq!(kept, ["content-length", "trailer", "x-kept"]);
    }
}
