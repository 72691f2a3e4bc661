use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Config;
use crate::handshake::Info;
use crate::routes::Routes;

/// The state that all connections share.
pub(crate) struct BrokerState {
    pub(crate) config: Config,
    pub(crate) info: Info,
    pub(crate) routes: Arc<Routes>,
    next_client_id: AtomicU64,
}

impl BrokerState {
    pub(crate) fn new(config: Config, info: Info) -> Self {
        Self { config, info, routes: Arc::new(Routes::new()), next_client_id: AtomicU64::new(1) }
    }

    pub(crate) fn next_client_id(&self) -> u64 {
        self.next_client_id.fetch_add(1, Ordering::Relaxed)
    }
}
