//! The configuration of a host process: which components it serves, for which requests.

use std::time::Duration;

use h8s_nats::{Bus, Connections, StartError};
use h8s_settings::FileWatch;
use h8s_wire::{Host, Interest, MethodPattern, PathPattern, Subjects};

use crate::component::ComponentSource;
use crate::engine::cache::CodeCache;
use crate::engine::{EngineConfig, EngineError, HostEngine};
use crate::service::ComponentService;
use crate::service::load::{LoadErrors, load};

/// The upper limit of instances of an engine, whatever its components are configured for: see [`EngineConfig`].
const MAX_INSTANCES: u32 = 10_000;

/// A component, and the requests it is configured to serve.
#[derive(Clone, Debug)]
pub struct ServedSource {
    /// The component.
    pub source: ComponentSource,
    /// The hosts to serve.
    pub hosts: Vec<Host>,
    /// The paths to serve.
    pub path: PathPattern,
    /// The HTTP methods to serve. They do not affect WebSockets.
    pub methods: Vec<MethodPattern>,
}

impl ServedSource {
    /// The interests of a component that serves HTTP, WebSockets, or both: one per host and method.
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

/// The configuration of a host.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// The components to serve.
    pub components: Vec<ServedSource>,
    /// The cache of compiled code. `None`: components are compiled at every start.
    pub cache: Option<CodeCache>,
    /// Whether a component is reloaded when its file changes: see [`watched`](Self::watched) and
    /// [`keep_current`](crate::keep_current).
    pub watch: bool,
    /// How long exchanges under way may take at shutdown.
    pub grace_period: Duration,
}

/// A loaded component.
#[derive(Clone, Debug)]
pub struct Served {
    /// The interests to announce.
    pub interests: Vec<Interest>,
    /// The service that answers.
    pub service: ComponentService,
}

/// Why a host cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The WebAssembly engine does not start.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Some components cannot be served.
    #[error(transparent)]
    Load(#[from] LoadErrors),
    /// Several components serve the same requests. One sentence per line.
    #[error("{}", .0.join("\n"))]
    Conflicts(Vec<String>),
}

impl HostConfig {
    /// The size of an engine for all components: the sum of their concurrency, and the largest of their memory limits.
    pub fn engine(&self) -> EngineConfig {
        let limits = || self.components.iter().map(|component| &component.source.limits);
        let instances = limits().map(|limits| limits.concurrency).fold(0, usize::saturating_add).max(1);
        EngineConfig {
            instances: u32::try_from(instances).map_or(MAX_INSTANCES, |count| count.min(MAX_INSTANCES)),
            components: u32::try_from(self.components.len()).unwrap_or(u32::MAX),
            memory_bytes: limits().map(|limits| limits.memory_bytes).max().unwrap_or(0),
            ..EngineConfig::default()
        }
    }

    /// A watch of the components' files, if they are to be watched. Start it before the files are read.
    pub fn watched(&self) -> FileWatch {
        FileWatch::new(self.components.iter().filter(|_| self.watch).map(|served| &served.source.file))
    }

    /// Creates the engine and loads all components.
    ///
    /// # Errors
    ///
    /// [`HostError`] with the errors of all components together, or with those that serve the same requests.
    pub async fn build(&self) -> Result<Vec<Served>, HostError> {
        let engine = HostEngine::new(self.engine())?;
        let sources = self.components.iter().map(|component| component.source.clone()).collect();
        let services = load(&engine, self.cache.as_ref(), sources).await?;
        let served = self.components.iter().zip(services).map(|(source, service)| {
            let interests = source.interests(&service);
            Served { interests, service }
        });
        let served: Vec<Served> = served.collect();
        match self.conflicts(&served) {
            conflicts if conflicts.is_empty() => Ok(served),
            conflicts => Err(HostError::Conflicts(conflicts)),
        }
    }

    fn conflicts(&self, served: &[Served]) -> Vec<String> {
        let mut conflicts = Vec::new();
        for (at, one) in served.iter().enumerate() {
            for interest in &one.interests {
                if let Some(earlier) =
                    served[..at].iter().position(|other| other.interests.contains(interest))
                {
                    let file = |at: usize| self.components[at].source.file.display();
                    conflicts.push(format!(
                        "{} and {} both serve {interest}; give one of them another path or host",
                        file(earlier),
                        file(at),
                    ));
                }
            }
        }
        conflicts
    }
}

/// Connects components that import `sender` to the open connections of all gateways. Other components cost nothing.
///
/// # Errors
///
/// [`StartError`] if the subscriptions fail.
pub async fn connect(served: &[Served], bus: &Bus, subjects: &Subjects) -> Result<(), StartError> {
    let senders = || served.iter().filter(|served| served.service.sends());
    let hosts = distinct_hosts(senders().flat_map(|served| &served.interests));
    let connections = match hosts.is_empty() {
        true => None,
        false => Some(Connections::start(bus.clone(), &hosts).await?),
    };
    for Served { interests, service } in served {
        let connections = connections.clone().filter(|_| service.sends());
        service.connect(bus.clone(), subjects.clone(), distinct_hosts(interests), connections);
    }
    Ok(())
}

fn distinct_hosts<'a>(interests: impl IntoIterator<Item = &'a Interest>) -> Vec<Host> {
    let mut hosts: Vec<Host> = interests.into_iter().map(|interest| interest.host.clone()).collect();
    hosts.sort();
    hosts.dedup();
    hosts
}
