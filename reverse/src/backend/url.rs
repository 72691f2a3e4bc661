//! The URL of a backend.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::{Authority, Scheme};

/// `http://HOST[:PORT][/BASE]` or `https://…`. Requests go nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendUrl {
    scheme: Scheme,
    authority: Authority,
    /// Prefix of each request's path: empty, or `/…` without a trailing slash.
    base: String,
}

/// An invalid backend URL, and the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid backend URL{why}; write http://HOST:PORT or https://HOST:PORT")]
pub struct BackendUrlError {
    text: String,
    why: &'static str,
}

impl BackendUrl {
    /// Whether the scheme is `https`.
    pub fn is_tls(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// The host name or address, without the brackets of IPv6.
    pub fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }

    /// The port: as written, or the scheme's default.
    pub fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(if self.is_tls() { 443 } else { 80 })
    }

    /// `http` or `https`.
    pub(crate) fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// As written: the value of `Host` for `--host-header backend`.
    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }
}

impl FromStr for BackendUrl {
    type Err = BackendUrlError;

    fn from_str(text: &str) -> Result<Self, BackendUrlError> {
        let invalid = |why| BackendUrlError { text: without_user(text), why };
        if text.contains('#') {
            return Err(invalid(": it has a fragment"));
        }
        let uri: Uri = text.parse().map_err(|_| invalid(""))?;
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(invalid(": it has no scheme"));
        };
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return Err(invalid(": only http and https are supported"));
        }
        if authority.as_str().contains('@') {
            return Err(invalid(": it has a user name, which is not sent"));
        }
        let port = &authority.as_str()[authority.host().len()..];
        if authority.host().is_empty()
            || !(port.is_empty() || authority.port_u16().is_some_and(|port| port > 0))
        {
            return Err(invalid(": it has no valid host and port"));
        }
        let path = parts.path_and_query.as_ref();
        if path.is_some_and(|path| path.query().is_some()) {
            return Err(invalid(": it has a query"));
        }
        let base = path.map_or("", |path| path.path()).trim_end_matches('/').to_owned();
        Ok(Self { scheme, authority, base })
    }
}

/// Passwords must not reach the log.
fn without_user(text: &str) -> String {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://***@{rest}"),
        (None, Some((_, rest))) => format!("***@{rest}"),
        _ => text.to_owned(),
    }
}

impl fmt::Display for BackendUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_host_a_port_and_a_scheme() {
        let url: BackendUrl = "https://[::1]/base/".parse().unwrap();

        assert_eq!((url.host(), url.port(), url.is_tls(), url.base()), ("::1", 443, true, "/base"));
        assert_eq!(url.to_string(), "https://[::1]/base");
        let url: BackendUrl = "http://localhost:3000".parse().unwrap();
        assert_eq!((url.host(), url.port(), url.is_tls(), url.base()), ("localhost", 3000, false, ""));
    }

    #[test]
    fn an_invalid_url_is_refused_with_a_remedy() {
        let sentence = "http://u:secret@localhost".parse::<BackendUrl>().unwrap_err().to_string();
        assert!(sentence.contains("http://***@localhost") && !sentence.contains("secret"), "{sentence}");
        for text in [
            "",
            "localhost",
            "localhost:3000",
            "ftp://localhost",
            "http://",
            "http://a?b",
            "http://a#b",
            "http://a:0",
            "http://a:99999",
            "ws://a",
            "http:///x",
        ] {
            let sentence = text.parse::<BackendUrl>().unwrap_err().to_string();
            assert!(
                sentence.contains(&format!("{text:?}")) && sentence.contains("http://HOST:PORT"),
                "{sentence}"
            );
        }
    }
}
