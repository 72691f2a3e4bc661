//! Header names that nobody outside may set (`PROTOCOL.md §1`), and those that end at each hop.

use http::HeaderMap;
use http::header::{self, HeaderName};

/// Ours: consumed or removed where requests enter, and removed from responses.
pub fn is_ours(name: &str) -> bool {
    starts_with(name, "x-h8s-") || starts_with(name, "h8s-")
}

/// The bus's own, removed where HTTP headers become NATS headers and back: `Nats-*` steers nats-server, and
/// `Status` is a response's head.
pub fn is_the_bus_own(name: &str) -> bool {
    starts_with(name, "nats-")
        || name.eq_ignore_ascii_case("status")
        || name.eq_ignore_ascii_case("status-code")
}

fn starts_with(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Removes every name of ours.
pub fn strip_ours(headers: &mut HeaderMap) {
    // Nearly no request has one: look before building a list.
    while let Some(name) = headers.keys().find(|name| is_ours(name.as_str())).cloned() {
        headers.remove(name);
    }
}

/// RFC 9110 §7.6.1. `TE` belongs to one hop; `TE: trailers` is re-made by whoever speaks HTTP. `Trailer` passes (§6.6.2):
/// who gets a body in chunks must be told which trailers come, or their HTTP library leaves them away.
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

/// Whether the name is on the fixed list of those that belong to one connection.
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(name)
}

/// Removes what belongs to one connection: the fixed list, and whatever `Connection` names. `Host` and
/// `Content-Length` stay even if it names them: they say where a message goes and how long it is.
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
    // Bytes: a value that is not UTF-8 still lists the names beside the odd byte.
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
    fn what_ends_at_the_hop_is_removed() {
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
