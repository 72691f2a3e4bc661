//! The end of the program in two steps: drain, then cut.

use tokio::sync::watch;

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Serving,
    /// No new connections; exchanges in flight end in their own time.
    Draining,
    /// Whatever is still open is cut off.
    Cut,
}

/// Starts the end of an [`App`](crate::App). Clones start the same end.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Sender<Phase>);

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// Nothing ends yet.
    pub fn new() -> Self {
        Self(watch::Sender::new(Phase::Serving))
    }

    /// Drains at the first SIGTERM or SIGINT, cuts at the second.
    ///
    /// # Errors
    /// The signals cannot be listened to.
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
                tracing::info!(signal = name, "shutting down; once more to stop at once");
                step(&on_signal);
            }
        });
        Ok(shutdown)
    }

    /// Stop accepting, and let exchanges in flight end within the grace period.
    pub fn drain(&self) {
        self.reach(Phase::Draining);
    }

    /// End at once.
    pub fn cut(&self) {
        self.reach(Phase::Cut);
    }

    /// Resolves as soon as the end has begun.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn draining(&self) {
        self.watch().reached(Phase::Draining).await;
    }

    /// Resolves as soon as nothing more is waited for.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn cut_off(&self) {
        self.watch().reached(Phase::Cut).await;
    }

    pub(crate) fn watch(&self) -> ShutdownWatch {
        ShutdownWatch(self.0.subscribe())
    }

    /// Never back.
    fn reach(&self, phase: Phase) {
        self.0.send_if_modified(|current| {
            let is_further = phase > *current;
            *current = phase.max(*current);
            is_further
        });
    }
}

/// Waits for the end.
#[derive(Clone, Debug)]
pub(crate) struct ShutdownWatch(watch::Receiver<Phase>);

impl ShutdownWatch {
    pub(crate) fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// Resolves as soon as the end has come as far as `phase`; never, if nobody is left to start it.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn reached(&mut self, phase: Phase) {
        if self.0.wait_for(|current| *current >= phase).await.is_err() {
            std::future::pending().await
        }
    }
}
