//! Loads several components in parallel.

use std::fmt;
use std::sync::Arc;
use std::thread;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::component::{Component, ComponentSource, LoadError};
use crate::engine::HostEngine;
use crate::engine::cache::CodeCache;
use crate::service::ComponentService;

/// The errors of all components that cannot be served. Displays as one sentence per line.
#[derive(Debug)]
pub struct LoadErrors(pub Vec<LoadError>);

impl fmt::Display for LoadErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentences: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&sentences.join("\n"))
    }
}

impl std::error::Error for LoadErrors {}

/// Loads all of `sources`, and returns the services in the same order.
///
/// Components are compiled outside the runtime's threads, as many at a time as the machine has processors.
///
/// # Errors
///
/// [`LoadErrors`] with the errors of all components.
pub async fn load(
    engine: &HostEngine,
    cache: Option<&CodeCache>,
    sources: Vec<ComponentSource>,
) -> Result<Vec<ComponentService>, LoadErrors> {
    let permits = Arc::new(Semaphore::new(thread::available_parallelism().map_or(1, usize::from)));
    let mut loading = JoinSet::new();
    for (place, source) in sources.into_iter().enumerate() {
        let (engine, cache, permits) = (engine.clone(), cache.cloned(), Arc::clone(&permits));
        loading.spawn(async move {
            let _permit = permits.acquire_owned().await;
            let load = move || serve(&engine, cache, source);
            (place, tokio::task::spawn_blocking(load).await)
        });
    }
    let mut loaded: Vec<_> = loading
        .join_all()
        .await
        .into_iter()
        .map(|(place, load)| {
            (place, load.unwrap_or_else(|died| std::panic::resume_unwind(died.into_panic())))
        })
        .collect();
    loaded.sort_by_key(|(place, _)| *place);
    collect(loaded.into_iter().map(|(_, service)| service))
}

fn serve(
    engine: &HostEngine,
    cache: Option<CodeCache>,
    source: ComponentSource,
) -> Result<ComponentService, LoadError> {
    let component = Component::load(engine, cache.as_ref(), source.clone())?;
    Ok(ComponentService::new(component, source, cache))
}

fn collect(
    loaded: impl Iterator<Item = Result<ComponentService, LoadError>>,
) -> Result<Vec<ComponentService>, LoadErrors> {
    let mut services = Vec::new();
    let mut errors = Vec::new();
    for service in loaded {
        match service {
            Ok(service) => services.push(service),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(services) } else { Err(LoadErrors(errors)) }
}
