//! Hosts for routing: validated, in lower case, without port, and reversed for subjects (`PROTOCOL.md §2`).

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// RFC 1035 §2.3.4: 255 octets on the wire are 253 characters of text.
const MAX_HOST_BYTES: usize = 253;
/// RFC 1035 §2.3.4.
const MAX_LABEL_BYTES: usize = 63;

/// Why an authority does not name a routable host. Maps to 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// The host is empty.
    #[error("the host is empty")]
    Empty,
    /// The host has more than 253 bytes, or a label more than 63.
    #[error("the host is too long: at most {MAX_HOST_BYTES} bytes, and {MAX_LABEL_BYTES} per label")]
    TooLong,
    /// The host has two dots in a row, or one at its start.
    #[error("the host has an empty label")]
    EmptyLabel,
    /// A label is exactly `_`, which separates host and path in subjects, or the name reads like the subject form of
    /// an IPv6 address.
    #[error("the host is reserved: a label is '_', or the name reads like an IPv6 address in a subject")]
    Reserved,
    /// The host has a byte other than letters, digits, `-`, `_` and `.`, or brackets around an invalid IPv6 address.
    #[error(
        "the host has an invalid character: allowed are letters, digits, '-', '_', '.' and a bracketed IPv6 address"
    )]
    Character,
    /// The text after the `:` is not a port number.
    #[error("invalid port: must be a number from 0 to 65535")]
    Port,
}

/// A host name or IP literal, normalized for subjects and routing tables.
///
/// Authorities that differ only in case, port or one trailing dot are the same host. The head of a request carries the
/// authority exactly as the client wrote it.
///
/// ```
/// use h8s_wire::Host;
///
/// let host: Host = "API.example.com:8080".parse()?;
/// assert_eq!(host.name(), "api.example.com");
/// assert_eq!(host.reversed(), "com.example.api");
/// assert_eq!(Host::from_reversed("com.example.api"), Some(host));
/// # Ok::<(), h8s_wire::HostError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host {
    name: Box<str>,
    reversed: Box<str>,
}

impl Host {
    /// Parses the host of an authority (`host`, `host:port`, `[v6]`, `[v6]:port`).
    ///
    /// # Errors
    /// [`HostError`] if the text is not a host (RFC 9110 §7.2), or subjects cannot carry it.
    pub fn parse(authority: &str) -> Result<Self, HostError> {
        if let Some(rest) = authority.strip_prefix('[') {
            let (literal, port) = rest.split_once(']').ok_or(HostError::Character)?;
            check_port(port)?;
            return Self::from_v6(literal.parse().map_err(|_| HostError::Character)?);
        }
        let (name, port) = authority.find(':').map_or((authority, ""), |at| authority.split_at(at));
        check_port(port)?;
        Self::from_name(name.strip_suffix('.').unwrap_or(name))
    }

    fn from_v6(address: Ipv6Addr) -> Result<Self, HostError> {
        let text = address.to_string();
        Ok(Self { reversed: text.replace(':', "_").into(), name: format!("[{text}]").into() })
    }

    fn from_name(name: &str) -> Result<Self, HostError> {
        check_name(name)?;
        let name = name.to_ascii_lowercase();
        let reversed = if name.parse::<Ipv4Addr>().is_ok() { name.clone() } else { reverse(&name) };
        if reversed.contains('_') && reversed.replace('_', ":").parse::<Ipv6Addr>().is_ok() {
            return Err(HostError::Reserved);
        }
        Ok(Self { name: name.into(), reversed: reversed.into() })
    }

    /// Parses the reversed form of a subject. `None` if it is not the canonical form of a host.
    pub fn from_reversed(reversed: &str) -> Option<Self> {
        let host = match reversed.replace('_', ":").parse::<Ipv6Addr>() {
            Ok(address) if reversed.contains('_') => Self::from_v6(address),
            _ if reversed.parse::<Ipv4Addr>().is_ok() => Self::parse(reversed),
            _ => Self::parse(&reverse(reversed)),
        };
        // Each host has one form, since permissions apply to subjects: `0_0_0_0_0_0_0_1` is another subject than `__1`.
        host.ok().filter(|host| host.reversed() == reversed)
    }

