//! Finds the most specific of many patterns (`PROTOCOL.md §3`).

use std::collections::HashMap;

use super::{Host, Interest, MAX_PATH_TOKENS, MethodPattern, PathTokens};

/// A map from interests to values that finds the most specific pattern for a request: an exact path before the longest
/// prefix, a named method before `ANY`. A lookup costs one hash per path segment, independent of the number of patterns.
///
/// ```
/// use h8s_wire::{Interest, PathTokens, PatternMap};
///
/// let interest = |path: &str| -> Result<Interest, Box<dyn std::error::Error>> {
///     Ok(Interest { host: "a.example".parse()?, path: path.parse()?, method: "ANY".parse()? })
/// };
/// let mut map = PatternMap::default();
/// map.entry(&interest("/*")?, || "everything");
/// map.entry(&interest("/api/*")?, || "api");
///
/// let (host, method) = ("a.example".parse()?, "GET".parse()?);
/// let (_, value) = map.matching(&host, &method, &PathTokens::of("/api/users")).next().unwrap();
/// assert_eq!(*value, "api");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct PatternMap<T> {
    hosts: HashMap<Box<str>, HostPatterns<T>>,
    len: usize,
}

#[derive(Debug)]
struct HostPatterns<T> {
    exact: Paths<T>,
    prefix: Paths<T>,
}

type Paths<T> = HashMap<Box<str>, Vec<(Interest, T)>>;

impl<T> HostPatterns<T> {
    fn of_kind(&mut self, is_prefix: bool) -> &mut Paths<T> {
        if is_prefix { &mut self.prefix } else { &mut self.exact }
    }
}

impl<T> Default for PatternMap<T> {
    fn default() -> Self {
        Self { hosts: HashMap::new(), len: 0 }
    }
}

impl<T> PatternMap<T> {
    /// The value of exactly this interest, inserted if absent.
    pub fn entry(&mut self, interest: &Interest, new: impl FnOnce() -> T) -> &mut T {
        let host = self
            .hosts
            .entry(interest.host.reversed().into())
            .or_insert_with(|| HostPatterns { exact: HashMap::new(), prefix: HashMap::new() });
        let values =
            host.of_kind(interest.path.is_prefix()).entry(interest.path.tokens().into()).or_default();
        let at = values.iter().position(|(known, _)| known.method == interest.method).unwrap_or_else(|| {
            values.push((interest.clone(), new()));
            self.len += 1;
            values.len() - 1
        });
        &mut values[at].1
    }

    /// Removes and returns the value of exactly this interest.
    pub fn remove(&mut self, interest: &Interest) -> Option<T> {
        let host = self.hosts.get_mut(interest.host.reversed())?;
        let paths = host.of_kind(interest.path.is_prefix());
        let values = paths.get_mut(interest.path.tokens())?;
        let at = values.iter().position(|(known, _)| known.method == interest.method)?;
        let (_, value) = values.swap_remove(at);
        self.len -= 1;
        if values.is_empty() {
            paths.remove(interest.path.tokens());
        }
        if host.exact.is_empty() && host.prefix.is_empty() {
            self.hosts.remove(interest.host.reversed());
        }
        Some(value)
    }

