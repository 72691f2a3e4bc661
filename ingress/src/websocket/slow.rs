//! Routes where a slow client loses pushes instead of its connection (`--drop-oldest`).

use std::str::FromStr;

use h8s_wire::{Host, PathPattern, PathTokens};

/// Patterns of `host/path`. Default: none, so that a slow client is closed with 1013.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DropOldest(Vec<(Host, PathPattern)>);

impl DropOldest {
    /// Whether the oldest pushes to this address may be dropped.
    pub(crate) fn covers(&self, host: &Host, path: &str) -> bool {
        self.0.iter().any(|(named, pattern)| named == host && pattern.matches(&PathTokens::of(path)))
    }
}

/// Comma-separated: `app.example.com/ticker, app.example.com/live/*`.
impl FromStr for DropOldest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(route)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn route(text: &str) -> Result<(Host, PathPattern), String> {
    const SHAPE: &str = "write app.example.com/ticker or app.example.com/live/*";
    let slash = text.find('/').ok_or_else(|| format!("{text:?} has no path; {SHAPE}"))?;
    let (host, path) = text.split_at(slash);
    let host = host.parse().map_err(|error| format!("{text:?}: {error}; {SHAPE}"))?;
    let path = path.parse().map_err(|error| format!("{text:?}: {error}; {SHAPE}"))?;
    Ok((host, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_exact_or_prefixes_of_one_host() {
        let routes: DropOldest = "a.example/ticker, b.example/live/*".parse().unwrap();
        for (host, path, is_covered) in [
            ("a.example", "/ticker", true),
            ("a.example", "/ticker/x", false),
            ("b.example", "/live", true),
            ("b.example", "/live/1", true),
            ("b.example", "/ticker", false),
        ] {
            assert_eq!(routes.covers(&host.parse().unwrap(), path), is_covered, "{host}{path}");
        }
    }

    #[test]
    fn an_invalid_route_is_named_in_the_error() {
        for bad in ["a.example", "a b/x", "/x", "a.example/*/x"] {
            assert!(bad.parse::<DropOldest>().unwrap_err().contains(bad), "{bad}");
        }
    }
}
