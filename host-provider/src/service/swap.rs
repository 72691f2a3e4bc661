//! Replaces a running component: because its file has changed, or on request.
//!
//! The new component is compiled while the old one runs, and takes over between two calls. The old one finishes its calls;
//! the last of them frees it. Both together keep to the limits of the service, and the announced interests stay: a file
//! that is invalid, or serves something else, is refused, and the running version stays.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use h8s_nats::StartError;
use h8s_settings::{Reload, ReloadTrigger};

use crate::component::deployment::Deployment;
use crate::component::exports::Exports;
use crate::component::{Component, ComponentSource, LoadError, configuration_of, digest, read};
use crate::service::ComponentService;

/// The log target of swaps: `RUST_LOG=h8s::swap=info`.
const LOG: &str = "h8s::swap";

/// The outcome of a swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swapped {
    /// The file holds the component that runs, and its secrets are the same.
    Unchanged,
    /// The component was replaced; loading took this time.
    After(Duration),
}

/// Why a component was not replaced. Each message is one sentence that names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SwapError {
    /// The file cannot be served.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The new component serves something else than the announced interests.
    #[error("component {}: now serves {now} instead of {before}; restart to apply", .file.display())]
    ServesOther {
        /// The file.
        file: PathBuf,
        /// What the new component serves.
        now: &'static str,
        /// What the running component serves.
        before: &'static str,
    },
    /// It is the first to import `sender`, and the subscriptions for the open connections failed.
    #[error("component {}: imports sender, and the open connections cannot be listed: {source}", .file.display())]
    Connections {
        /// The file.
        file: PathBuf,
        /// The cause.
        source: StartError,
    },
    /// The compiler panicked.
    #[error("component {}: the compiler failed unexpectedly", .file.display())]
    Compiler {
        /// The file.
        file: PathBuf,
    },
}

impl ComponentService {
    /// Replaces the running component by the one in `file`, with the same name, limits and settings. Calls that begin after
    /// this returns use the new one.
    ///
    /// WebSockets stay open: the new component handles their next message. Its `on-open` is not called for them.
    ///
    /// # Errors
    /// [`SwapError`] if the file cannot be served, or serves something else. The running version stays.
    pub async fn swap(&self, file: &Path) -> Result<Swapped, SwapError> {
        let deployment = self.deployment();
        let _turn = deployment.swapping.lock().await;
        let started = Instant::now();
        let Some(new) = load_other(deployment, file).await? else { return Ok(Swapped::Unchanged) };
        let took = started.elapsed();
        let (now, before) = (served(&new.exports), served(&deployment.component().exports));
        if now != before {
            return Err(SwapError::ServesOther { file: file.to_owned(), now, before });
        }
        if new.imports_sender {
            let found = deployment.scope().find_connections().await;
            found.map_err(|source| SwapError::Connections { file: file.to_owned(), source })?;
        }
        deployment.replace(new);
        Ok(Swapped::After(took))
    }

    /// [Swaps](Self::swap) in the current content of the component's file, and logs the outcome.
    pub async fn refresh(&self) {
        let name = self.name();
        match self.swap(self.file()).await {
            Ok(Swapped::After(took)) => {
                tracing::info!(target: LOG, "component {name}: swapped ({} ms to compile)", took.as_millis());
            }
            Ok(Swapped::Unchanged) => {
                tracing::info!(target: LOG, "component {name}: unchanged, not reloaded")
            }
            // Most builds begin by deleting their output.
            Err(error @ SwapError::Load(LoadError::Missing { .. })) => {
                tracing::warn!(target: LOG, "{error}; keeping the running version");
            }
            Err(error) => tracing::error!(target: LOG, "{error}; keeping the running version"),
        }
    }
}

/// Swaps components: all of them at SIGHUP, and those whose files change while `reload` watches them. Sequentially, so
/// that compiling leaves processors to the running components. Never returns.
pub async fn keep_current(services: &[ComponentService], reload: &mut Reload) {
    loop {
        let trigger = reload.triggered().await;
        let is_meant = |service: &&ComponentService| match &trigger {
            ReloadTrigger::Signal => true,
            ReloadTrigger::FilesChanged(files) => files.iter().any(|file| file == service.file()),
        };
        for service in services.iter().filter(is_meant) {
            service.refresh().await;
        }
    }
}

/// Loads `file`, unless it is the running component with the same configuration. A secret's value may have changed.
/// Connections for outgoing requests are shared with the running component, and so are their limits.
async fn load_other(deployment: &Deployment, file: &Path) -> Result<Option<Component>, SwapError> {
    let running = deployment.component();
    let source = ComponentSource { file: file.to_owned(), ..deployment.source.clone() };
    let cache = deployment.cache.clone();
    let load = move || {
        let wasm = read(&source.file)?;
        let configuration = configuration_of(&source)?;
        if digest(&wasm) == running.digest && configuration.is_same(&running.template.setup.configuration) {
            return Ok(None);
        }
        let (cache, outgoing) = (cache.as_ref(), running.template.setup.outgoing.clone());
        Component::of(&running.engine, cache, source, configuration, outgoing, &wasm).map(Some)
    };
    match tokio::task::spawn_blocking(load).await {
        Ok(loaded) => Ok(loaded?),
        Err(_) => Err(SwapError::Compiler { file: file.to_owned() }),
    }
}

/// The interests of a component with these exports, for errors.
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
    async fn the_old_component_is_freed_with_its_last_call() {
        // given a response under way
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
        let old = Arc::downgrade(&service.deployment().component());
        let request = Request::get("http://localhost/slow-stream").body(Empty::<Bytes>::new()).unwrap();
        let body = service.call(request).await.unwrap().into_body();
        // when another takes over
        service.swap(&guest("hello")).await.unwrap();
        // then the old component lives until the end of that response, and no longer
        assert!(old.upgrade().is_some());
        body.collect().await.unwrap();
        assert!(old.upgrade().is_none());
        assert_eq!(service.running(), 0);
    }
}