    /// Removes the values for which `keep` returns `false`.
    pub fn retain(&mut self, mut keep: impl FnMut(&Interest, &mut T) -> bool) {
        let mut kept = 0;
        self.hosts.retain(|_, host| {
            for paths in [&mut host.exact, &mut host.prefix] {
                paths.retain(|_, values| {
                    values.retain_mut(|(interest, value)| keep(interest, value));
                    kept += values.len();
                    !values.is_empty()
                });
            }
            !(host.exact.is_empty() && host.prefix.is_empty())
        });
        self.len = kept;
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the map is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of exactly this interest.
    pub fn get_mut(&mut self, interest: &Interest) -> Option<&mut T> {
        let host = self.hosts.get_mut(interest.host.reversed())?;
        let values = host.of_kind(interest.path.is_prefix()).get_mut(interest.path.tokens())?;
        values.iter_mut().find(|(known, _)| known.method == interest.method).map(|(_, value)| value)
    }

    /// Every interest with its value, in arbitrary order.
    pub fn iter(&self) -> impl Iterator<Item = (&Interest, &T)> {
        self.hosts
            .values()
            .flat_map(|host| host.exact.values().chain(host.prefix.values()))
            .flatten()
            .map(|(interest, value)| (interest, value))
    }

    /// The interests that cover the request, most specific first.
    pub fn matching<'a, 'q>(
        &'a self,
        host: &'q Host,
        method: &'q MethodPattern,
        path: &'q PathTokens,
    ) -> impl Iterator<Item = (&'a Interest, &'a T)> + use<'a, 'q, T> {
        let host = self.hosts.get(host.reversed());
        let exact = host.filter(|_| !path.is_truncated()).and_then(|host| host.exact.get(path.as_str()));
        let prefixes = host
            .filter(|host| !host.prefix.is_empty())
            .into_iter()
            .flat_map(|host| prefixes_of(path.as_str()).filter_map(|prefix| host.prefix.get(prefix)));
        exact
            .into_iter()
            .chain(prefixes)
            .flat_map(|values| {
                method
                    .covering()
                    .filter_map(|method| values.iter().find(|(interest, _)| interest.method == method))
            })
            .map(|(interest, value)| (interest, value))
    }
}

/// `a.b.c`, `a.b`, `a`, and the empty prefix of the root.
fn prefixes_of(tokens: &str) -> impl Iterator<Item = &str> {
    let mut next = Some(tokens);
    std::iter::from_fn(move || {
        let current = next?;
        next = match current.rfind('.') {
            Some(dot) => Some(&current[..dot]),
            None if current.is_empty() => None,
            None => Some(""),
        };
        Some(current)
    })
    .take(MAX_PATH_TOKENS + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interest(path: &str, method: &str) -> Interest {
        Interest {
            host: "a.example".parse().unwrap(),
            path: path.parse().unwrap(),
            method: method.parse().unwrap(),
        }
    }

    #[test]
    fn the_most_specific_pattern_wins() {
        let mut map = PatternMap::default();
        let all = [
            ("/*", "ANY"),
            ("/a/*", "ANY"),
            ("/a/*", "GET"),
            ("/a/b", "ANY"),
            ("/a/b", "GET"),
            ("/a/b/*", "ANY"),
            ("/a/b", "WS"),
        ];
        for (path, method) in all {
            map.entry(&interest(path, method), || (path, method));
        }
        let order = |method: &str, path: &str| -> Vec<(&str, &str)> {
            let (host, method, path) =
                ("A.example:1".parse().unwrap(), method.parse().unwrap(), PathTokens::of(path));
            map.matching(&host, &method, &path).map(|(_, value)| *value).collect()
        };
        assert_eq!(
            order("GET", "/a/b"),
            [
                ("/a/b", "GET"),
                ("/a/b", "ANY"),
                ("/a/b/*", "ANY"),
                ("/a/*", "GET"),
                ("/a/*", "ANY"),
                ("/*", "ANY")
            ]
        );
        assert_eq!(order("HEAD", "/a/x"), [("/a/*", "GET"), ("/a/*", "ANY"), ("/*", "ANY")]);
        assert_eq!(order("POST", "/a"), [("/a/*", "ANY"), ("/*", "ANY")]);
        assert_eq!(order("WS", "/a/b"), [("/a/b", "WS")]);
        assert_eq!(map.matching(&"b".parse().unwrap(), &MethodPattern::Any, &PathTokens::of("/")).count(), 0);
    }

    #[test]
    fn removing_the_last_value_removes_its_host() {
        let mut map = PatternMap::default();
        for path in ["/a", "/a/*"] {
            map.entry(&interest(path, "ANY"), || path);
        }
        assert_eq!(map.remove(&interest("/a", "GET")), None);
        assert_eq!(map.remove(&interest("/a", "ANY")), Some("/a"));
        map.retain(|_, _| false);
        assert!(map.hosts.is_empty());
    }
}
