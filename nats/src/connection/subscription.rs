//! A subscription that outlives its client (see [`connection`](crate::connection::client)).

use async_nats::{Client, Message, Subject, SubscribeError, Subscriber, UnsubscribeError};
use futures_util::StreamExt;
use tokio::sync::mpsc;

/// Messages of one subject, in order.
#[derive(Debug)]
pub(crate) struct Subscription {
    messages: Subscriber,
    /// The same from another client, when this one has ended. Closed once it is not wanted any more.
    renewed: mpsc::UnboundedReceiver<Subscriber>,
}

/// How to subscribe again.
pub(crate) struct Renewal {
    to: Subject,
    group: Option<String>,
    renewed: mpsc::UnboundedSender<Subscriber>,
}

impl Subscription {
    pub(crate) async fn open(
        client: &Client,
        to: Subject,
        group: Option<String>,
    ) -> Result<(Self, Renewal), SubscribeError> {
        let messages = subscribe(client, &to, group.as_deref()).await?;
        let (renew, renewed) = mpsc::unbounded_channel();
        Ok((Self { messages, renewed }, Renewal { to, group, renewed: renew }))
    }

    /// The next message; `None` after the end that was asked for.
    ///
    /// # Cancel safety
    /// Nothing is lost when it is dropped.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.messages.next().await {
                return Some(message);
            }
            self.messages = self.renewed.recv().await?;
        }
    }

    /// Ends it after so many messages of all that it has ever had.
    pub(crate) async fn unsubscribe_after(&mut self, count: u64) -> Result<(), UnsubscribeError> {
        self.renewed.close();
        self.messages.unsubscribe_after(count).await
    }

    /// Ends it after what is here already.
    pub(crate) async fn unsubscribe(&mut self) -> Result<(), UnsubscribeError> {
        self.renewed.close();
        self.messages.unsubscribe().await
    }
}

impl Renewal {
    /// Whether the subscription is still there, and meant to last.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.renewed.is_closed()
    }

    pub(crate) async fn renew(&self, client: &Client) -> Result<(), SubscribeError> {
        let messages = subscribe(client, &self.to, self.group.as_deref()).await?;
        // Who has gone in the meantime drops it.
        let _ = self.renewed.send(messages);
        Ok(())
    }
}

async fn subscribe(client: &Client, to: &Subject, group: Option<&str>) -> Result<Subscriber, SubscribeError> {
    match group {
        Some(group) => client.queue_subscribe(to.clone(), group.to_owned()).await,
        None => client.subscribe(to.clone()).await,
    }
}
