//! When a program is asked to read its files again.

use std::path::PathBuf;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::FileWatch;

/// SIGHUP, and changes of files.
#[derive(Debug)]
pub struct Reload {
    hangup: Signal,
    files: FileWatch,
}

/// Who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// SIGHUP.
    Signal,
    /// These files changed.
    Changed(Vec<PathBuf>),
}

impl Reload {
    /// From here on SIGHUP does not end the process.
    ///
    /// # Errors
    /// The signal cannot be listened to.
    pub fn new(files: FileWatch) -> std::io::Result<Self> {
        Ok(Self { hangup: signal(SignalKind::hangup())?, files })
    }

    /// Looks at these files from now on.
    pub fn watch(&mut self, files: FileWatch) {
        self.files = files;
    }

    /// Waits until somebody asks.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn asked(&mut self) -> Asked {
        tokio::select! {
            _ = self.hangup.recv() => Asked::Signal,
            files = self.files.changed() => Asked::Changed(files),
        }
    }
}
