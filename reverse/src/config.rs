//! Everything that one process serves: which hosts and paths, from which backends.

use std::sync::Arc;
use std::time::Duration;

use h8s_settings::Mistakes;
use h8s_wire::{Host, Interest, PathPattern, QueueGroup};

use crate::backend::{Backend, BackendConfig};
use crate::forward::ReverseService;
use crate::head::{HostHeader, Rewrite};
use crate::mapping::Mapping;

/// Which requests go to a backend, and how.
#[derive(Clone, Debug)]
pub struct MappingConfig {
    /// For these hosts.
    pub hosts: Vec<Host>,
    /// For this path.
    pub path: PathPattern,
    /// Requests lose the path's segments.
    pub strip_prefix: bool,
    /// What `Host` the backend sees.
    pub host_header: HostHeader,
    /// Where they go.
    pub backend: BackendConfig,
}

/// Everything that a reverse daemon is told.
#[derive(Clone, Debug)]
pub struct ReverseConfig {
    /// What to serve.
    pub mappings: Vec<MappingConfig>,
    /// Shared by all daemons of the same hosts.
    pub queue_group: QueueGroup,
    /// How long exchanges may take to end at shutdown.
    pub grace_period: Duration,
}

/// A mapping at work.
#[derive(Clone, Debug)]
pub struct Served {
    /// What it serves.
    pub interests: Vec<Interest>,
    /// What answers.
    pub service: ReverseService,
    /// What to tell people: `app.example.com/* from http://localhost:3000`.
    pub about: String,
}

impl ReverseConfig {
    /// What flags and tables cannot say alone: no two mappings serve the same, and every backend can be used.
    pub(crate) fn check(&self, mistakes: &mut Mistakes) {
        for (at, mapping) in self.mappings.iter().enumerate() {
            for earlier in &self.mappings[..at] {
                if let Some(host) = shared_host(mapping, earlier) {
                    mistakes.push(format!(
                        "{} and {} both answer for {host}{}: give one of them another path or host",
                        earlier.backend.url, mapping.backend.url, mapping.path,
                    ));
                }
            }
        }
        let mut checked: Vec<&BackendConfig> = Vec::new();
        for MappingConfig { backend, .. } in &self.mappings {
            if !checked.iter().any(|checked| checked.ca == backend.ca && checked.url == backend.url) {
                checked.push(backend);
                if let Err(error) = Backend::new(backend.clone()) {
                    mistakes.push(error.to_string());
                }
            }
        }
    }

    /// The services. Backends that are told alike are one.
    ///
    /// # Errors
    /// Why a backend cannot be used at all.
    pub fn build(&self) -> Result<Vec<Served>, crate::BackendError> {
        let mut backends: Vec<Arc<Backend>> = Vec::new();
        let mut served = Vec::new();
        for config in &self.mappings {
            let known = backends.iter().find(|backend| *backend.config() == config.backend).cloned();
            let backend = match known {
                Some(backend) => backend,
                None => {
                    let backend = Arc::new(Backend::new(config.backend.clone())?);
                    backends.push(Arc::clone(&backend));
                    backend
                }
            };
            served.push(config.serve(backend));
        }
        Ok(served)
    }
}

impl MappingConfig {
    fn serve(&self, backend: Arc<Backend>) -> Served {
        let hosts: Vec<String> =
            self.hosts.iter().map(|host| format!("{}{}", host.name(), self.path)).collect();
        let about = format!("{} from {}", hosts.join(", "), self.backend.url);
        let rewrite = Rewrite {
            url: self.backend.url.clone(),
            path: self.path.clone(),
            host_header: self.host_header.clone(),
            strip_prefix: self.strip_prefix,
        };
        let mapping = Mapping { hosts: self.hosts.clone(), rewrite, backend };
        let interests = mapping.interests().collect();
        Served { interests, service: ReverseService::new(mapping), about }
    }
}

fn shared_host<'a>(one: &'a MappingConfig, other: &MappingConfig) -> Option<&'a str> {
    let both = |host: &&Host| one.path == other.path && other.hosts.contains(host);
    one.hosts.iter().find(both).map(Host::name)
}
