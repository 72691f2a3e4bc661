//! Path and method patterns (`PROTOCOL.md §3`).

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use http::Method;

use super::{PathTokens, encode_token};

/// With the longest prefix, method and host beside it, a pattern this long still fits a subject.
const MAX_PATTERN_BYTES: usize = 512;
/// Real methods are short (the longest registered one has 17 letters); three times this fits a subject.
const MAX_METHOD_BYTES: usize = 32;
/// The last token of a prefix pattern's own subject: `*`, escaped.
const PREFIX_TOKEN: &str = "%2A";

/// Why a text is no path or method pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Paths are absolute.
    #[error("a path pattern starts with '/'")]
    NotAbsolute,
    /// `*` stands only alone, and only at the end.
    #[error("'*' may only be the whole last segment of a path pattern, as in '/api/*'")]
    MisplacedStar,
    /// Over 512 bytes of tokens, or over 32 segments.
    #[error("the path pattern is longer than 512 bytes or 32 segments")]
    TooLong,
    /// Not an HTTP method, `ANY` or `WS`.
    #[error("the method is not an HTTP method, ANY or WS")]
    Method,
}

/// An exact path, or everything from a prefix down (`/api/*` covers `/api`, `/api/` and `/api/x/y`).
///
/// Texts that route alike are equal: `/a/` and `/%61` are `/a`.
#[derive(Clone)]
pub struct PathPattern {
    tokens: Box<str>,
    is_prefix: bool,
    text: Box<str>,
}

impl PathPattern {
    /// Whether this pattern covers the path.
    pub fn matches(&self, path: &PathTokens) -> bool {
        match path.as_str().strip_prefix(&*self.tokens) {
            Some("") => self.is_prefix || !path.is_truncated(),
            Some(rest) => self.is_prefix && (self.tokens.is_empty() || rest.starts_with('.')),
            None => false,
        }
    }

    /// What routing goes by, and so equality: the text is only how somebody wrote it.
    fn route(&self) -> (&str, bool) {
        (&self.tokens, self.is_prefix)
    }

    /// Ends in `/*`.
    pub fn is_prefix(&self) -> bool {
        self.is_prefix
    }

    /// The tokens of the fixed part, joined by `.`; empty for the root.
    pub fn tokens(&self) -> &str {
        &self.tokens
    }

    /// The pattern written from its tokens: one line of visible ASCII, whatever somebody wrote.
    pub(crate) fn canonical(&self) -> String {
        let tokens = self.tokens.split('.').filter(|token| !token.is_empty());
        let path: String =
            tokens.flat_map(|token| ["/", token]).chain(self.is_prefix.then_some("/*")).collect();
        if path.is_empty() { "/".to_owned() } else { path }
    }

    /// The tokens of this pattern's own subject, each with its `.` before it.
    pub(crate) fn push_tokens(&self, subject: &mut String) {
        for part in [&*self.tokens, if self.is_prefix { PREFIX_TOKEN } else { "" }] {
            if !part.is_empty() {
                subject.push('.');
                subject.push_str(part);
            }
        }
    }
}

impl PartialEq for PathPattern {
    fn eq(&self, other: &Self) -> bool {
        self.route() == other.route()
    }
}

impl Eq for PathPattern {}

impl Hash for PathPattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.route().hash(state);
    }
}

impl PartialOrd for PathPattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PathPattern {
    fn cmp(&self, other: &Self) -> Ordering {
        self.route().cmp(&other.route())
    }
}

impl FromStr for PathPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if !text.starts_with('/') {
            return Err(PatternError::NotAbsolute);
        }
        let fixed = text.strip_suffix("/*");
        let path = fixed.unwrap_or(text);
        let tokens = PathTokens::of(path);
        if tokens.is_truncated()
            || tokens.as_str().len() > MAX_PATTERN_BYTES
            || text.len() > 4 * MAX_PATTERN_BYTES
        {
            return Err(PatternError::TooLong);
        }
        // A segment that is `*` (or `%2A`) would have the same subject as the pattern that ends there.
        if path.contains('*') || tokens.as_str().split('.').any(|token| token == PREFIX_TOKEN) {
            return Err(PatternError::MisplacedStar);
        }
        Ok(Self { tokens: tokens.as_str().into(), is_prefix: fixed.is_some(), text: text.into() })
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What methods an interest covers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum MethodPattern {
    /// Every HTTP method; no WebSockets.
    #[default]
    Any,
    /// WebSockets.
    WebSocket,
    /// One method. `GET` covers `HEAD` where `HEAD` is not named itself (RFC 9110 §9.3.2). Made by
    /// [`named`](Self::named) only: an unchecked method could outgrow a subject.
    #[non_exhaustive]
    Named(Method),
}

