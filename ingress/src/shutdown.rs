//! Shutdown in two phases: drain, then cut.

use tokio::sync::watch;

/// Progress of a shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Serving,
    /// No new connections; exchanges in flight may end.
    Draining,
    /// Remaining connections are closed.
    Cut,
}

/// Triggers the shutdown of an [`App`](crate::App). Clones trigger the same shutdown.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Sender<Phase>);

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// A shutdown that has not started.
    pub fn new() -> Self {
        Self(watch::Sender::new(Phase::Serving))
    }

    /// Drains at the first SIGTERM or SIGINT, cuts at the second.
    ///
    /// # Errors
    /// The signal handlers cannot be installed.
    pub fn on_signals() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let shutdown = Self::new();
        let on_signal = shutdown.clone();
        tokio::spawn(async move {
            for step in [Self::drain, Self::cut] {
                let name = tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                };
                tracing::info!(signal = name, "shutting down; send the signal again to stop at once");
                step(&on_signal);
            }
        });
        Ok(shutdown)
    }

    /// Stops accepting, and lets exchanges in flight end within the grace period.
    pub fn drain(&self) {
        self.reach(Phase::Draining);
    }

    /// Closes everything at once.
    pub fn cut(&self) {
        self.reach(Phase::Cut);
    }

    /// Resolves once draining has started.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn draining(&self) {
        self.watch().reached(Phase::Draining).await;
    }

    /// Resolves once remaining connections are being cut.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn cut_off(&self) {
        self.watch().reached(Phase::Cut).await;
    }

    pub(crate) fn watch(&self) -> ShutdownWatch {
        ShutdownWatch(self.0.subscribe())
    }

    /// Phases only advance.
    fn reach(&self, phase: Phase) {
        self.0.send_if_modified(|current| {
            let is_further = phase > *current;
            *current = phase.max(*current);
            is_further
        });
    }
}

/// Waits for shutdown phases.
#[derive(Clone, Debug)]
pub(crate) struct ShutdownWatch(watch::Receiver<Phase>);

impl ShutdownWatch {
    pub(crate) fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// Resolves once `phase` is reached; never, if every [`Shutdown`] is dropped before.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn reached(&mut self, phase: Phase) {
        if self.0.wait_for(|current| *current >= phase).await.is_err() {
            std::future::pending().await
        }
    }
}
