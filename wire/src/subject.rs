//! Subjects under one prefix (`PROTOCOL.md §2`), and the subjects of requests: method or kind, host, path.
//!
//! The subjects of inboxes are in `inbox`, those of control messages in `control`. Only this crate builds subjects.

use std::fmt;

use http::Method;

use crate::routing::{
    Host, Interest, MAX_SUBJECT_BYTES, MethodPattern, PathTokens, decode_token, encode_token,
};

mod control;
mod inbox;
mod queue_group;

pub use control::ConnectionSubject;
pub use inbox::{Inbox, Replies};
pub use queue_group::{QueueGroup, QueueGroupError};

/// The default subject prefix.
pub const PREFIX: &str = "h8s";

/// A prefix of this size fits a subject together with the longest other parts.
const MAX_PREFIX_BYTES: usize = 64;

/// The token between host and path. Without it, `example.com` + `/foo/x` and `foo.example.com` + `/x` would be one
/// subject, and one tenant could read another's requests.
const DIVIDER: &str = "_";

/// A NATS subject, or the subject pattern of a subscription.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject(String);

impl Subject {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, as an owned string.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The subject prefix is invalid: it must be one or more tokens of letters, digits, `-` and `_`, 64 bytes at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid subject prefix: must be one or more tokens of letters, digits, '-' and '_', joined by '.', {MAX_PREFIX_BYTES} bytes at most"
)]
pub struct PrefixError;

/// The method, host and path in the subject of a plain request. The request's headers take precedence: a subject is
/// not exact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSubject {
    /// The method.
    pub method: Method,
    /// The host.
    pub host: Host,
    /// The path, with percent-encoded segments.
    pub path: String,
}

/// The subjects under one prefix.
///
/// ```
/// use h8s_wire::{PathTokens, Subjects};
///
/// let subjects = Subjects::new("edge.h8s")?;
/// let subject = subjects.http(&"GET".parse()?, &"api.example.com".parse()?, &PathTokens::of("/orders/7"));
/// assert_eq!(subject.as_str(), "edge.h8s.http.GET.com.example.api._.orders.7");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subjects {
    prefix: Box<str>,
}

impl Default for Subjects {
    fn default() -> Self {
        Self { prefix: PREFIX.into() }
    }
}

impl Subjects {
    /// The subjects under `prefix`.
    ///
    /// # Errors
    /// [`PrefixError`] if the prefix is invalid.
    pub fn new(prefix: &str) -> Result<Self, PrefixError> {
        let is_token = |token: &str| {
            !token.is_empty() && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        if prefix.len() > MAX_PREFIX_BYTES || !prefix.split('.').all(is_token) {
            return Err(PrefixError);
        }
        Ok(Self { prefix: prefix.into() })
    }

    /// The prefix.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    fn routed(&self, kind: &str, method: &dyn Fn(&mut String), host: &Host) -> String {
        let mut subject = String::with_capacity(128);
        for part in [&*self.prefix, ".", kind, "."] {
            subject.push_str(part);
        }
        method(&mut subject);
        for part in [".", host.reversed(), ".", DIVIDER] {
            subject.push_str(part);
        }
        subject
    }

    /// The subject of a plain request.
    pub fn http(&self, method: &MethodPattern, host: &Host, path: &PathTokens) -> Subject {
        with_path(self.routed("http", &|subject| method.push_token(subject), host), path)
    }

    /// The subject of a WebSocket client's messages in the plain dialect.
    pub fn websocket(&self, host: &Host, path: &PathTokens) -> Subject {
        with_path(self.routed("ws", &|subject| subject.push_str("ws"), host), path)
    }

    /// The subscriptions for plain requests of this interest: one per method, two for a path prefix. `GET` includes
    /// `HEAD`; `WS` has none, since WebSocket messages have subjects of their own.
    pub fn http_subscriptions(&self, interest: &Interest) -> Vec<Subject> {
        let mut subscriptions = Vec::new();
        for method in plain_methods(&interest.method) {
            let mut subject = self.routed("http", &|subject| subject.push_str(&method), &interest.host);
            if !interest.path.tokens().is_empty() {
                subject.push('.');
                subject.push_str(interest.path.tokens());
            }
            let below = interest.path.is_prefix().then(|| Subject(format!("{subject}.>")));
            subscriptions.extend(std::iter::once(Subject(subject)).chain(below));
        }
        subscriptions
    }

    /// Parses the subject of a plain request. `None` if it is not one, or not under this prefix.
    pub fn parse_http(&self, subject: &str) -> Option<HttpSubject> {
        let rest = subject.strip_prefix(&*self.prefix)?.strip_prefix(".http.")?;
        let (method, rest) = rest.split_once('.')?;
        let (host, path) = match rest.split_once("._.") {
            Some((host, path)) => (host, path),
            None => (rest.strip_suffix("._")?, ""),
        };
        let method = Method::from_bytes(&decode_token(method)).ok()?;
        MethodPattern::named(&method).ok()?;
        Some(HttpSubject { method, host: Host::from_reversed(host)?, path: path_of(path) })
    }

    /// The subject that opens a native exchange with the responders of this interest. They subscribe to exactly this
    /// subject.
    pub fn exchange(&self, interest: &Interest) -> Subject {
        let mut subject = self.routed("x", &|subject| interest.method.push_token(subject), &interest.host);
        interest.path.push_tokens(&mut subject);
        Subject(subject)
    }
}

