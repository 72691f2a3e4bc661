//! Which header fields cross the gateway: not those that end at one hop, and not h8s' own.

use h8s_wire::reserved::{strip_hop_by_hop, strip_ours};
use http::header::{HeaderMap, HeaderValue, TE};

/// `TE: trailers` stays, because trailers cross the bus.
pub(super) fn strip_request(headers: &mut HeaderMap) {
    let takes_trailers = headers.get_all(TE).iter().any(|value| {
        let mut codings = value.as_bytes().split(|byte| *byte == b',');
        codings.any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
    });
    strip_response(headers);
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

pub(super) fn strip_response(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
    strip_ours(headers);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_one_hop_and_our_own_stay_here() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "a.example"),
            ("connection", "keep-alive, x-private"),
            ("x-private", "1"),
            ("te", "gzip, trailers"),
            ("upgrade", "websocket"),
            ("x-h8s-original-path", "/admin"),
            ("accept", "*/*"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }

        strip_request(&mut headers);

        let mut names: Vec<&str> = headers.keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            (names, &headers[TE]),
            (vec!["accept", "host", "te"], &HeaderValue::from_static("trailers"))
        );
    }
}
