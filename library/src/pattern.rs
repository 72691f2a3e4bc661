//! What a route serves, as one line of text.

use h8s_wire::{Host, HostError, Interest, MethodPattern, PathPattern};

/// Why a text is not a valid pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// No `/` after the host.
    #[error("{0:?} has no path; write HOST/PATH, for example app.example.com/*")]
    NoPath(String),
    /// The host is not valid.
    #[error("invalid host {host:?}")]
    Host {
        /// The text before the first `/`.
        host: String,
        /// The rule that it breaks.
        source: HostError,
    },
    /// The path is not a valid pattern.
    #[error("invalid path {path:?}")]
    Path {
        /// The text from the first `/` on.
        path: String,
        /// The rule that it breaks.
        source: h8s_wire::PatternError,
    },
    /// A method is not valid.
    #[error("invalid method {method:?}; write methods before the host, for example GET,WS app.example.com/*")]
    Method {
        /// One of the methods before the host.
        method: String,
        /// The rule that it breaks.
        source: h8s_wire::PatternError,
    },
}

/// Reads `[METHOD[,METHOD…] ]HOST/PATH`: one interest for each method, `ANY` without one.
pub(crate) fn interests(pattern: &str) -> Result<Vec<Interest>, PatternError> {
    let pattern = pattern.trim();
    let (methods, address) = pattern
        .split_once(' ')
        .map_or(("ANY", pattern), |(methods, address)| (methods, address.trim_start()));
    let at = address.find('/').ok_or_else(|| PatternError::NoPath(pattern.to_owned()))?;
    let (host, path) = address.split_at(at);
    let host: Host = host.parse().map_err(|source| PatternError::Host { host: host.to_owned(), source })?;
    let path: PathPattern =
        path.parse().map_err(|source| PatternError::Path { path: path.to_owned(), source })?;
    let interest = |method: &str| {
        let method: MethodPattern =
            method.parse().map_err(|source| PatternError::Method { method: method.to_owned(), source })?;
        Ok(Interest { host: host.clone(), path: path.clone(), method })
    };
    methods.split(',').map(interest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pattern: &str) -> Vec<String> {
        interests(pattern).unwrap().iter().map(Interest::to_string).collect()
    }

    #[test]
    fn a_pattern_names_host_path_and_methods() {
        assert_eq!(shown("app.example.com/*"), ["ANY app.example.com/*"]);
        assert_eq!(shown(" GET App.Example.com:8080/users "), ["GET app.example.com/users"]);
        assert_eq!(shown("ANY,WS [::1]/chat/*"), ["ANY [::1]/chat/*", "WS [::1]/chat/*"]);
    }

    #[test]
    fn an_invalid_pattern_names_the_part_and_the_remedy() {
        for (pattern, part) in [
            ("app.example.com", "write HOST/PATH"),
            ("/users", "invalid host \"\""),
            ("a..b/x", "invalid host \"a..b\""),
            ("a.example/x*", "invalid path \"/x*\""),
            ("GET, a.example/", "invalid method \"\""),
        ] {
            let error = interests(pattern).unwrap_err().to_string();
            assert!(error.contains(part), "{pattern}: {error}");
        }
    }
}
