//! Everything that one process serves: which components, and for which requests.

use std::time::Duration;

use h8s_nats::{Bus, Connections, StartError};
use h8s_settings::FileWatch;
use h8s_wire::{Host, Interest, MethodPattern, PathPattern, Subjects};

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
    /// For these hosts.
    pub hosts: Vec<Host>,
    /// For these paths.
    pub path: PathPattern,
    /// For these methods of HTTP. WebSockets are served whatever they are.
    pub methods: Vec<MethodPattern>,
}

impl ServedSource {
    /// What there is to announce for a component that serves HTTP, WebSockets, or both: one interest per host and
    /// method.
    fn interests(&self, service: &ComponentService) -> Vec<Interest> {
        let mut methods = if service.serves_http() { self.methods.clone() } else { Vec::new() };
        methods.extend(service.serves_websockets().then_some(MethodPattern::WebSocket));
        let interest = |host: &Host, method: &MethodPattern| Interest {
            host: host.clone(),
            path: self.path.clone(),
            method: method.clone(),
        };
        self.hosts.iter().flat_map(|host| methods.iter().map(move |method| interest(host, method))).collect()
    }
}

/// Everything that a host is told.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// What to serve.
    pub components: Vec<ServedSource>,
    /// Where compiled code is kept. `None`: nowhere.
    pub cache: Option<CodeCache>,
    /// Whether a component is swapped in when its file changes. For whoever [keeps them
    /// current](crate::keep_current).
    pub watch: bool,
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
    /// Several components serve the same, and one request can only go to one of them. One sentence per line.
    #[error("{}", .0.join("\n"))]
    Doubles(Vec<String>),
}

impl HostConfig {
    /// An engine with room for all components: for each as many instances as it may have, and the memory of the
    /// largest.
    pub fn engine(&self) -> EngineConfig {
        let limits = || self.components.iter().map(|component| &component.source.limits);
        let instances = limits().map(|limits| limits.concurrency).fold(0, usize::saturating_add).max(1);
        EngineConfig {
            instances: u32::try_from(instances).map_or(MOST_INSTANCES, |count| count.min(MOST_INSTANCES)),
            components: u32::try_from(self.components.len()).unwrap_or(u32::MAX),
            memory_bytes: limits().map(|limits| limits.memory_bytes).max().unwrap_or(0),
            ..EngineConfig::default()
        }
    }

    /// The components' files as they are now, if they are to be watched. To be asked for before they are read.
    pub fn watched(&self) -> FileWatch {
        FileWatch::new(self.components.iter().filter(|_| self.watch).map(|served| &served.source.file))
    }

    /// Makes the engine and loads all components.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with any of them, together; or which of them serve the same.
    pub async fn build(&self) -> Result<Vec<Served>, HostError> {
        let engine = HostEngine::new(self.engine())?;
        let sources = self.components.iter().map(|component| component.source.clone()).collect();
        let services = load(&engine, self.cache.as_ref(), sources).await?;
        let served = self.components.iter().zip(services).map(|(source, service)| {
            let interests = source.interests(&service);
            Served { interests, service }
        });
        let served: Vec<Served> = served.collect();
        match self.doubles(&served) {
            doubles if doubles.is_empty() => Ok(served),
            doubles => Err(HostError::Doubles(doubles)),
        }
    }

    fn doubles(&self, served: &[Served]) -> Vec<String> {
        let mut doubles = Vec::new();
        for (at, one) in served.iter().enumerate() {
            for interest in &one.interests {
                if let Some(earlier) =
                    served[..at].iter().position(|other| other.interests.contains(interest))
                {
                    let file = |at: usize| self.components[at].source.file.display();
                    doubles.push(format!(
                        "{} and {} both serve {interest}: give one of them another path or host",
                        file(earlier),
                        file(at),
                    ));
                }
            }
        }
        doubles
    }
}

/// Tells components that import `sender` who is connected, over all gateways. The others cost nothing here.
///
/// # Errors
///
/// When NATS does not take the subscriptions.
pub async fn connect(served: &[Served], link: &Bus, subjects: &Subjects) -> Result<(), StartError> {
    let senders = || served.iter().filter(|served| served.service.sends());
    let hosts = distinct_hosts(senders().flat_map(|served| &served.interests));
    let connections = match hosts.is_empty() {
        true => None,
        false => Some(Connections::start(link.clone(), &hosts).await?),
    };
    for Served { interests, service } in served {
        let connections = connections.clone().filter(|_| service.sends());
        service.connect(link.clone(), subjects.clone(), distinct_hosts(interests), connections);
    }
    Ok(())
}

fn distinct_hosts<'a>(interests: impl IntoIterator<Item = &'a Interest>) -> Vec<Host> {
    let mut hosts: Vec<Host> = interests.into_iter().map(|interest| interest.host.clone()).collect();
    hosts.sort();
    hosts.dedup();
    hosts
}
