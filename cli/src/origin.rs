//! Where a component comes from, and what happens to it when that changes: it is built again, where there is something
//! to build, and takes the place of the one that runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use h8s_host_provider::{ComponentService, Swapped};
use h8s_settings::FileWatch;
use tokio::sync::Mutex;

use crate::source::{self, SourceError};
use crate::sources::Sources;

/// What the log calls those who swap, here and in the host.
const LOG: &str = "h8s::swap";

/// What a component is made of, as it was when it was read.
#[derive(Debug)]
pub(crate) enum Origin {
    File(FileWatch),
    Directory { directory: PathBuf, sources: Sources },
}

/// Whoever holds it builds: a build uses all processors.
pub(crate) type Builds = Arc<Mutex<()>>;

impl Origin {
    /// Builds `component`, if it is a directory. Returns its file, too.
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

    /// Keeps `service` as new as what it comes from. Without end.
    ///
    /// # Cancel safety
    /// Dropping it ends a build under way.
    pub(crate) async fn follow(self, service: ComponentService, builds: Builds) {
        match self {
            Self::File(mut file) => loop {
                file.changed().await;
                service.refresh().await;
            },
            Self::Directory { directory, mut sources } => loop {
                sources.changed().await;
                let _turn = builds.lock().await;
                rebuild(&directory, &mut sources, &service).await;
            },
        }
    }
}

/// Builds a component and swaps it in. Says in one line what came of it, below what cargo says of mistakes.
async fn rebuild(directory: &Path, sources: &mut Sources, service: &ComponentService) {
    let (name, started, begun) = (service.name(), Instant::now(), SystemTime::now());
    let file = match source::build(directory, true).await {
        Ok(file) => file,
        Err(error) => {
            match error {
                SourceError::DoesNotBuild { .. } => {
                    tracing::error!(target: LOG, "{name}: does not build; keeping the running version");
                }
                _ => tracing::error!(target: LOG, "{error}; keeping the running version"),
            }
            // After the line, which may be in a file there.
            sources.failed();
            return;
        }
    };
    sources.built(&file, begun);
    let swapped = service.swap(&file).await;
    let seconds = started.elapsed().as_secs_f32();
    match swapped {
        Ok(Swapped::After(_)) => tracing::info!(target: LOG, "{name}: rebuilt in {seconds:.1} s and swapped"),
        Ok(Swapped::Unchanged) => tracing::info!(target: LOG, "{name}: rebuilt, and the same as before"),
        Err(error) => {
            tracing::error!(target: LOG, "{name}: rebuilt, but {error}; keeping the running version")
        }
    }
}
