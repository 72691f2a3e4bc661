//! Threads that serve clients, each with its own runtime and upstream.
//!
//! A connection and all its requests stay on one thread: no request wakes another thread, and frames that are ready on
//! one thread go to NATS in one write. (15 to 25 % more requests than one runtime on two threads, docs/performance.md.)

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use crate::{Availability, BusState, Config, Upstream};

/// A thread with a runtime. Dropping it stops the thread and drops its remaining tasks.
#[derive(Debug)]
pub(crate) struct Thread {
    runtime: Handle,
    _alive: oneshot::Sender<Infallible>,
}

impl Thread {
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (alive, ended) = oneshot::channel();
        thread::Builder::new().name("worker".into()).spawn(move || {
            let _ = runtime.block_on(ended);
        })?;
        Ok(Self { runtime: handle, _alive: alive })
    }

    /// Turns the thread into a worker, with the upstream that `connect` creates on it.
    pub(crate) async fn connect<U, E>(
        &self,
        connect: impl Future<Output = Result<U, E>> + Send + 'static,
    ) -> Result<Worker<U>, E>
    where
        U: Send + 'static,
        E: Send + 'static,
    {
        let upstream = self.runtime.spawn(connect).await.expect("connecting does not panic")?;
        Ok(Worker::on(self.runtime.clone(), upstream))
    }
}

/// A runtime and an upstream that serve connections.
#[derive(Clone, Debug)]
pub(crate) struct Worker<U> {
    pub(crate) runtime: Handle,
    pub(crate) upstream: U,
    /// Its open connections.
    pub(crate) connections: TaskTracker,
}

impl<U> Worker<U> {
    pub(crate) fn on(runtime: Handle, upstream: U) -> Self {
        Self { runtime, upstream, connections: TaskTracker::new() }
    }
}

/// All workers of a gateway; at least one.
#[derive(Clone, Debug)]
pub(crate) struct Workers<U>(Arc<[Worker<U>]>);

impl<U: Upstream> Workers<U> {
    pub(crate) fn new(workers: Vec<Worker<U>>) -> Self {
        assert!(!workers.is_empty(), "a gateway has at least one worker");
        Self(workers.into())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Worker<U>> {
        self.0.iter()
    }

    fn upstreams(&self) -> impl Iterator<Item = &U> {
        self.iter().map(|worker| &worker.upstream)
    }

    /// The number of open connections.
    pub(crate) fn connections(&self) -> usize {
        self.iter().map(|worker| worker.connections.len()).sum()
    }

    /// Waits until every connection is closed. Called after accepting has stopped.
    pub(crate) async fn idle(&self) {
        for worker in self.iter() {
            worker.connections.close();
            worker.connections.wait().await;
        }
    }

    /// Drains all upstreams within `grace`. Returns whether everything ended.
    pub(crate) async fn drain(&self, grace: Duration) -> bool {
        let drains = self.upstreams().map(|upstream| upstream.drain(grace));
        futures_util::future::join_all(drains).await.into_iter().all(|whole| whole)
    }

    /// See [`Upstream::configure`].
    pub(crate) fn configure(&self, config: &Config) {
        self.upstreams().for_each(|upstream| upstream.configure(config.requester()));
    }

    /// The worst availability of all workers.
    pub(crate) fn availability(&self) -> Availability {
        self.upstreams().map(Upstream::availability).max().unwrap_or(Availability::Disconnected)
    }

    /// The combined state. Counts that each upstream keeps for the whole process, or for all responders, are not summed.
    pub(crate) fn bus(&self) -> BusState {
        let together = |one: BusState, other: BusState| BusState {
            is_connected: one.is_connected && other.is_connected,
            disturbances: one.disturbances + other.disturbances,
            credit_stalls: one.credit_stalls.max(other.credit_stalls),
            interests: one.interests.max(other.interests),
        };
        self.upstreams().map(Upstream::bus).reduce(together).unwrap_or_default()
    }
}
