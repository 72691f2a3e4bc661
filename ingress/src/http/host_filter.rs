//! Hosts that this gateway serves (`--host-filters`).

use std::str::FromStr;

use h8s_wire::Host;

/// Hosts that are served. Default: all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFilters(Vec<Filter>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Filter {
    Exact(Host),
    /// `*.example.com`, kept as `.example.com`: any number of labels before it, at least one.
    Suffix(String),
}

impl HostFilters {
    /// Whether this host is served.
    pub fn admit(&self, host: &Host) -> bool {
        self.0.is_empty() || self.0.iter().any(|filter| filter.matches(host))
    }
}

impl Filter {
    fn matches(&self, host: &Host) -> bool {
        match self {
            Self::Exact(name) => name == host,
            Self::Suffix(suffix) => {
                host.name().len() > suffix.len() && host.name().ends_with(suffix.as_str())
            }
        }
    }
}

/// Comma-separated hosts: `example.com, *.example.com`.
impl FromStr for HostFilters {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(filter)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn filter(text: &str) -> Result<Filter, String> {
    let (is_suffix, name) = text.strip_prefix("*.").map_or((false, text), |rest| (true, rest));
    let host = Host::parse(name)
        .map_err(|error| format!("{text:?}: {error}; write example.com or *.example.com"))?;
    Ok(if is_suffix { Filter::Suffix(format!(".{}", host.name())) } else { Filter::Exact(host) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_matched_whole_or_below_a_wildcard() {
        let filters: HostFilters = "Example.com, *.api.example.com,[::1]".parse().unwrap();
        for (host, is_served) in [
            ("example.com", true),
            ("EXAMPLE.com:8080", true),
            ("a.api.example.com", true),
            ("a.b.api.example.com", true),
            ("[::1]:80", true),
            ("api.example.com", false),
            ("www.example.com", false),
            ("notapi.example.com", false),
            ("example.com.evil.com", false),
        ] {
            assert_eq!(filters.admit(&Host::parse(host).unwrap()), is_served, "{host}");
        }
    }

    #[test]
    fn no_filter_serves_every_host() {
        assert!(HostFilters::default().admit(&Host::parse("any.example").unwrap()));
    }

    #[test]
    fn an_invalid_host_is_named_in_the_error() {
        for bad in ["*", "a b", "*.*.com", "http://a"] {
            assert!(bad.parse::<HostFilters>().unwrap_err().contains(bad), "{bad}");
        }
    }
}
