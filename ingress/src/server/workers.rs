//! The threads that serve clients, each with a runtime and an upstream of its own.
//!
//! A client's connection stays with the thread that it was given to, and so does all that its requests take: nothing on
//! their way wakes another thread, and what is ready on one travels to NATS in one piece. (Measured beside one runtime on
//! two threads: 15 to 25 % more requests, docs/performance.md.)

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use crate::{Availability, BusState, Config, Upstream};

/// A thread with a runtime, which ends when this is dropped, and drops what is left on it.
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

    /// Makes a worker of it, with the upstream that `connect` makes there.
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

/// Where connections are served.
#[derive(Clone, Debug)]
pub(crate) struct Worker<U> {
    pub(crate) runtime: Handle,
    pub(crate) upstream: U,
    /// The connections that it has.
    pub(crate) connections: TaskTracker,
}

impl<U> Worker<U> {
    pub(crate) fn on(runtime: Handle, upstream: U) -> Self {
        Self { runtime, upstream, connections: TaskTracker::new() }
    }
}

/// All of a gateway's, of which there is at least one.
#[derive(Clone, Debug)]
pub(crate) struct Workers<U>(Arc<[Worker<U>]>);

impl<U: Upstream> Workers<U> {
    pub(crate) fn new(workers: Vec<Worker<U>>) -> Self {
        assert!(!workers.is_empty(), "somebody has to serve");
        Self(workers.into())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Worker<U>> {
        self.0.iter()
    }

    fn upstreams(&self) -> impl Iterator<Item = &U> {
        self.iter().map(|worker| &worker.upstream)
    }

    /// Connections that are open now.
    pub(crate) fn connections(&self) -> usize {
        self.iter().map(|worker| worker.connections.len()).sum()
    }

    /// Waits until no connection is open any more. Called when no more come.
    pub(crate) async fn idle(&self) {
        for worker in self.iter() {
            worker.connections.close();
            worker.connections.wait().await;
        }
    }

    /// Ends what is still open at all upstreams within `grace`. Whether all of it did.
    pub(crate) async fn drain(&self, grace: Duration) -> bool {
        let drains = self.upstreams().map(|upstream| upstream.drain(grace));
        futures_util::future::join_all(drains).await.into_iter().all(|whole| whole)
    }

    /// See [`Upstream::configure`].
    pub(crate) fn configure(&self, config: &Config) {
        self.upstreams().for_each(|upstream| upstream.configure(config.requester()));
    }

    /// As far as the worst of them.
    pub(crate) fn availability(&self) -> Availability {
        self.upstreams().map(Upstream::availability).max().unwrap_or(Availability::Disconnected)
    }

    /// All of them together. What each of them knows of the whole process, or of all responders, counts once.
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
