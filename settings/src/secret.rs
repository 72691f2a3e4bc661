//! Values that must not show up in logs, help or mistakes.

use std::fmt;
use std::str::FromStr;

/// A value that prints as `[secret]`. [`load`](crate::load()) masks flags of this type in `--help` and in mistakes.
///
/// It has no `==`: compare what it [exposes](Secret::expose) in constant time.
#[derive(Clone)]
pub struct Secret(String);

/// An empty secret protects nothing, so it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an empty secret protects nothing: give a value, or leave the setting out")]
pub struct EmptySecret;

impl Secret {
    /// The value itself. Every use of this is a place to check for leaks.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = EmptySecret;

    fn from_str(text: &str) -> Result<Self, EmptySecret> {
        if text.is_empty() { Err(EmptySecret) } else { Ok(Self(text.to_owned())) }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret: Secret = "hunter2".parse().unwrap();

        assert_eq!(format!("{secret} {secret:?} {secret:#?}"), "[secret] [secret] [secret]");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn an_empty_secret_is_refused() {
        assert_eq!("".parse::<Secret>().unwrap_err(), EmptySecret);
    }
}
