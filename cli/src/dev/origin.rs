//! Where a component comes from: a file, or a directory. A changed file is swapped in; a changed directory is rebuilt
//! first.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use h8s_host::{ComponentService, Swapped};
use h8s_settings::FileWatch;
use tokio::sync::Mutex;

use super::source::{self, SourceError};
use super::sources::Sources;

/// The log target of swaps, here and in the host.
const LOG: &str = "h8s::swap";

/// A component's file or sources, watched since they were read.
#[derive(Debug)]
pub(crate) enum Origin {
    File(FileWatch),
    Directory { directory: PathBuf, sources: Sources },
}

/// Held while building: one build uses all processors.
pub(crate) type BuildLock = Arc<Mutex<()>>;

impl Origin {
    /// Builds `component`, if it is a directory. Also returns its file.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub(crate) async fn read(component: &Path, is_quiet: bool) -> Result<(PathBuf, Self), SourceError> {
        if !component.is_dir() {
            return Ok((component.to_owned(), Self::File(FileWatch::new([component]))));
        }
        let (mut sources, begun) = (Sources::of(component), SystemTime::now());
        let file = source::build(component, is_quiet).await?;
        sources.built(&file, begun);
        Ok((file, Self::Directory { directory: component.to_owned(), sources }))
    }

    /// Swaps every change into `service`. Never returns.
    ///
    /// # Cancel safety
    /// Dropping it aborts a running build.
    pub(crate) async fn follow(self, service: ComponentService, builds: BuildLock) {
        match self {
            Self::File(mut file) => loop {
                file.changed().await;
                service.refresh().await;
            },
            Self::Directory { directory, mut sources } => loop {
                sources.changed().await;
                let _lock = builds.lock().await;
                rebuild(&directory, &mut sources, &service).await;
            },
        }
    }
}

/// Builds a component and swaps it in. Logs the result in one line, after cargo's errors.
async fn rebuild(directory: &Path, sources: &mut Sources, service: &ComponentService) {
    let (name, started, begun) = (service.name(), Instant::now(), SystemTime::now());
    let file = match source::build(directory, true).await {
        Ok(file) => file,
        Err(error) => {
            match error {
                SourceError::BuildFailed { .. } => {
                    tracing::error!(target: LOG, "{name}: build failed; keeping the running version");
                }
                _ => tracing::error!(target: LOG, "{error}; keeping the running version"),
            }
            // After the log line, which may be written to a file in that directory.
            sources.failed();
            return;
        }
    };
    sources.built(&file, begun);
    let swapped = service.swap(&file).await;
    let seconds = started.elapsed().as_secs_f32();
    match swapped {
        Ok(Swapped::After(_)) => tracing::info!(target: LOG, "{name}: rebuilt in {seconds:.1} s and swapped"),
        Ok(Swapped::Unchanged) => tracing::info!(target: LOG, "{name}: rebuilt, unchanged"),
        Err(error) => {
            tracing::error!(target: LOG, "{name}: rebuilt, but {error}; keeping the running version")
        }
    }
}
