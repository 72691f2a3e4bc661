//! A component in service: the one that runs now, and what stays when it is swapped.

use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, Guard};
use tokio::sync::Mutex;
use tokio_util::task::TaskTracker;

use crate::component::{Component, ComponentSource};
use crate::engine::admission::Admission;
use crate::engine::cache::CodeCache;
use crate::push::scope::PushScope;

/// What all calls of a component share, also with the components that replace it.
pub(crate) struct Deployment {
    current: ArcSwap<Component>,
    /// How the component was loaded. Its settings stay when the component is swapped.
    pub(crate) source: ComponentSource,
    pub(crate) cache: Option<CodeCache>,
    /// Held during a swap.
    pub(crate) swapping: Mutex<()>,
    pub(crate) admission: Admission,
    /// One task for each open WebSocket.
    pub(crate) websockets: TaskTracker,
    scope: OnceLock<Arc<PushScope>>,
}

impl Deployment {
    pub(crate) fn new(component: Component, source: ComponentSource, cache: Option<CodeCache>) -> Self {
        let slots = Arc::clone(component.engine.slots());
        let admission = Admission::new(source.limits.concurrency, source.limits.queue, slots);
        Self {
            current: ArcSwap::from_pointee(component),
            source,
            cache,
            swapping: Mutex::new(()),
            admission,
            websockets: TaskTracker::new(),
            scope: OnceLock::new(),
        }
    }

    /// The component that runs now. A call takes it once, and finishes with it.
    pub(crate) fn component(&self) -> Arc<Component> {
        self.current.load_full()
    }

    /// The same, for a quick look.
    pub(crate) fn peek(&self) -> Guard<Arc<Component>> {
        self.current.load()
    }

    /// Calls that begin from now on use `component`.
    pub(crate) fn replace(&self, component: Component) {
        self.current.store(Arc::new(component));
    }

    /// What a call can push to now: nothing, before there is a connection to NATS.
    pub(crate) fn scope(&self) -> Arc<PushScope> {
        self.scope.get().cloned().unwrap_or_default()
    }

    /// Sets the scope. Only the first call counts.
    pub(crate) fn set_scope(&self, scope: PushScope) {
        // Later calls would set the same: a component is served once.
        let _ = self.scope.set(Arc::new(scope));
    }
}
