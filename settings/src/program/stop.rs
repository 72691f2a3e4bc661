//! Shutdown signals.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Enough to publish the last messages to NATS.
const FLUSH_TIME: Duration = Duration::from_millis(200);

/// SIGTERM and SIGINT.
#[derive(Debug)]
pub struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// From now on these signals do not end the process.
    ///
    /// # Errors
    /// The signal handlers cannot be installed.
    pub fn on_signals() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next signal.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn requested(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Waits for `drained`, or for a second signal: then the caller drops its open exchanges, after a moment in which
    /// their peers are notified.
    pub async fn wait_for(&mut self, drained: impl Future<Output = ()>) {
        tokio::select! {
            () = drained => return,
            () = self.requested() => {}
        }
        tracing::warn!("second signal: not waiting any longer");
        tokio::time::sleep(FLUSH_TIME).await;
    }
}
