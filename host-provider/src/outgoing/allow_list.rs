//! The hosts that guests may send requests to: a name, with a scheme and a port.
//!
//! A destination is compared as a whole, and matches only in its canonical form: no user info, no trailing dot, no
//! alternative notation of an address.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};

/// The longest name and the longest label (RFC 1035 §2.3.4).
const NAME_BYTES: usize = 253;
const LABEL_BYTES: usize = 63;

/// An allowed host, or all hosts below one.
///
/// `api.example.com` is HTTPS at port 443; `*.example.com` is every name below, and not `example.com` itself;
/// `host:8443` is another port, and `http://localhost:3000` cleartext.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedHost {
    is_tls: bool,
    name: Name,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Exactly(String),
    /// With the leading dot.
    Below(String),
}

/// The text is not a valid allowed host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid host; write a name (api.example.com), all names below one (*.example.com), another port (host:8443), or \
     http:// before it for cleartext"
)]
pub struct NoAllowedHost;

impl AllowedHost {
    /// Whether requests to it use TLS.
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    fn admits(&self, destination: &Destination) -> bool {
        let is_named = match &self.name {
            Name::Exactly(name) => destination.host == *name,
            Name::Below(suffix) => {
                destination.host.len() > suffix.len() && destination.host.ends_with(suffix.as_str())
            }
        };
        is_named && self.is_tls == destination.is_tls && self.port == destination.port
    }
}

impl FromStr for AllowedHost {
    type Err = NoAllowedHost;

    fn from_str(text: &str) -> Result<Self, NoAllowedHost> {
        let (is_tls, rest) = match text.trim().split_once("://") {
            None => (true, text.trim()),
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            Some(_) => return Err(NoAllowedHost),
        };
        let rest = rest.to_ascii_lowercase();
        let (below, rest) = match rest.strip_prefix('*') {
            Some(below) if below.starts_with('.') => (true, &below[1..]),
            Some(_) => return Err(NoAllowedHost),
            None => (false, rest.as_str()),
        };
        let (host, port) = split(rest, default_port(is_tls)).ok_or(NoAllowedHost)?;
        // An address has no subdomains.
        if below && (host.starts_with('[') || ends_in_number(host)) {
            return Err(NoAllowedHost);
        }
        let name = if below { Name::Below(format!(".{host}")) } else { Name::Exactly(host.to_owned()) };
        Ok(Self { is_tls, name, port })
    }
}

impl fmt::Display for AllowedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        match &self.name {
            Name::Exactly(name) => write!(f, "{scheme}://{name}:{}", self.port),
            Name::Below(suffix) => write!(f, "{scheme}://*{suffix}:{}", self.port),
        }
    }
}

/// The destination of one request, from a URI in canonical form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    is_tls: bool,
    host: String,
    port: u16,
}

impl Destination {
    pub(crate) fn of(uri: &Uri) -> Option<Self> {
        let is_tls = match uri.scheme()? {
            scheme if *scheme == Scheme::HTTPS => true,
            scheme if *scheme == Scheme::HTTP => false,
            _ => return None,
        };
        // Names are case-insensitive (RFC 4343). Nothing else is normalized.
        let authority = uri.authority()?.as_str().to_ascii_lowercase();
        let (host, port) = split(&authority, default_port(is_tls))?;
        Some(Self { is_tls, host: host.to_owned(), port })
    }

    pub(crate) fn is_among(&self, allowed: &[AllowedHost]) -> bool {
        allowed.iter().any(|allowed| allowed.admits(self))
    }

    /// The normalized URI, which connections are pooled by and `Host` is set from.
    pub(crate) fn uri(&self, target: Option<&PathAndQuery>) -> Option<Uri> {
        let scheme = if self.is_tls { Scheme::HTTPS } else { Scheme::HTTP };
        let authority = match self.port {
            port if port == default_port(self.is_tls) => self.host.parse::<Authority>(),
            port => format!("{}:{port}", self.host).parse(),
        };
        let target = target.cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        Uri::builder().scheme(scheme).authority(authority.ok()?).path_and_query(target).build().ok()
    }
}

pub(crate) fn default_port(is_tls: bool) -> u16 {
    if is_tls { 443 } else { 80 }
}

/// Host and port of `host` or `host:port`, where the host is a name or an address in its usual form.
fn split(authority: &str, default_port: u16) -> Option<(&str, u16)> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            let is_plain = port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
            (host, port.parse().ok().filter(|_| is_plain)?)
        }
        _ => (authority, default_port),
    };
    is_host(host).then_some((host, port))
}

