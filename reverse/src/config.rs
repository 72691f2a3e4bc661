//! The configuration of one daemon: which hosts and paths it serves, from which backends.

mod flags;
mod table;

use std::sync::Arc;
use std::time::Duration;

use h8s_settings::ConfigErrors;
use h8s_wire::{Host, Interest, PathPattern, QueueGroup};

use crate::backend::{Backend, BackendConfig, BackendError};
use crate::forward::mapping::Mapping;
use crate::forward::request_head::{HostHeader, Rewrite};
use crate::service::ReverseService;
pub use flags::Flags;

/// The requests for one backend, and their rewriting.
#[derive(Clone, Debug)]
pub struct MappingConfig {
    /// The hosts.
    pub hosts: Vec<Host>,
    /// The path.
    pub path: PathPattern,
    /// Whether to remove the path's segments from requests.
    pub strip_prefix: bool,
    /// The `Host` that the backend receives.
    pub host_header: HostHeader,
    /// The backend.
    pub backend: BackendConfig,
}

/// The configuration of a reverse daemon.
#[derive(Clone, Debug)]
pub struct ReverseConfig {
    /// The mappings to serve.
    pub mappings: Vec<MappingConfig>,
    /// The NATS queue group, shared by all daemons of the same hosts.
    pub queue_group: QueueGroup,
    /// How long open exchanges may take to end at shutdown.
    pub grace_period: Duration,
}

/// A mapping in service.
#[derive(Clone, Debug)]
pub struct Served {
    /// The interests to announce.
    pub interests: Vec<Interest>,
    /// The service for their requests.
    pub service: ReverseService,
    /// Description for the log: `app.example.com/* from http://localhost:3000`.
    pub description: String,
}

impl ReverseConfig {
    /// Checks across mappings: no two serve the same host and path, and every backend is usable.
    pub(crate) fn check(&self, errors: &mut ConfigErrors) {
        for (at, mapping) in self.mappings.iter().enumerate() {
            for earlier in &self.mappings[..at] {
                if let Some(host) = shared_host(mapping, earlier) {
                    errors.push(format!(
                        "{} and {} both serve {host}{}: give one of them another path or host",
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
                    errors.push(error.to_string());
                }
            }
        }
    }

    /// Creates the services. Mappings with equal backend configurations share the backend.
    ///
    /// # Errors
    /// The configuration of a backend is unusable.
    pub fn build(&self) -> Result<Vec<Served>, BackendError> {
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
        let description = format!("{} from {}", hosts.join(", "), self.backend.url);
        let rewrite = Rewrite {
            url: self.backend.url.clone(),
            path: self.path.clone(),
            host_header: self.host_header.clone(),
            strip_prefix: self.strip_prefix,
        };
        let mapping = Mapping { hosts: self.hosts.clone(), rewrite, backend };
        let interests = mapping.interests().collect();
        Served { interests, service: ReverseService::new(mapping), description }
    }
}

fn shared_host<'a>(one: &'a MappingConfig, other: &MappingConfig) -> Option<&'a str> {
    let both = |host: &&Host| one.path == other.path && other.hosts.contains(host);
    one.hosts.iter().find(both).map(Host::name)
}
