//! Values that must not appear in logs, help or error texts.

use std::fmt;
use std::str::FromStr;

use secrecy::{ExposeSecret as _, SecretString};

/// A value that prints as `[secret]` and is erased from memory when dropped. [`load`](crate::load()) masks flags of
/// this type in `--help` and in error texts.
///
/// It has no `==`: compare what it [exposes](Secret::expose) in constant time.
#[derive(Clone)]
pub struct Secret(SecretString);

/// An empty secret protects nothing, so it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an empty secret protects nothing: give a value, or leave the setting out")]
pub struct EmptySecret;

impl Secret {
    /// The value itself. Check every use of this for leaks.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl FromStr for Secret {
    type Err = EmptySecret;

    fn from_str(text: &str) -> Result<Self, EmptySecret> {
        if text.is_empty() { Err(EmptySecret) } else { Ok(Self(text.into())) }
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
