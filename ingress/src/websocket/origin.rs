//! Origin check: which pages may open a WebSocket (T10; RFC 6455 §10.2).
//!
//! Browsers send cookies with any page's WebSocket and name the page's origin in `Origin`; this check is the only
//! protection against foreign pages. A client without `Origin` is not a browser and is admitted: it could claim any.

use std::str::FromStr;

use h8s_wire::Host;
use http::header::{self, HeaderMap, HeaderValue};

/// Origins that may open WebSockets besides the host's own (`--allowed-origins`). Default: none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedOrigins {
    /// `*`: every value of `Origin`.
    is_any: bool,
    listed: Vec<Pattern>,
}

/// `scheme://host[:port]` (RFC 6454 §6.2), the port given or the scheme's own.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: Host,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    /// Of `https://*.example.com`, that of `https://example.com`.
    origin: Origin,
    /// Any number of labels before it, at least one.
    is_suffix: bool,
}

impl AllowedOrigins {
    /// Whether the `Origin` of a request for `authority` is allowed.
    pub(crate) fn admit(&self, headers: &HeaderMap, authority: &HeaderValue) -> bool {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else { return true };
        if self.is_any {
            return true;
        }
        let origin = origin.to_str().ok().and_then(Origin::parse).filter(|_| origins.next().is_none());
        origin.is_some_and(|origin| {
            origin.is_of(authority) || self.listed.iter().any(|pattern| pattern.matches(&origin))
        })
    }
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        if scheme.is_empty() || !scheme.bytes().all(is_scheme) {
            return None;
        }
        let (scheme, host) = (scheme.to_ascii_lowercase(), Host::parse(authority).ok()?);
        let port = port(authority).or_else(|| default_port(&scheme));
        Some(Self { scheme, host, port })
    }

    /// Host and port are what the client asked for. The scheme is not compared: TLS may end before the gateway, which
    /// then cannot know it.
    fn is_of(&self, authority: &HeaderValue) -> bool {
        let Ok(text) = authority.to_str() else { return false };
        let asked = port(text).or_else(|| default_port(&self.scheme));
        self.port.is_some() && self.port == asked && Host::parse(text).is_ok_and(|host| host == self.host)
    }
}

impl Pattern {
    fn matches(&self, origin: &Origin) -> bool {
        let (own, name) = (self.origin.host.name(), origin.host.name());
        let is_host = if self.is_suffix {
            name.strip_suffix(own).is_some_and(|labels| labels.len() > 1 && labels.ends_with('.'))
        } else {
            name == own
        };
        is_host && (&self.origin.scheme, self.origin.port) == (&origin.scheme, origin.port)
    }
}

/// The port of an authority. [`Host::parse`] detects an invalid authority.
fn port(authority: &str) -> Option<u16> {
    let after_literal = authority.rsplit_once(']').map_or(authority, |(_, port)| port);
    after_literal.rsplit_once(':').and_then(|(_, digits)| digits.parse().ok())
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

/// Comma-separated: `https://app.example.com, https://*.example.com`, or `*`.
impl FromStr for AllowedOrigins {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut allowed = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            if part == "*" {
                allowed.is_any = true;
            } else {
                allowed.listed.push(pattern(part)?);
            }
        }
        Ok(allowed)
    }
}

fn pattern(text: &str) -> Result<Pattern, String> {
    let bare = text.replacen("://*.", "://", 1);
    let origin = Origin::parse(&bare).ok_or_else(|| {
        format!("{text:?} is not a valid origin; write https://app.example.com, https://*.example.com or *")
    })?;
    Ok(Pattern { origin, is_suffix: bare.len() < text.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(allowed: &str, authority: &'static str, origins: &[&'static str]) -> bool {
        let headers =
            origins.iter().map(|origin| (header::ORIGIN, HeaderValue::from_static(origin))).collect();
        let allowed: AllowedOrigins = allowed.parse().unwrap();
        allowed.admit(&headers, &HeaderValue::from_static(authority))
    }

    #[test]
    fn the_hosts_own_pages_and_those_without_an_origin_are_admitted() {
        for (authority, origins) in [
            ("a.example", &[][..]),
            ("a.example", &["https://a.example"]),
            ("a.example", &["http://A.example:80"]),
            ("a.example:443", &["https://a.example"]),
            ("A.example:8080", &["http://a.example:8080"]),
            ("[::1]:8080", &["http://[::1]:8080"]),
        ] {
            assert!(admits("", authority, origins), "{authority} {origins:?}");
        }
    }

    #[test]
    fn everything_else_is_foreign() {
        for (authority, origins) in [
            ("a.example", &["https://b.example"][..]),
            ("a.example", &["https://a.example:444"]),
            ("a.example:8080", &["http://a.example"]),
            ("a.example:80", &["https://a.example"]),
            ("a.example", &["https://a.example.evil.com"]),
            ("a.example", &["https://evil.com/a.example"]),
            ("a.example", &["https://a.example/"]),
            ("a.example", &["https://user@a.example"]),
            ("a.example", &["null"]),
            ("a.example", &["a.example"]),
            ("a.example", &[""]),
            ("a.example", &["app://a.example"]),
            ("a.example", &["https://a.example", "https://a.example"]),
        ] {
            assert!(!admits("", authority, origins), "{authority} {origins:?}");
        }
    }

    #[test]
    fn listed_origins_are_admitted_whole_or_below_a_wildcard() {
        let allowed = "https://b.example, https://*.c.example:8443, capacitor://localhost";
        for (origin, is_admitted) in [
            ("https://b.example", true),
            ("https://b.example:443", true),
            ("https://x.c.example:8443", true),
            ("https://x.y.c.example:8443", true),
            ("capacitor://localhost", true),
            ("https://a.example", true),
            ("http://b.example", false),
            ("https://x.b.example", false),
            ("https://c.example:8443", false),
            ("https://x.c.example", false),
            ("https://xc.example:8443", false),
            ("null", false),
        ] {
            assert_eq!(admits(allowed, "a.example", &[origin]), is_admitted, "{origin}");
        }
    }

    #[test]
    fn a_star_admits_every_origin() {
        for origins in [&["https://b.example"][..], &["null"], &["null", "x"], &[""]] {
            assert!(admits("https://c.example,*", "a.example", origins), "{origins:?}");
        }
    }

    #[test]
    fn an_invalid_origin_is_named_in_the_error() {
        for bad in
            ["a.example", "https://", "https://*", "https://a.example/x", "https://*.*.example", "null"]
        {
            assert!(bad.parse::<AllowedOrigins>().unwrap_err().contains(bad), "{bad}");
        }
    }
}