impl MethodPattern {
    /// The pattern that names exactly this method.
    ///
    /// # Errors
    /// A method that subjects cannot carry: over 32 bytes, or `ANY` or `WS` in any case. Maps to 501.
    pub fn named(method: &Method) -> Result<Self, PatternError> {
        let name = method.as_str();
        let reserved = name.eq_ignore_ascii_case("ANY") || name.eq_ignore_ascii_case("WS");
        if reserved || name.len() > MAX_METHOD_BYTES {
            return Err(PatternError::Method);
        }
        Ok(Self::Named(method.clone()))
    }

    /// The patterns that cover this one, most specific first.
    pub(crate) fn covering(&self) -> impl Iterator<Item = Self> {
        let fallbacks = match self {
            Self::Named(method) if method == Method::HEAD => {
                [Some(Self::Named(Method::GET)), Some(Self::Any)]
            }
            Self::Named(_) => [Some(Self::Any), None],
            Self::Any | Self::WebSocket => [None, None],
        };
        std::iter::once(self.clone()).chain(fallbacks.into_iter().flatten())
    }

    /// Appends the method's subject token.
    pub(crate) fn push_token(&self, subject: &mut String) {
        encode_token(self.as_str().as_bytes(), subject);
    }

    /// The name: `ANY`, `WS` or the method's.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Any => "ANY",
            Self::WebSocket => "WS",
            Self::Named(method) => method.as_str(),
        }
    }
}

impl FromStr for MethodPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        match text {
            _ if text.eq_ignore_ascii_case("ANY") => Ok(Self::Any),
            _ if text.eq_ignore_ascii_case("WS") => Ok(Self::WebSocket),
            _ => Self::named(&Method::from_bytes(text.as_bytes()).map_err(|_| PatternError::Method)?),
        }
    }
}

impl fmt::Display for MethodPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_cover_what_they_say() {
        for (pattern, path, covered) in [
            ("/", "/", true),
            ("/", "/a", false),
            ("/*", "/", true),
            ("/*", "/a/b", true),
            ("/a/*", "/a", true),
            ("/a/*", "/a/", true),
            ("/a/*", "/a/b/c", true),
            ("/a/*", "/ab", false),
            ("/a/*", "/", false),
            ("/a/b", "/a/b", true),
            ("/a/b", "/a//b/", true),
            ("/a/b", "/a/b/c", false),
            ("/a%2Fb", "/a/b", false),
        ] {
            let pattern: PathPattern = pattern.parse().unwrap();
            assert_eq!(pattern.matches(&PathTokens::of(path)), covered, "{pattern} {path}");
        }
        let exact: PathPattern = "/x".repeat(32).parse().unwrap();
        assert!(!exact.matches(&PathTokens::of(&"/x".repeat(33))), "an exact pattern covers no longer path");
    }

    #[test]
    fn patterns_that_route_alike_are_equal() {
        let pattern = |text: &str| text.parse::<PathPattern>().unwrap();
        assert_eq!(pattern("/a/"), pattern("/%61"));
        assert_eq!(pattern("//*"), pattern("/*"));
        assert_ne!(pattern("/a"), pattern("/a/*"));
        assert_eq!(pattern("/%61").to_string(), "/%61", "as it was written");
    }

    #[test]
    fn bad_patterns_are_refused() {
        for (text, error) in [
            ("", PatternError::NotAbsolute),
            ("a", PatternError::NotAbsolute),
            ("/a*", PatternError::MisplacedStar),
            ("/*/a", PatternError::MisplacedStar),
            ("/a/%2A", PatternError::MisplacedStar),
            ("/a/*/*", PatternError::MisplacedStar),
            (&"/x".repeat(33), PatternError::TooLong),
            (&format!("/{}", "x".repeat(600)), PatternError::TooLong),
        ] {
            assert_eq!(text.parse::<PathPattern>(), Err(error), "{text}");
        }
        for text in ["", "G T", "GET\r\n", &"M".repeat(33)] {
            assert_eq!(text.parse::<MethodPattern>(), Err(PatternError::Method), "{text}");
        }
        assert_eq!(MethodPattern::named(&Method::from_bytes(b"wS").unwrap()), Err(PatternError::Method));
    }
}
