//! The gateway's plain subscriptions: replies, pushes, broadcasts, and requests for its list of connections.

use std::sync::Arc;

use async_nats::{Message, SubscribeError};
use futures_util::FutureExt;
use h8s_wire::{ConnectionSubject, Inbox};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinSet, unconstrained};
use tracing::debug;

use crate::connection::bus::Bus;
use crate::connection::client::Connection;
use crate::connection::subscription::Subscription;
use crate::exchange::endpoint::{BEAT, subject};
use crate::plain::inbox::PlainInbox;
use crate::presence::local::{self, OpenConnections};

/// The size of one list page's entries, in bytes: half of the largest frame of the native dialect.
const PAGE_BYTES: usize = 64 * 1024;

/// The messages that a gateway receives on its plain connection.
pub(crate) struct GatewayInbox {
    pub(crate) plain: Arc<PlainInbox>,
    pub(crate) open: Arc<OpenConnections>,
}

/// A broadcast waits until all earlier inbox messages are handled. A client that joins a group and then sends a
/// broadcast to it thus reaches the connection that joined.
type TakenSoFar = oneshot::Sender<()>;

impl GatewayInbox {
    /// Handles all inbox messages: replies to requests, and pushes for one WebSocket.
    async fn take(self, mut inbox: Subscription, mut marks: mpsc::Receiver<TakenSoFar>) {
        loop {
            tokio::select! {
                message = inbox.next() => match message {
                    Some(message) => self.deliver(message),
                    None => return,
                },
                Some(mark) = marks.recv() => {
                    // Unconstrained, because tokio's cooperative budget would make the inbox look empty too early.
                    while let Some(Some(message)) = unconstrained(inbox.next()).now_or_never() {
                        self.deliver(message);
                    }
                    let _ = mark.send(());
                }
            }
        }
    }

    fn deliver(&self, message: Message) {
        match Inbox::connection_of(&message.subject) {
            Some(id) => self.open.push(id, message),
            None => self.plain.deliver(message),
        }
    }
}

async fn take_broadcasts(
    open: Arc<OpenConnections>,
    mut broadcasts: Subscription,
    marks: mpsc::Sender<TakenSoFar>,
) {
    while let Some(message) = broadcasts.next().await {
        let (mark, taken) = oneshot::channel();
        if marks.send(mark).await.is_ok() {
            let _ = taken.await;
        }
        open.broadcast(message).await;
    }
}

/// Handles messages for one and for many connections, and announces the open connections, for as long as `tasks` lives.
pub(crate) async fn keep(
    tasks: &mut JoinSet<()>,
    bus: &Bus,
    inbox: GatewayInbox,
) -> Result<(), SubscribeError> {
    let open = inbox.open.clone();
    let messages = bus.plain.subscribe(subject(inbox.plain.inbox.all())).await?;
    let broadcasts = bus.plain.subscribe(subject(bus.subjects.broadcasts())).await?;
    let (marks, marked) = mpsc::channel(1);
    tasks.spawn(inbox.take(messages, marked));
    tasks.spawn(take_broadcasts(open.clone(), broadcasts, marks));
    let mut questions = bus.plain.subscribe(subject(bus.subjects.connection_lists())).await?;
    let (table, connection) = (open.clone(), bus.plain.clone());
    tasks.spawn(async move {
        while let Some(message) = questions.next().await {
            answer(&table, &connection, message).await;
        }
    });
    tasks.spawn(async move {
        let mut beats = tokio::time::interval(BEAT);
        loop {
            beats.tick().await;
            open.beat();
        }
    });
    Ok(())
}

/// Responds with the open connections of a host. The list goes only to inboxes of that host, so responders of other
/// hosts cannot read it.
async fn answer(open: &OpenConnections, connection: &Connection, question: Message) {
    let about = open.subjects.parse_connections(&question.subject);
    let Some((ConnectionSubject::List, host)) = about else { return };
    let replies = open.subjects.responder_replies(&host);
    let Some(reply) = question.reply.filter(|reply| replies.cover(reply)) else {
        return debug!(%host, "a list of connections was asked for, with a reply that is no inbox of the host's");
    };
    let (revision, connections) = open.list(&host);
    for page in local::pages(open.gateway, revision, &connections, PAGE_BYTES) {
        let headers = async_nats::HeaderMap::new();
        if let Err(error) = connection.publish_plain(reply.clone(), None, headers, page).await {
            return debug!(%host, %error, "a list of connections could not be published");
        }
    }
}
