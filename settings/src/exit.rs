//! Why a program ends before it began: its mistakes, or help that was asked for.

use std::fmt;

/// The exit code for help and version, which were asked for.
const SUCCESS: i32 = 0;
/// The exit code for mistakes in the settings, as clap and most Unix programs have it.
const MISTAKEN: i32 = 2;

/// The program should end now, saying this. `Display` is what to say: one mistake a line, or the help text.
#[derive(Debug)]
pub struct Exit {
    text: String,
    code: i32,
}

impl Exit {
    /// Help or version: what was asked for, on standard output.
    pub(crate) fn asked_for(text: String) -> Self {
        Self { text, code: SUCCESS }
    }

    /// Something is wrong, for standard error.
    pub(crate) fn mistaken(text: String) -> Self {
        Self { text, code: MISTAKEN }
    }

    /// 0 for `--help` and `--version`, 2 for mistakes.
    pub fn code(&self) -> i32 {
        self.code
    }

    /// Prints to standard output what was asked for, or to standard error what is wrong, and ends the process.
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

/// Collects mistakes, so that all are reported together. Programs use it for checks across several fields.
#[derive(Debug, Default)]
pub struct Mistakes {
    sentences: Vec<String>,
}

impl Mistakes {
    /// Starts with none.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one sentence: which setting, which value, what to do instead. A sentence already said is not repeated.
    pub fn push(&mut self, sentence: impl Into<String>) {
        let sentence = sentence.into();
        if !self.sentences.contains(&sentence) {
            self.sentences.push(sentence);
        }
    }

    /// Nothing wrong so far?
    pub fn is_empty(&self) -> bool {
        self.sentences.is_empty()
    }

    /// # Errors
    /// All sentences, one a line, if there is any.
    pub fn into_result(self) -> Result<(), Exit> {
        if self.sentences.is_empty() {
            return Ok(());
        }
        Err(Exit::mistaken(self.sentences.join("\n")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_mistakes_are_no_exit() {
        assert!(Mistakes::new().into_result().is_ok());
    }

    #[test]
    fn mistakes_are_said_once_each_in_order() {
        let mut mistakes = Mistakes::new();
        for sentence in ["--tls-cert needs --tls-key.", "--host is empty.", "--tls-cert needs --tls-key."] {
            mistakes.push(sentence);
        }

        let exit = mistakes.into_result().unwrap_err();

        assert_eq!(exit.to_string(), "--tls-cert needs --tls-key.\n--host is empty.");
        assert_eq!(exit.code(), 2);
    }
}
