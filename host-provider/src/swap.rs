//! Another component in the place of one that runs: because its file has changed, or somebody asked.
//!
//! The new one is compiled beside the old one, and takes over between two calls. What the old one has begun it
//! finishes; the last of that frees it. Both together keep to the limits of the service, and what is announced stays
//! as it is: a file that serves something else, or is broken, is refused, and the old one stays.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use h8s_nats::StartError;
use h8s_settings::{Reload, ReloadTrigger};

use crate::component::{Component, ComponentSource, LoadError, digest, read, told};
use crate::dispatch::{ComponentService, Shared};
use crate::exports::Exports;

/// What the log calls those who swap: `RUST_LOG=h8s::swap=info`.
const LOG: &str = "h8s::swap";

/// What has become of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swapped {
    /// The file holds what runs already, and its secrets are the same.
    Unchanged,
    /// Another has taken its place, ready after this time.
    After(Duration),
}

/// Why a component keeps its place. Each message is one sentence that names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SwapError {
    /// What is in the file now cannot be served.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It can, but not as what has been announced.
    #[error("component {}: now serves {now} instead of {before}, which takes a restart", .file.display())]
    ServesOther {
        /// The file.
        file: PathBuf,
        /// What it would serve.
        now: &'static str,
        /// What is served.
        before: &'static str,
    },
    /// It is the first that imports `sender`, and NATS does not say who is connected.
    #[error("component {}: imports sender, and who is connected cannot be found out: {source}", .file.display())]
    Connections {
        /// The file.
        file: PathBuf,
        /// Why.
        source: StartError,
    },
    /// Compiling it went wrong in a way that is not its own fault.
    #[error("component {}: the compiler gave up", .file.display())]
    Compiler {
        /// The file.
        file: PathBuf,
    },
}

impl ComponentService {
    /// Puts the component in `file` in the place of the one that runs, with the same name, limits and settings. When
    /// this returns, everything that begins has the new one.
    ///
    /// WebSockets stay open: the new one handles their next message, and is not asked about those that are open
    /// (`on-open`).
    ///
    /// # Errors
    /// See [`SwapError`]. The one that runs stays.
    pub async fn swap(&self, file: &Path) -> Result<Swapped, SwapError> {
        let shared = self.shared();
        let _turn = shared.swapping.lock().await;
        let started = Instant::now();
        let Some(new) = load_other(shared, file).await? else { return Ok(Swapped::Unchanged) };
        let took = started.elapsed();
        let (now, before) = (served(&new.exports), served(&shared.component().exports));
        if now != before {
            return Err(SwapError::ServesOther { file: file.to_owned(), now, before });
        }
        if new.imports_sender {
            let found = shared.reach().find_connections().await;
            found.map_err(|source| SwapError::Connections { file: file.to_owned(), source })?;
        }
        shared.replace(new);
        Ok(Swapped::After(took))
    }

    /// [Swaps](Self::swap) in what its own file holds now, and says in the log what came of it.
    pub async fn refresh(&self) {
        let name = self.name();
        match self.swap(self.file()).await {
            Ok(Swapped::After(took)) => {
                tracing::info!(target: LOG, "component {name}: swapped ({} ms to compile)", took.as_millis());
            }
            Ok(Swapped::Unchanged) => tracing::info!(target: LOG, "component {name}: as before"),
            // Most builds begin by taking away what they will make.
            Err(error @ SwapError::Load(LoadError::Missing { .. })) => {
                tracing::warn!(target: LOG, "{error}; the one before stays");
            }
            Err(error) => tracing::error!(target: LOG, "{error}; the one before stays"),
        }
    }
}

/// Swaps components for as long as it is polled, which is without end: all of them at SIGHUP, and those whose files
/// change while `reload` watches them. One after the other, so that compiling leaves processors to those that run.
pub async fn keep_current(services: &[ComponentService], reload: &mut Reload) {
    loop {
        let asked = reload.triggered().await;
        let is_meant = |service: &&ComponentService| match &asked {
            ReloadTrigger::Signal => true,
            ReloadTrigger::FilesChanged(files) => files.iter().any(|file| file == service.file()),
        };
        for service in services.iter().filter(is_meant) {
            service.refresh().await;
        }
    }
}

/// Loads what is in `file`, unless that is what runs already, and is told the same. A secret may have another value by
/// now. Connections of requests are those of the one that runs, and so is what may be under way.
async fn load_other(shared: &Shared, file: &Path) -> Result<Option<Component>, SwapError> {
    let running = shared.component();
    let source = ComponentSource { file: file.to_owned(), ..shared.source.clone() };
    let cache = shared.cache.clone();
    let load = move || {
        let wasm = read(&source.file)?;
        let configuration = told(&source)?;
        if digest(&wasm) == running.digest && configuration.is_same(&running.configuration) {
            return Ok(None);
        }
        let (cache, outgoing) = (cache.as_ref(), running.outgoing.clone());
        Component::of(&running.engine, cache, source, configuration, outgoing, &wasm).map(Some)
    };
    match tokio::task::spawn_blocking(load).await {
        Ok(loaded) => Ok(loaded?),
        Err(_) => Err(SwapError::Compiler { file: file.to_owned() }),
    }
}

/// What is announced for a component with these exports.
fn served(exports: &Exports) -> &'static str {
    match (exports.has_http(), exports.receiver.is_some()) {
        (true, true) => "HTTP and WebSockets",
        (true, false) => "HTTP",
        (false, true) => "WebSockets",
        (false, false) => "nothing",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use h8s_test_support::guests::guest;
    use http::Request;
    use http_body_util::{BodyExt, Empty};
    use tower_service::Service;

    use super::*;
    use crate::{ConfigurationSource, EngineConfig, HostEngine, Limits, OutgoingSource, load};

    #[tokio::test]
    async fn the_old_one_is_freed_with_the_last_that_it_has_begun() {
        // given an answer under way
        let engine = HostEngine::new(EngineConfig { instances: 2, ..EngineConfig::default() }).unwrap();
        let (name, limits) = ("guests".to_owned(), Limits::default());
        let source = ComponentSource {
            file: guest(&name),
            name,
            environment: Vec::new(),
            configuration: ConfigurationSource::default(),
            outgoing: OutgoingSource::default(),
            limits,
        };
        let mut service = load(&engine, None, vec![source]).await.unwrap().remove(0);
        let old = Arc::downgrade(&service.shared().component());
        let request = Request::get("http://localhost/slow-stream").body(Empty::<Bytes>::new()).unwrap();
        let body = service.call(request).await.unwrap().into_body();
        // when another takes over
        service.swap(&guest("hello")).await.unwrap();
        // then the old one is there until the end of that answer, and no longer
        assert!(old.upgrade().is_some());
        body.collect().await.unwrap();
        assert!(old.upgrade().is_none());
        assert_eq!(service.running(), 0);
    }
}
