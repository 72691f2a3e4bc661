//! Triggers of a configuration reload: SIGHUP, and changes of files.

use std::path::PathBuf;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::FileWatch;

/// Waits for SIGHUP and for changes of files.
#[derive(Debug)]
pub struct Reload {
    hangup: Signal,
    files: FileWatch,
}

/// The cause of a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReloadTrigger {
    /// SIGHUP.
    Signal,
    /// These files changed.
    FilesChanged(Vec<PathBuf>),
}

impl Reload {
    /// From now on SIGHUP does not end the process.
    ///
    /// # Errors
    /// The signal handler cannot be installed.
    pub fn new(files: FileWatch) -> std::io::Result<Self> {
        Ok(Self { hangup: signal(SignalKind::hangup())?, files })
    }

    /// Replaces the watched files.
    pub fn watch(&mut self, files: FileWatch) {
        self.files = files;
    }

    /// Waits for the next trigger.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn triggered(&mut self) -> ReloadTrigger {
        tokio::select! {
            _ = self.hangup.recv() => ReloadTrigger::Signal,
            files = self.files.changed() => ReloadTrigger::FilesChanged(files),
        }
    }
}
