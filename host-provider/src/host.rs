//! Everything that one process serves: which components, and for which requests.

use std::time::Duration;

use h8s_wire::{Host, Interest, MethodPattern, PathPattern};

use crate::cache::CodeCache;
use crate::component::ComponentSource;
use crate::dispatch::ComponentService;
use crate::engine::{EngineConfig, EngineError, HostEngine};
use crate::load::{LoadErrors, load};

/// Instances that an engine has room for, however many its components would like: see [`EngineConfig`].
const MOST_INSTANCES: u32 = 10_000;

/// A component, and what it is to serve.
#[derive(Clone, Debug)]
pub struct ServedSource {
    /// The component.
    pub source: ComponentSource,
    /// For this host.
    pub host: Host,
    /// For these paths.
    pub path: PathPattern,
    /// For these methods.
    pub methods: Vec<MethodPattern>,
}

impl ServedSource {
    /// One interest for each method.
    pub fn interests(&self) -> Vec<Interest> {
        let interest = |method: &MethodPattern| Interest {
            host: self.host.clone(),
            path: self.path.clone(),
            method: method.clone(),
        };
        self.methods.iter().map(interest).collect()
    }
}

/// Everything that a host is told.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// What to serve.
    pub components: Vec<ServedSource>,
    /// Where compiled code is kept. `None`: nowhere.
    pub cache: Option<CodeCache>,
    /// How long exchanges may take to end at shutdown.
    pub grace_period: Duration,
}

/// A component at work.
#[derive(Clone, Debug)]
pub struct Served {
    /// What it serves.
    pub interests: Vec<Interest>,
    /// What answers.
    pub service: ComponentService,
}

/// A host that does not start.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// This machine runs no WebAssembly.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Some components cannot be served.
    #[error(transparent)]
    Load(#[from] LoadErrors),
}

impl HostConfig {
    /// An engine with room for all components: for each as many instances as it may have, and the memory of the
    /// largest.
    pub fn engine(&self) -> EngineConfig {
        let limits = || self.components.iter().map(|component| &component.source.limits);
        let instances = limits().map(|limits| limits.concurrency).fold(0, usize::saturating_add).max(1);
        EngineConfig {
            instances: u32::try_from(instances).map_or(MOST_INSTANCES, |count| count.min(MOST_INSTANCES)),
            memory_bytes: limits().map(|limits| limits.memory_bytes).max().unwrap_or(0),
            ..EngineConfig::default()
        }
    }

    /// Makes the engine and loads all components.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with any of them, together.
    pub async fn build(&self) -> Result<Vec<Served>, HostError> {
        let engine = HostEngine::new(self.engine())?;
        let sources = self.components.iter().map(|component| component.source.clone()).collect();
        let services = load(&engine, self.cache.as_ref(), sources).await?;
        let interests = self.components.iter().map(ServedSource::interests);
        Ok(interests.zip(services).map(|(interests, service)| Served { interests, service }).collect())
    }
}
