//! Settings and secrets of a component, which it reads through `wasi:config`.
//!
//! Flags and tables name where a secret is; its value is read when the component is loaded, and shown only to the guest.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use h8s_settings::{EmptySecret, Secret};

use crate::bindings::{config, config_draft};

/// The largest file of a secret, in bytes: enough for any key or certificate chain, too small for a wrong path to matter.
const FILE_BYTES: u64 = 64 << 10;

/// The settings of a component, and where its secrets are.
#[derive(Clone, Debug, Default)]
pub struct ConfigurationSource {
    /// Names and values.
    pub settings: Vec<(String, String)>,
    /// Names, and where the values are.
    pub secrets: Vec<(String, SecretSource)>,
}

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// In this environment variable of the host.
    Variable(String),
    /// In this file. A trailing newline is removed.
    File(PathBuf),
}

/// A secret could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the secret {name} from {from}: {cause}")]
pub struct SecretError {
    name: String,
    from: SecretSource,
    cause: Cause,
}

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error("it is not set")]
    NotSet,
    #[error("it is not UTF-8")]
    NotText,
    #[error("larger than {} KiB", FILE_BYTES >> 10)]
    TooLarge,
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    #[error("{0}")]
    Empty(#[from] EmptySecret),
}

impl SecretSource {
    /// Parses `env:VARIABLE` or `file:PATH`. Any other text may be the secret itself, so the error does not repeat it.
    ///
    /// # Errors
    ///
    /// A sentence that names what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("env", variable)) if !variable.is_empty() && !variable.contains(['=', '\0']) => {
                Ok(Self::Variable(variable.to_owned()))
            }
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            _ => Err("write where the secret is, env:VARIABLE or file:PATH, not the secret itself".into()),
        }
    }

    fn read(&self) -> Result<Secret, Cause> {
        let text = match self {
            Self::Variable(name) => match std::env::var(name) {
                Ok(text) => text,
                Err(std::env::VarError::NotPresent) => return Err(Cause::NotSet),
                Err(std::env::VarError::NotUnicode(_)) => return Err(Cause::NotText),
            },
            Self::File(path) => file(path)?,
        };
        Ok(text.parse()?)
    }
}

fn file(path: &PathBuf) -> Result<String, Cause> {
    let mut bytes = Vec::new();
    let length = File::open(path)?.take(FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if length as u64 > FILE_BYTES {
        return Err(Cause::TooLarge);
    }
    let mut text = String::from_utf8(bytes).map_err(|_| Cause::NotText)?;
    // Editors and `echo` append one.
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

/// The settings and secrets of a component. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Configuration(Arc<[(String, Value)]>);

#[derive(Debug)]
enum Value {
    Plain(String),
    Secret(Secret),
}

impl Value {
    fn for_guest(&self) -> String {
        match self {
            Self::Plain(text) => text.clone(),
            Self::Secret(secret) => secret.expose().to_owned(),
        }
    }
}

impl Configuration {
    /// Reads the secrets. They override settings of the same name.
    pub(crate) fn read(source: ConfigurationSource) -> Result<Self, SecretError> {
        let ConfigurationSource { mut settings, secrets } = source;
        settings.retain(|(name, _)| !secrets.iter().any(|(secret, _)| secret == name));
        let mut values: Vec<_> =
            settings.into_iter().map(|(name, value)| (name, Value::Plain(value))).collect();
        for (name, from) in secrets {
            match from.read() {
                Ok(secret) => values.push((name, Value::Secret(secret))),
                Err(cause) => return Err(SecretError { name, from, cause }),
            }
        }
        Ok(Self(values.into()))
    }

    /// Whether a guest would see no difference.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let exposed = |(name, value): &(String, Value)| (name.clone(), value.for_guest());
        self.0.iter().map(exposed).eq(other.0.iter().map(exposed))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn get(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.for_guest())
    }

    fn all(&self) -> Vec<(String, String)> {
        self.0.iter().map(|(name, value)| (name.clone(), value.for_guest())).collect()
    }
}

/// `wasi:config/store`, the current interface.
impl config::store::Host for Configuration {
    fn get(&mut self, name: String) -> wasmtime::Result<Result<Option<String>, config::store::Error>> {
        Ok(Ok(Configuration::get(self, &name)))
    }

    fn get_all(&mut self) -> wasmtime::Result<Result<Vec<(String, String)>, config::store::Error>> {
        Ok(Ok(self.all()))
    }
}

/// `wasi:config/runtime`, the earlier draft.
impl config_draft::runtime::Host for Configuration {
    fn get(
        &mut self,
        name: String,
    ) -> wasmtime::Result<Result<Option<String>, config_draft::runtime::ConfigError>> {
        Ok(Ok(Configuration::get(self, &name)))
    }

    fn get_all(
        &mut self,
    ) -> wasmtime::Result<Result<Vec<(String, String)>, config_draft::runtime::ConfigError>> {
        Ok(Ok(self.all()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: SecretSource) -> Result<Configuration, SecretError> {
        Configuration::read(ConfigurationSource {
            settings: vec![("LEVEL".into(), "debug".into())],
            secrets: vec![("KEY".into(), source)],
        })
    }

    fn written(bytes: &[u8]) -> (tempfile::NamedTempFile, SecretSource) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let source = SecretSource::parse(&format!("file:{}", file.path().display())).unwrap();
        (file, source)
    }

    #[test]
    fn a_secret_is_its_file_without_the_trailing_newline() {
        for (bytes, value) in [("hunter2", "hunter2"), ("a\n", "a"), ("a\r\n", "a"), ("a\nb\n\n", "a\nb\n")] {
            let (_file, source) = written(bytes.as_bytes());
            let configuration = read(source).unwrap();
            assert_eq!(configuration.get("KEY").as_deref(), Some(value));
            assert_eq!(configuration.get("key"), None);
            assert_eq!(configuration.all().len(), 2);
            assert!(!format!("{configuration:?}").contains("hunter2"));
        }
    }

    #[test]
    fn an_unreadable_secret_is_named_and_never_shown() {
        let (_file, not_text) = written(b"hunter2\xff");
        let (_other, empty) = written(b"\n");
        let (_large, large) = written(&vec![b'x'; 70_000]);
        for (source, cause) in [
            (not_text, "not UTF-8"),
            (empty, "an empty secret"),
            (large, "larger than 64 KiB"),
            (SecretSource::File("/nowhere/h8s".into()), "No such file"),
            (SecretSource::Variable("H8S_TEST_NOT_SET".into()), "env:H8S_TEST_NOT_SET: it is not set"),
        ] {
            let message = read(source).unwrap_err().to_string();
            assert!(
                message.starts_with("cannot read the secret KEY from ") && message.contains(cause),
                "{message}"
            );
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn an_invalid_place_is_not_repeated() {
        for text in ["hunter2", "env:", "file:", "http://hunter2", "env:hunter2=x", ""] {
            let message = SecretSource::parse(text).unwrap_err();
            assert!(message.contains("env:VARIABLE") && !message.contains("hunter2"), "{message}");
        }
    }
}