    /// The name in lower case, without port. An IPv6 address is in brackets.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The form used in subjects: `api.example.com` → `com.example.api`.
    pub fn reversed(&self) -> &str {
        &self.reversed
    }
}

fn reverse(name: &str) -> String {
    let mut reversed = String::with_capacity(name.len());
    for label in name.rsplit('.') {
        if !reversed.is_empty() {
            reversed.push('.');
        }
        reversed.push_str(label);
    }
    reversed
}

fn check_port(port: &str) -> Result<(), HostError> {
    match port.strip_prefix(':') {
        None if port.is_empty() => Ok(()),
        None => Err(HostError::Character),
        // RFC 3986 §3.2.3 allows an empty port.
        Some("") => Ok(()),
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok() => Ok(()),
        Some(_) => Err(HostError::Port),
    }
}

fn check_name(name: &str) -> Result<(), HostError> {
    if name.is_empty() {
        return Err(HostError::Empty);
    }
    if name.len() > MAX_HOST_BYTES {
        return Err(HostError::TooLong);
    }
    name.split('.').try_for_each(check_label)
}

fn check_label(label: &str) -> Result<(), HostError> {
    match label {
        "" => Err(HostError::EmptyLabel),
        "_" => Err(HostError::Reserved),
        _ if label.len() > MAX_LABEL_BYTES => Err(HostError::TooLong),
        _ if label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') => Ok(()),
        _ => Err(HostError::Character),
    }
}

impl FromStr for Host {
    type Err = HostError;

    fn from_str(authority: &str) -> Result<Self, HostError> {
        Self::parse(authority)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl serde::Serialize for Host {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

impl<'de> serde::Deserialize<'de> for Host {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_without_port_and_reversed() {
        for (authority, name, reversed) in [
            ("api.Example.COM:8080", "api.example.com", "com.example.api"),
            ("localhost", "localhost", "localhost"),
            ("example.com.", "example.com", "com.example"),
            ("example.com:", "example.com", "com.example"),
            ("my_service", "my_service", "my_service"),
            ("127.0.0.1:80", "127.0.0.1", "127.0.0.1"),
            ("[::1]:80", "[::1]", "__1"),
            ("[0:0:0:0:0:0:0:1]", "[::1]", "__1"),
            ("[2001:DB8::7]", "[2001:db8::7]", "2001_db8__7"),
        ] {
            let host = Host::parse(authority).unwrap();
            assert_eq!((host.name(), host.reversed()), (name, reversed), "{authority}");
            assert_eq!(Host::from_reversed(reversed), Some(host), "{authority}");
        }
    }

    #[test]
    fn an_invalid_host_is_refused_with_its_cause() {
        let long_label = "a".repeat(64);
        let long_name = "a.".repeat(127) + "a";
        for (authority, error) in [
            ("", HostError::Empty),
            (":80", HostError::Empty),
            (".", HostError::Empty),
            ("a..b", HostError::EmptyLabel),
            (".a", HostError::EmptyLabel),
            ("a.._", HostError::EmptyLabel),
            ("a._.b", HostError::Reserved),
            ("_", HostError::Reserved),
            ("__1", HostError::Reserved),
            ("a b", HostError::Character),
            ("a*", HostError::Character),
            ("a>", HostError::Character),
            ("user@a", HostError::Character),
            ("é.example", HostError::Character),
            ("a\r\n", HostError::Character),
            ("[::1", HostError::Character),
            ("[::1]x", HostError::Character),
            ("[fe80::1%25eth0]", HostError::Character),
            ("::1", HostError::Port),
            ("a:b", HostError::Port),
            ("a:99999", HostError::Port),
            ("a:+1", HostError::Port),
            (&long_label, HostError::TooLong),
            (&long_name, HostError::TooLong),
        ] {
            assert_eq!(Host::parse(authority), Err(error), "{authority:?}");
        }
    }

    #[test]
    fn an_invalid_reversed_form_is_refused() {
        for bad in
            ["", "_", "com._.example", "a..b", "a*", "COM", "0_0_0_0_0_0_0_1", "2001_DB8__7", "[::1]", "a:80"]
        {
            assert_eq!(Host::from_reversed(bad), None, "{bad}");
        }
    }
}
