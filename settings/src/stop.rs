//! When a program is asked to end.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Over NATS somebody is told in this time.
const FAREWELL: Duration = Duration::from_millis(200);

/// SIGTERM and SIGINT.
#[derive(Debug)]
pub struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// From here on they do not end the process by themselves.
    ///
    /// # Errors
    /// The signals cannot be listened to.
    pub fn on_signals() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next of them.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Waits until all has ended, or is asked once more: then what is open is dropped, and those who wait for it have a
    /// moment to be told.
    pub async fn wait_for(&mut self, drained: impl Future<Output = ()>) {
        tokio::select! {
            () = drained => return,
            () = self.asked() => {}
        }
        tracing::warn!("second signal: not waiting any longer");
        tokio::time::sleep(FAREWELL).await;
    }
}
