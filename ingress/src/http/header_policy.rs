//! Which header fields cross the edge.
//!
//! Three kinds do not: hop-by-hop fields (RFC 9110 §7.6.1), the names reserved by h8s, and, from untrusted clients, the
//! fields by which proxies describe a client. Everything else passes untouched and in order.

use h8s_wire::reserved::{is_hop_by_hop, is_ours};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;

/// Whether the sender may describe the client that it forwards for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// A client: its claims about its own address are removed.
    Stranger,
    /// A proxy in `--trusted-proxies`.
    TrustedProxy,
}

/// Removes request fields that do not cross the edge. `TE: trailers` stays, because trailers do cross it.
pub(crate) fn strip_request(headers: &mut HeaderMap, sender: Sender) {
    let takes_trailers = takes_trailers(headers);
    strip(headers, |name| {
        is_ours(name.as_str()) || (sender == Sender::Stranger && describes_client(name.as_str()))
    });
    if takes_trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    join_cookies(headers);
}

/// HTTP/2 clients send one field for each cookie; outside HTTP/2 there is one for all (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut all = headers.get_all(header::COOKIE).iter();
    if let (Some(_), Some(_)) = (all.next(), all.next()) {
        let all: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
        // Values with separators between them are a value.
        if let Ok(joined) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
            headers.insert(header::COOKIE, joined);
        }
    }
}

/// Removes response fields that do not cross the edge.
pub(crate) fn strip_response(headers: &mut HeaderMap) {
    strip(headers, |name| is_ours(name.as_str()));
}

/// Removes trailers that a head may not have either. Trailers never take part in framing or routing (RFC 9110 §6.5.1), so
/// client descriptions are removed from every sender.
pub(crate) fn strip_trailers(trailers: &mut HeaderMap) {
    strip(trailers, |name| is_ours(name.as_str()) || describes_client(name.as_str()) || is_framing(name));
}

/// Applies [`strip_trailers`] where a body frame is trailers.
pub(crate) fn clean_trailers<D>(mut frame: Frame<D>) -> Frame<D> {
    if let Some(trailers) = frame.trailers_mut() {
        strip_trailers(trailers);
    }
    frame
}

/// One pass over the names, without allocation when all stay.
fn strip(headers: &mut HeaderMap, is_unwanted: impl Fn(&HeaderName) -> bool) {
    remove_listed_in_connection(headers);
    let unwanted: Vec<HeaderName> =
        headers.keys().filter(|name| is_hop_by_hop(name) || is_unwanted(name)).cloned().collect();
    for name in &unwanted {
        headers.remove(name);
    }
}

/// `Connection: close, X-Private` makes `X-Private` hop-by-hop. Not so the fields that say where a request goes and
/// how long it is: listing those must not change what the responder sees.
fn remove_listed_in_connection(headers: &mut HeaderMap) {
    let Some(first) = headers.get(header::CONNECTION) else { return };
    if matches!(first.as_bytes(), b"keep-alive" | b"close" | b"Keep-Alive")
        && headers.len() == headers.keys_len()
    {
        return;
    }
    let listed: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| !is_framing(name))
        .collect();
    for name in &listed {
        headers.remove(name);
    }
}

fn is_framing(name: &HeaderName) -> bool {
    *name == header::HOST || *name == header::CONTENT_LENGTH
}

/// Fields by which a proxy describes its client. All of `X-Forwarded-*`, since each influences some framework's view of
/// its own address.
fn describes_client(name: &str) -> bool {
    name.starts_with("x-forwarded-") || matches!(name, "forwarded" | "x-real-ip" | "x-request-id")
}

fn takes_trailers(headers: &HeaderMap) -> bool {
    headers.get_all(header::TE).iter().any(|value| {
        let codings = value.as_bytes().split(|byte| *byte == b',');
        codings.map(<[u8]>::trim_ascii).any(|coding| coding.eq_ignore_ascii_case(b"trailers"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| {
                (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
            })
            .collect()
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn what_connection_lists_goes_but_never_where_to_or_how_long() {
        let mut request = headers(&[
            ("connection", "close, X-Private"),
            ("connection", "host, content-length"),
            ("x-private", "1"),
            ("host", "a"),
            ("content-length", "3"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("upgrade", "h2c"),
            ("http2-settings", "x"),
            ("transfer-encoding", "chunked"),
            ("accept", "*/*"),
        ]);

        strip_request(&mut request, Sender::Stranger);

        assert_eq!(names(&request), ["accept", "content-length", "host"]);
    }

    #[test]
    fn repeated_connection_fields_are_all_read() {
        let mut request =
            headers(&[("connection", "close"), ("connection", "x-a"), ("x-a", "1"), ("x-b", "2")]);

        strip_request(&mut request, Sender::Stranger);

        assert_eq!(names(&request), ["x-b"]);
    }

    #[test]
    fn reserved_names_go_in_both_directions() {
        let lines =
            [("x-h8s-original-path", "/admin"), ("h8s-more", "true"), ("x-h8", "stays"), ("h8s", "stays")];
        let (mut request, mut response, mut trailers) = (headers(&lines), headers(&lines), headers(&lines));

        strip_request(&mut request, Sender::TrustedProxy);
        strip_response(&mut response);
        strip_trailers(&mut trailers);

        for map in [request, response, trailers] {
            assert_eq!(names(&map), ["h8s", "x-h8"]);
        }
    }

    #[test]
    fn only_trusted_proxies_describe_clients() {
        let lines = [
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-prefix", "/admin"),
            ("forwarded", "for=6.6.6.6"),
            ("x-real-ip", "6.6.6.6"),
            ("x-request-id", "mine"),
        ];
        let (mut strangers, mut proxys) = (headers(&lines), headers(&lines));

        strip_request(&mut strangers, Sender::Stranger);
        strip_request(&mut proxys, Sender::TrustedProxy);

        assert!(strangers.is_empty());
        assert_eq!(proxys.len(), lines.len());
    }

    #[test]
    fn cookies_are_one_field() {
        let mut crumbs = headers(&[("cookie", "a=1"), ("x", "1"), ("cookie", "b=2; c=3"), ("x", "2")]);

        strip_request(&mut crumbs, Sender::Stranger);

        assert_eq!(crumbs, headers(&[("cookie", "a=1; b=2; c=3"), ("x", "1"), ("x", "2")]));
    }

    #[test]
    fn te_trailers_survives_alone() {
        let mut with = headers(&[("te", "gzip, Trailers"), ("connection", "TE")]);
        let mut without = headers(&[("te", "gzip")]);

        strip_request(&mut with, Sender::Stranger);
        strip_request(&mut without, Sender::Stranger);

        assert_eq!(with, headers(&[("te", "trailers")]));
        assert!(without.is_empty());
    }
}
