//! Where a backend is.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::{Authority, Scheme};

/// `http://HOST[:PORT][/BASE]` or `https://…`. Nothing else decides where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendUrl {
    scheme: Scheme,
    authority: Authority,
    /// What comes before each request's path: empty, or `/…` without a slash at its end.
    base: String,
}

/// Why a text is no backend URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no backend URL{why}; write http://HOST:PORT or https://HOST:PORT")]
pub struct BackendUrlError {
    text: String,
    why: &'static str,
}

impl BackendUrl {
    /// Spoken to over TLS.
    pub fn is_tls(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// A name or an address, without the brackets of IPv6.
    pub fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }

    /// As written, or the scheme's own.
    pub fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(if self.is_tls() { 443 } else { 80 })
    }

    /// `http` or `https`.
    pub(crate) fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// As written: what `Host` says where it is the backend's own.
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
        let mistake = |why| BackendUrlError { text: without_user(text), why };
        if text.contains('#') {
            return Err(mistake(": it has a fragment"));
        }
        let uri: Uri = text.parse().map_err(|_| mistake(""))?;
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(mistake(": it has no scheme"));
        };
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return Err(mistake(": only http and https are spoken"));
        }
        if authority.as_str().contains('@') {
            return Err(mistake(": it has a user name, which is not sent"));
        }
        let port = &authority.as_str()[authority.host().len()..];
        if authority.host().is_empty()
            || !(port.is_empty() || authority.port_u16().is_some_and(|port| port > 0))
        {
            return Err(mistake(": it names no host and port"));
        }
        let path = parts.path_and_query.as_ref();
        if path.is_some_and(|path| path.query().is_some()) {
            return Err(mistake(": it has a query"));
        }
        let base = path.map_or("", |path| path.path()).trim_end_matches('/').to_owned();
        Ok(Self { scheme, authority, base })
    }
}

/// A password belongs into no log.
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
    fn a_url_says_where_and_how() {
        let url: BackendUrl = "https://[::1]/base/".parse().unwrap();

        assert_eq!((url.host(), url.port(), url.is_tls(), url.base()), ("::1", 443, true, "/base"));
        assert_eq!(url.to_string(), "https://[::1]/base");
        let url: BackendUrl = "http://localhost:3000".parse().unwrap();
        assert_eq!((url.host(), url.port(), url.is_tls(), url.base()), ("localhost", 3000, false, ""));
    }

    #[test]
    fn what_is_no_url_is_refused_with_a_remedy() {
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