/// Appends the path of a request, as many tokens as fit.
fn with_path(mut subject: String, path: &PathTokens) -> Subject {
    let tokens = path.within(MAX_SUBJECT_BYTES.saturating_sub(subject.len() + 1));
    if !tokens.is_empty() {
        subject.push('.');
        subject.push_str(tokens);
    }
    Subject(subject)
}

/// The method tokens of plain requests that this pattern covers.
fn plain_methods(method: &MethodPattern) -> Vec<String> {
    let token = |method: &MethodPattern| {
        let mut token = String::new();
        method.push_token(&mut token);
        token
    };
    match method {
        MethodPattern::WebSocket => Vec::new(),
        MethodPattern::Any => vec!["*".to_owned()],
        MethodPattern::Named(Method::GET) => vec![token(method), Method::HEAD.to_string()],
        MethodPattern::Named(_) => vec![token(method)],
    }
}

/// Decodes subject tokens to a path. Encodes each segment again, since a subject typed by hand may contain a raw `?`.
fn path_of(tokens: &str) -> String {
    let mut path = String::with_capacity(tokens.len() + 1);
    for token in tokens.split('.').filter(|token| !token.is_empty()) {
        path.push('/');
        encode_token(&decode_token(token), &mut path);
    }
    if path.is_empty() { "/".to_owned() } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str) -> Host {
        name.parse().unwrap()
    }

    fn interest(method: &str, path: &str) -> Interest {
        Interest {
            host: host("api.example.com"),
            path: path.parse().unwrap(),
            method: method.parse().unwrap(),
        }
    }

    #[test]
    fn plain_requests() {
        let subjects = Subjects::default();
        for (method, path, subject) in [
            ("GET", "/", "h8s.http.GET.com.example.api._"),
            ("GET", "/a/b.c", "h8s.http.GET.com.example.api._.a.b%2Ec"),
            ("M-SEARCH", "/*", "h8s.http.M-SEARCH.com.example.api._.%2A"),
            ("A.B*", "/", "h8s.http.A%2EB%2A.com.example.api._"),
        ] {
            let method: MethodPattern = method.parse().unwrap();
            let built = subjects.http(&method, &host("api.example.com"), &PathTokens::of(path));
            assert_eq!(built.as_str(), subject);
            let parsed = subjects.parse_http(subject).unwrap();
            assert_eq!((parsed.method.as_str(), parsed.host.name()), (method.as_str(), "api.example.com"));
            assert_eq!(PathTokens::of(&parsed.path), PathTokens::of(path));
        }
        let long =
            subjects.http(&MethodPattern::Any, &host("a"), &PathTokens::of(&"/abcdefg".repeat(31).repeat(5)));
        assert!(long.as_str().len() <= MAX_SUBJECT_BYTES, "{}", long.as_str().len());
    }

    #[test]
    fn native_exchanges_and_plain_subscriptions() {
        let subjects = Subjects::new("edge.h8s").unwrap();
        for (method, path, exchange, subscriptions) in [
            (
                "ANY",
                "/*",
                "edge.h8s.x.ANY.com.example.api._.%2A",
                &["edge.h8s.http.*.com.example.api._", "edge.h8s.http.*.com.example.api._.>"][..],
            ),
            (
                "GET",
                "/",
                "edge.h8s.x.GET.com.example.api._",
                &["edge.h8s.http.GET.com.example.api._", "edge.h8s.http.HEAD.com.example.api._"],
            ),
            (
                "GET",
                "/a/*",
                "edge.h8s.x.GET.com.example.api._.a.%2A",
                &[
                    "edge.h8s.http.GET.com.example.api._.a",
                    "edge.h8s.http.GET.com.example.api._.a.>",
                    "edge.h8s.http.HEAD.com.example.api._.a",
                    "edge.h8s.http.HEAD.com.example.api._.a.>",
                ],
            ),
            ("POST", "/", "edge.h8s.x.POST.com.example.api._", &["edge.h8s.http.POST.com.example.api._"]),
            ("WS", "/", "edge.h8s.x.WS.com.example.api._", &[]),
        ] {
            let interest = interest(method, path);
            assert_eq!(subjects.exchange(&interest).as_str(), exchange);
            let built: Vec<_> =
                subjects.http_subscriptions(&interest).into_iter().map(Subject::into_string).collect();
            assert_eq!(built, subscriptions);
        }
    }

    #[test]
    fn a_subject_typed_by_hand_gives_a_path_that_http_knows() {
        let parsed = Subjects::default().parse_http("h8s.http.GET.localhost._.a?b.é.%2f.").unwrap();
        assert_eq!(parsed.path, "/a%3Fb/%C3%A9/%2F");
        for reserved in ["h8s.http.WS.localhost._", "h8s.http.any.localhost._"] {
            assert_eq!(Subjects::default().parse_http(reserved), None, "{reserved}");
        }
    }

    #[test]
    fn prefixes_are_checked() {
        for bad in ["", ".", "a.", "a b", "a*", ">", &"x".repeat(65)] {
            assert_eq!(Subjects::new(bad), Err(PrefixError), "{bad}");
        }
    }
}
