//! Subscriptions that end without losing a message.

use std::convert::Infallible;

use async_nats::Message;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection::subscription::Subscription;

/// Unsubscribes at the server only. A count with this many digits is none to nats-server, which then unsubscribes at
/// once, as the embedded broker does; async-nats takes it for a limit far away and goes on delivering what was under
/// way. (Its own unsubscribe and drain drop those messages: requests that nobody would answer.)
const UNSUBSCRIBE_AT_SERVER: u64 = 10_000_000_000;

/// How far a subscription's end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(crate) enum Stage {
    Serving,
    /// Unsubscribed at the server; what was under way still comes.
    Unsubscribing,
    /// Nothing more can come: take what is buffered, and end.
    Ending,
}

/// Tasks that take messages, and follow the stages together.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    stages: watch::Receiver<Stage>,
    tasks: TaskTracker,
    failed: CancellationToken,
    /// Every task holds the sender until it has said UNSUB.
    subscribed: Option<mpsc::Sender<Infallible>>,
    all_unsubscribed: mpsc::Receiver<Infallible>,
}

impl Subscriptions {
    /// `failed` is cancelled if a subscription ends while serving.
    pub(crate) fn new(stages: watch::Receiver<Stage>, failed: CancellationToken) -> Self {
        let (subscribed, all_unsubscribed) = mpsc::channel(1);
        Self { stages, tasks: TaskTracker::new(), failed, subscribed: Some(subscribed), all_unsubscribed }
    }

    /// Takes every message of a subscription until the end.
    pub(crate) fn spawn(&self, messages: Subscription, take: impl Fn(Message) + Send + 'static) {
        let task = Taking {
            messages,
            stages: self.stages.clone(),
            failed: self.failed.clone(),
            subscribed: self.subscribed.clone(),
        };
        self.tasks.spawn(task.run(take));
    }

    /// Waits until all have said UNSUB.
    pub(crate) async fn unsubscribed(&mut self) {
        self.subscribed = None;
        let _ = self.all_unsubscribed.recv().await;
    }

    /// Waits until all have ended.
    pub(crate) async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

struct Taking {
    messages: Subscription,
    stages: watch::Receiver<Stage>,
    failed: CancellationToken,
    subscribed: Option<mpsc::Sender<Infallible>>,
}

impl Taking {
    async fn run(mut self, take: impl Fn(Message)) {
        let mut stage = Stage::Serving;
        loop {
            tokio::select! {
                message = self.messages.next() => match message {
                    Some(message) => take(message),
                    None => {
                        if stage == Stage::Serving {
                            self.failed.cancel();
                        }
                        return;
                    }
                },
                next = next_stage(&mut self.stages, stage) => {
                    stage = next;
                    if self.enter(stage).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    async fn enter(&mut self, stage: Stage) -> Result<(), async_nats::UnsubscribeError> {
        match stage {
            Stage::Serving => {}
            Stage::Unsubscribing => self.messages.unsubscribe_after(UNSUBSCRIBE_AT_SERVER).await?,
            Stage::Ending => self.messages.unsubscribe().await?,
        }
        self.subscribed = None;
        Ok(())
    }
}

/// A sender that is gone ends everything.
async fn next_stage(stages: &mut watch::Receiver<Stage>, after: Stage) -> Stage {
    if after == Stage::Ending {
        // Only the end of the messages is left to wait for.
        return std::future::pending().await;
    }
    stages.wait_for(|stage| *stage > after).await.map_or(Stage::Ending, |stage| *stage)
}
