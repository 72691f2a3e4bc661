use std::fmt;

use super::{Host, MethodPattern, PathPattern};

/// One host, path pattern and method pattern that a responder serves (`PROTOCOL.md §3`).
///
/// ```
/// use h8s_wire::{Interest, Subjects};
///
/// let interest =
///     Interest { host: "api.example.com".parse()?, path: "/orders/*".parse()?, method: "GET".parse()? };
/// assert_eq!(interest.to_string(), "GET api.example.com/orders/*");
/// assert_eq!(Subjects::default().exchange(&interest).as_str(), "h8s.x.GET.com.example.api._.orders.%2A");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Interest {
    /// The host; there are no host patterns.
    pub host: Host,
    /// An exact path, or a prefix that ends in `/*`.
    pub path: PathPattern,
    /// A method, `ANY` or `WS`.
    pub method: MethodPattern,
}

impl fmt::Display for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.method, self.host, self.path)
    }
}
