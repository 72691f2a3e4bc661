//! Path and method patterns (`PROTOCOL.md §3`).

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use http::Method;

use super::{PathTokens, encode_token};

/// A pattern of this size fits a subject together with the longest prefix, method and host.
const MAX_PATTERN_BYTES: usize = 512;
/// The longest registered method has 17 letters. Encoding may triple the size.
const MAX_METHOD_BYTES: usize = 32;
/// The last token of the subject of a prefix pattern: an encoded `*`.
const PREFIX_TOKEN: &str = "%2A";

/// Why a text is not a valid path or method pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The path pattern is not absolute.
    #[error("a path pattern starts with '/'")]
    NotAbsolute,
    /// A `*` is not the whole last segment.
    #[error("'*' is allowed only as the whole last segment of a path pattern, as in '/api/*'")]
    MisplacedStar,
    /// The path pattern has more than 512 bytes of tokens, or more than 32 segments.
    #[error("the path pattern is longer than 512 bytes or 32 segments")]
    TooLong,
    /// The method pattern is not an HTTP method, `ANY` or `WS`, or has more than 32 bytes.
    #[error("invalid method: must be an HTTP method of at most {MAX_METHOD_BYTES} bytes, ANY or WS")]
    Method,
}

/// An exact path, or a prefix with everything below it (`/api/*` covers `/api`, `/api/` and `/api/x/y`).
///
/// Patterns that route alike are equal: `/a/` and `/%61` equal `/a`.
///
/// ```
/// use h8s_wire::{PathPattern, PathTokens};
///
/// let pattern: PathPattern = "/api/*".parse()?;
/// assert!(pattern.matches(&PathTokens::of("/api")));
/// assert!(!pattern.matches(&PathTokens::of("/apis")));
/// # Ok::<(), h8s_wire::PatternError>(())
/// ```
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

    /// The part that decides routing, and therefore equality and order. The text does not.
    fn route(&self) -> (&str, bool) {
        (&self.tokens, self.is_prefix)
    }

    /// Whether the pattern ends in `/*`.
    pub fn is_prefix(&self) -> bool {
        self.is_prefix
    }

    /// The tokens of the fixed part, joined by `.`. Empty for the root.
    pub fn tokens(&self) -> &str {
        &self.tokens
    }

    /// The pattern in canonical form, from its tokens: one line of visible ASCII.
    pub(crate) fn canonical(&self) -> String {
        let tokens = self.tokens.split('.').filter(|token| !token.is_empty());
        let path: String =
            tokens.flat_map(|token| ["/", token]).chain(self.is_prefix.then_some("/*")).collect();
        if path.is_empty() { "/".to_owned() } else { path }
    }

    /// Appends the tokens of the pattern's subject, each preceded by `.`.
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
        // A segment `*` (or `%2A`) would give an exact pattern the subject of a prefix pattern.
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

/// The methods that an interest covers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum MethodPattern {
    /// Every HTTP method, but not WebSockets.
    #[default]
    Any,
    /// WebSockets.
    WebSocket,
    /// One method. `GET` also covers `HEAD`, unless `HEAD` has its own interest (RFC 9110 §9.3.2). Constructed only by
    /// [`named`](Self::named), which checks the length.
    #[non_exhaustive]
    Named(Method),
}

impl MethodPattern {
    /// The pattern that names exactly this method.
    ///
    /// # Errors
    /// [`PatternError::Method`] for a method of more than 32 bytes, and for `ANY` and `WS` in any case. Maps to 501.
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

    /// Appends the subject token of the method.
    pub(crate) fn push_token(&self, subject: &mut String) {
        encode_token(self.as_str().as_bytes(), subject);
    }

    /// The name: `ANY`, `WS` or the method.
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
