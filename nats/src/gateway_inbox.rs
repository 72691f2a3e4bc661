//! What a gateway listens to beside its native frames: replies, pushes, broadcasts, and questions about its connections.

use std::sync::Arc;

use async_nats::{Message, SubscribeError, Subscriber};
use futures_util::StreamExt;
use h8s_wire::{ConnectionSubject, Inbox};
use tokio::task::JoinSet;
use tracing::debug;

use crate::link::{Connection, Link};
use crate::open_connections::{self, OpenConnections};
use crate::plain_port::PlainPort;
use crate::port::{BEAT, subject};

/// Entries of one page of a list, in bytes: half of the largest frame of the native dialect.
const PAGE_BYTES: usize = 64 * 1024;

/// Takes everything out of the plain inbox: replies to requests, and what is for one WebSocket.
pub(crate) async fn take(plain: Arc<PlainPort>, open: Arc<OpenConnections>, mut inbox: Subscriber) {
    while let Some(message) = inbox.next().await {
        match Inbox::connection_of(&message.subject) {
            Some(id) => open.push(id, message),
            None => plain.deliver(message),
        }
    }
}

/// Subscribes to what is for many connections, and speaks of them all, for as long as `tasks` lives.
pub(crate) async fn keep(
    tasks: &mut JoinSet<()>,
    link: &Link,
    open: &Arc<OpenConnections>,
) -> Result<(), SubscribeError> {
    let mut broadcasts = link.plain.client.subscribe(subject(link.subjects.broadcasts())).await?;
    let table = open.clone();
    tasks.spawn(async move {
        while let Some(message) = broadcasts.next().await {
            table.broadcast(message).await;
        }
    });
    let mut questions = link.plain.client.subscribe(subject(link.subjects.connection_lists())).await?;
    let (table, connection) = (open.clone(), link.plain.clone());
    tasks.spawn(async move {
        while let Some(message) = questions.next().await {
            answer(&table, &connection, message).await;
        }
    });
    let table = open.clone();
    tasks.spawn(async move {
        let mut beats = tokio::time::interval(BEAT);
        loop {
            beats.tick().await;
            table.beat();
        }
    });
    Ok(())
}

/// Tells a responder of the host which connections are open. Others are told nothing: what is said of a host goes to
/// its own inboxes only.
async fn answer(open: &OpenConnections, connection: &Connection, question: Message) {
    let about = open.subjects.parse_connections(&question.subject);
    let Some((ConnectionSubject::List, host)) = about else { return };
    let replies = open.subjects.responder_replies(&host);
    let Some(reply) = question.reply.filter(|reply| replies.cover(reply)) else {
        return debug!(%host, "a list of connections was asked for, with a reply that is no inbox of the host's");
    };
    let Some((revision, connections)) = open.list(&host) else { return };
    for page in open_connections::pages(open.gateway, revision, &connections, PAGE_BYTES) {
        let headers = async_nats::HeaderMap::new();
        if let Err(error) = connection.publish_plain(reply.clone(), None, headers, page).await {
            return debug!(%host, %error, "a list of connections could not be published");
        }
    }
}