/// Whether a lower-case text is a host.
fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        // Only in its canonical form.
        return address.parse::<Ipv6Addr>().is_ok_and(|parsed| parsed.to_string() == address);
    }
    let is_label = |label: &str| {
        (1..=LABEL_BYTES).contains(&label.len())
            && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
    };
    // Resolvers accept `127.1` and `0x7f.0.0.1` as addresses: only the canonical form is allowed here, too.
    let is_address = || host.parse::<Ipv4Addr>().is_ok_and(|parsed| parsed.to_string() == host);
    host.len() <= NAME_BYTES && host.split('.').all(is_label) && (!ends_in_number(host) || is_address())
}

/// Whether the last label begins with a digit, which no name's does (RFC 3696 §2).
fn ends_in_number(host: &str) -> bool {
    host.rsplit('.').next().is_some_and(|label| label.starts_with(|first: char| first.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(list: &[&str]) -> Vec<AllowedHost> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn admits(list: &[&str], uri: &str) -> bool {
        uri.parse().ok().and_then(|uri| Destination::of(&uri)).is_some_and(|to| to.is_among(&allowed(list)))
    }

    #[test]
    fn a_name_is_https_at_443() {
        for uri in ["https://api.example.com/x?y", "https://API.Example.COM", "https://api.example.com:443/"]
        {
            assert!(admits(&["api.example.com"], uri), "{uri}");
        }
        for uri in [
            "http://api.example.com",
            "http://api.example.com:443",
            "https://api.example.com:8443",
            "https://example.com",
            "https://x.api.example.com",
            "https://api.example.com.evil.example",
        ] {
            assert!(!admits(&["api.example.com"], uri), "{uri}");
        }
    }

    #[test]
    fn a_wildcard_is_every_name_below() {
        for uri in ["https://a.example.com", "https://a.b.example.com"] {
            assert!(admits(&["*.example.com"], uri), "{uri}");
        }
        for uri in [
            "https://example.com",
            "https://.example.com",
            "https://a..example.com",
            "https://badexample.com",
        ] {
            assert!(!admits(&["*.example.com"], uri), "{uri}");
        }
    }

    #[test]
    fn ports_and_schemes_must_match() {
        assert!(admits(&["http://localhost:3000"], "http://localhost:3000/x"));
        assert!(!admits(&["http://localhost:3000"], "https://localhost:3000/x"));
        assert!(!admits(&["http://localhost:3000"], "http://localhost/x"));
        assert!(admits(&["host:8443", "http://[::1]"], "https://host:8443/"));
        assert!(admits(&["host:8443", "http://[::1]"], "http://[::1]/"));
        assert!(admits(&["http://127.0.0.1:81"], "http://127.0.0.1:81/"));
        assert!(!admits(&["http://[::1]"], "http://[0:0::1]/"));
    }

    #[test]
    fn an_invalid_host_is_rejected() {
        for text in [
            "",
            "*",
            "*example.com",
            "a.*.com",
            "ftp://a",
            "a/b",
            "a:",
            "a:0",
            "a:http",
            "a:65536",
            "a.",
            ".a",
            "u@a",
            "a b",
            "http://",
            "[::1",
            "[::1]x",
            "a#",
            "ä.example",
            "*.0.0.1",
            "*.1",
            "*.127.0.0.1",
            "*.[::1]",
            "127.1",
            "0x7f.0.0.1",
            "0x7f000001",
            "2130706433",
            "0177.0.0.1",
            "127.0.0.1x",
        ] {
            assert_eq!(text.parse::<AllowedHost>(), Err(NoAllowedHost), "{text:?}");
        }
        assert_eq!("https://A.example".parse::<AllowedHost>().unwrap().to_string(), "https://a.example:443");
        assert_eq!("http://*.example:81".parse::<AllowedHost>().unwrap().to_string(), "http://*.example:81");
    }

    #[test]
    fn a_destination_is_normalized() {
        let plain = |uri: &str| {
            let uri: Uri = uri.parse().unwrap();
            Destination::of(&uri).unwrap().uri(uri.path_and_query()).unwrap().to_string()
        };
        assert_eq!(plain("https://API.example:443/a?b"), "https://api.example/a?b");
        assert_eq!(plain("http://localhost:3000"), "http://localhost:3000/");
    }
}
