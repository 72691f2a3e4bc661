//! Which requests go to which backend, and how they are rewritten.

use std::sync::Arc;

use h8s_wire::{Host, Interest, MethodPattern};

use super::request_head::Rewrite;
use crate::backend::Backend;

/// One path of some hosts, and its backend.
pub(crate) struct Mapping {
    pub(crate) hosts: Vec<Host>,
    pub(crate) rewrite: Rewrite,
    pub(crate) backend: Arc<Backend>,
}

impl Mapping {
    pub(crate) fn backend(&self) -> &Backend {
        &self.backend
    }

    /// The announced interests: all methods, and WebSockets.
    pub(crate) fn interests(&self) -> impl Iterator<Item = Interest> {
        let interest =
            |host: &Host, method| Interest { host: host.clone(), path: self.rewrite.path.clone(), method };
        let both = [MethodPattern::Any, MethodPattern::WebSocket];
        self.hosts.iter().flat_map(move |host| both.clone().map(move |method| interest(host, method)))
    }
}
