//! Why a program ends before it starts its work: errors in its settings, or requested help.

use std::fmt;

/// The exit code after help and version.
const SUCCESS: i32 = 0;
/// The exit code for invalid settings, as in clap and most Unix programs.
const INVALID: i32 = 2;

/// The program ends now, with this text: one error per line, or the help.
#[derive(Debug)]
pub struct Exit {
    text: String,
    code: i32,
}

impl Exit {
    /// Help or version, for standard output.
    pub(crate) fn requested(text: String) -> Self {
        Self { text, code: SUCCESS }
    }

    /// Errors, for standard error.
    pub(crate) fn invalid(text: String) -> Self {
        Self { text, code: INVALID }
    }

    /// 0 for `--help` and `--version`, 2 for errors.
    pub fn code(&self) -> i32 {
        self.code
    }

    /// Prints help and version to standard output or errors to standard error, and ends the process.
    pub fn exit(self) -> ! {
        if self.code == SUCCESS {
            println!("{self}");
        } else {
            eprintln!("{self}");
        }
        std::process::exit(self.code)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.trim_end())
    }
}

impl std::error::Error for Exit {}

/// Collects errors in the settings, so that all are reported together.
#[derive(Debug, Default)]
pub struct ConfigErrors {
    sentences: Vec<String>,
}

impl ConfigErrors {
    /// Without errors.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one sentence: the setting, the value, the remedy. A repeated sentence is dropped.
    pub fn push(&mut self, sentence: impl Into<String>) {
        let sentence = sentence.into();
        if !self.sentences.contains(&sentence) {
            self.sentences.push(sentence);
        }
    }

    /// Whether there are no errors so far.
    pub fn is_empty(&self) -> bool {
        self.sentences.is_empty()
    }

    /// The sentences so far.
    pub(crate) fn into_sentences(self) -> impl Iterator<Item = String> {
        self.sentences.into_iter()
    }

    /// The end of the checks.
    ///
    /// # Errors
    /// All sentences, one per line, if there are any.
    pub fn into_result(self) -> Result<(), Exit> {
        if self.sentences.is_empty() {
            return Ok(());
        }
        Err(Exit::invalid(self.sentences.join("\n")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_errors_there_is_no_exit() {
        assert!(ConfigErrors::new().into_result().is_ok());
    }

    #[test]
    fn errors_are_reported_once_each_in_order() {
        let mut errors = ConfigErrors::new();
        for sentence in ["--tls-cert needs --tls-key.", "--host is empty.", "--tls-cert needs --tls-key."] {
            errors.push(sentence);
        }

        let exit = errors.into_result().unwrap_err();

        assert_eq!(exit.to_string(), "--tls-cert needs --tls-key.\n--host is empty.");
        assert_eq!(exit.code(), 2);
    }
}
