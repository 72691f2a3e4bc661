//! All open connections of some hosts, over all gateways; and messages to them (`PROTOCOL.md §6`).

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use h8s_wire::push::{self, Audience, Group, Push};
use h8s_wire::{
    Close, ConnectionEntry, ConnectionId, ConnectionSubject, GatewayId, Host, Message, Page, ResponderId,
};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::connection::bus::Bus;
use crate::connection::client::PublishError;
use crate::connection::round_trip;
use crate::connection::subscription::Subscription;
use crate::exchange::endpoint::{BEAT, subject};
use crate::exchange::registry::random_id;
use crate::plain::headers;
use crate::plain::inbox::{PlainExchange, PlainFailure, PlainInbox};
use crate::presence::view::{ConnectionView, Heard};
use crate::requester::StartError;

/// The time limit for the first page of a list from any gateway: every gateway responds.
const LIST_BEGIN: Duration = Duration::from_secs(1);
/// A list is complete when no page has arrived for this long and every list that began has ended.
const LIST_QUIET: Duration = Duration::from_millis(200);
/// The longest time that a start waits for lists.
const FIRST_LIST: Duration = Duration::from_secs(2);
/// The pause after a list that was disturbed or arrived faster than it was read.
const LIST_AGAIN: Duration = Duration::from_secs(2);
/// The pause between two lists of one host, so that many gaps do not cause many lists.
const LIST_PAUSE: Duration = Duration::from_millis(250);

/// The approximate number of bytes that may wait for the socket; beyond it, senders wait.
const UNFLUSHED_BYTES: usize = 16 * 1024 * 1024;

/// Why a message is not sent. Nothing has been published in these cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// No such connection is known.
    #[error("no such connection")]
    Unknown,
    /// The connection has been closed.
    #[error("the connection is closed")]
    Closed,
    /// The connection belongs to another host.
    #[error("the connection belongs to a host that is not served here")]
    Foreign,
    /// The message exceeds the limit of NATS.
    #[error("the message is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The largest message that fits.
        limit_bytes: usize,
    },
    /// The group name is invalid.
    #[error(
        "invalid group name: use 1 to 128 bytes without control characters and without leading or trailing spaces"
    )]
    Group,
    /// The close code is invalid.
    #[error("invalid close code: use 1000–1003, 1007–1014 or 3000–4999")]
    Close,
    /// A text message that is not UTF-8.
    #[error("the text message is not valid UTF-8")]
    Text,
    /// NATS is disconnected.
    #[error("NATS is disconnected")]
    Disconnected,
}

/// A directory of connections. Cheap to clone; dropping the last clone ends the subscriptions.
#[derive(Clone)]
pub struct Connections(Arc<Inner>);

struct Inner {
    bus: Bus,
    hosts: HashMap<Host, Arc<HostView>>,
    /// Bytes published since the last complete flush.
    unflushed_bytes: AtomicUsize,
    _background: JoinSet<()>,
}

/// The known connections of one host, and the trigger for a new list.
struct HostView {
    view: Mutex<ConnectionView>,
    stale: Notify,
}

impl HostView {
    fn lock(&self) -> MutexGuard<'_, ConnectionView> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connections {
    /// Subscribes to the connection events of the hosts, requests lists from all gateways, and returns when the lists
    /// have arrived: at once if there are no gateways, after at most two seconds.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(bus: Bus, hosts: &[Host]) -> Result<Self, StartError> {
        let mut tasks = JoinSet::new();
        let mut views = HashMap::new();
        let begin = async {
            let mut first_lists = Vec::new();
            for host in hosts {
                if views.contains_key(host) {
                    continue;
                }
                let view = Arc::new(HostView {
                    view: Mutex::new(ConnectionView::new(host.clone())),
                    stale: Notify::new(),
                });
                first_lists.push(watch(&bus, host, &view, &mut tasks).await?);
                views.insert(host.clone(), view);
            }
            let first = first_lists.iter().map(Lister::list);
            let _ = tokio::time::timeout(FIRST_LIST, futures_util::future::join_all(first)).await;
            Ok::<_, StartError>(first_lists)
        };
        for lister in bus.permission_watch().over(begin).await? {
            tasks.spawn(lister.keep());
        }
        let unflushed_bytes = AtomicUsize::new(0);
        Ok(Self(Arc::new(Inner { bus, hosts: views, unflushed_bytes, _background: tasks })))
    }

    /// The open connections of a host, in no particular order.
    pub fn list(&self, host: &Host) -> Vec<Arc<ConnectionEntry>> {
        self.0.hosts.get(host).map_or_else(Vec::new, |view| view.lock().all().cloned().collect())
    }

    /// The connections whose [`subject`](ConnectionEntry::subject) matches a NATS pattern: `*` matches one token, a
    /// final `>` matches all that follow.
    pub fn matching(&self, host: &Host, pattern: &str) -> Vec<Arc<ConnectionEntry>> {
        let Some(view) = self.0.hosts.get(host) else { return Vec::new() };
        view.lock().all().filter(|entry| covers(pattern, &entry.subject)).cloned().collect()
    }

    /// One connection, of any host.
    pub fn get(&self, id: ConnectionId) -> Option<Arc<ConnectionEntry>> {
        self.0.hosts.values().find_map(|view| view.lock().get(id).cloned())
    }

    /// Whether a connection was closed recently.
    pub fn was_closed(&self, id: ConnectionId) -> bool {
        self.0.hosts.values().any(|view| view.lock().was_closed(id))
    }

    /// The number of open connections of all hosts.
    pub fn len(&self) -> usize {
        self.0.hosts.values().map(|view| view.lock().all().count()).sum()
    }

    /// Whether no connection is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sends a message to one connection of `host`, at most once.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send(&self, host: &Host, to: ConnectionId, message: &Message) -> Result<(), SendError> {
        if !message.is_valid() {
            return Err(SendError::Text);
        }
        self.push(host, to, &Push::Message(message.clone())).await
    }

    /// Closes one connection of `host`.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn close(&self, host: &Host, to: ConnectionId, close: &Close) -> Result<(), SendError> {
        if !close.is_sendable() {
            return Err(SendError::Close);
        }
        self.push(host, to, &Push::Close(close.clone())).await
    }

    /// Adds a connection of `host` to a group.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn join(&self, host: &Host, who: ConnectionId, group: &str) -> Result<(), SendError> {
        self.push(host, who, &Push::Join(named(group)?)).await
    }

    /// Removes a connection of `host` from a group.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn leave(&self, host: &Host, who: ConnectionId, group: &str) -> Result<(), SendError> {
        self.push(host, who, &Push::Leave(named(group)?)).await
    }

    /// Sends a message to many connections of `host`, on all gateways, at most once to each. The number of recipients
    /// is unknown.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn broadcast(&self, host: &Host, to: &Audience, message: &Message) -> Result<(), SendError> {
        if !self.0.hosts.contains_key(host) {
            return Err(SendError::Foreign);
        }
        if !message.is_valid() {
            return Err(SendError::Text);
        }
        let headers = headers::collect(|emit| {
            push::encode_broadcast(to, message.kind, emit);
            Ok(())
        });
        let to = self.0.bus.subjects.broadcast(host);
        self.publish(to, headers.map_err(|_| SendError::Group)?, message.data.clone()).await
    }

    /// Waits until everything sent has left this process. Call it before the process ends.
    pub async fn flush(&self) {
        self.0.bus.plain.flush().await;
    }

    async fn push(&self, host: &Host, to: ConnectionId, push: &Push) -> Result<(), SendError> {
        let gateway = self.gateway_of(host, to)?;
        // The inbox is derived from the ids, never from received data.
        let inbox = self.0.bus.subjects.gateway_inbox(gateway);
        let headers = headers::collect(|emit| {
            push::encode_push(push, emit);
            Ok(())
        });
        self.publish(inbox.push(to), headers.map_err(|_| SendError::Group)?, push.payload()).await
    }

    fn gateway_of(&self, host: &Host, to: ConnectionId) -> Result<GatewayId, SendError> {
        let view = self.0.hosts.get(host).ok_or(SendError::Foreign)?;
        {
            let view = view.lock();
            if let Some(entry) = view.get(to) {
                return Ok(entry.gateway);
            }
            if view.was_closed(to) {
                return Err(SendError::Closed);
            }
        }
        match self.get(to) {
            Some(_) => Err(SendError::Foreign),
            None => Err(SendError::Unknown),
        }
    }

    async fn publish(
        &self,
        to: h8s_wire::Subject,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<(), SendError> {
        let plain = &self.0.bus.plain;
        if !plain.is_connected() {
            return Err(SendError::Disconnected);
        }
        let limit_bytes = plain.max_payload().saturating_sub(headers::bytes(&headers));
        if payload.len() > limit_bytes {
            return Err(SendError::TooLarge { limit_bytes });
        }
        let bytes = payload.len();
        let published = plain.publish_plain(subject(to), None, headers, payload).await;
        // The client library limits its queue by messages, not bytes, and other parts share the connection.
        if self.0.unflushed_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > UNFLUSHED_BYTES {
            plain.flush().await;
            self.0.unflushed_bytes.store(0, Ordering::Relaxed);
        }
        match published {
            Ok(()) => Ok(()),
            Err(PublishError::TooLarge) => Err(SendError::TooLarge { limit_bytes }),
            Err(error) => {
                debug!(%error, "a message could not be published");
                Err(SendError::Disconnected)
            }
        }
    }
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connections").field("open", &self.len()).finish_non_exhaustive()
    }
}

fn named(group: &str) -> Result<Group, SendError> {
    group.parse().map_err(|_| SendError::Group)
}

/// Whether a NATS pattern matches a subject.
fn covers(pattern: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    for wanted in pattern.split('.') {
        match (wanted, tokens.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (wanted, Some(token)) if wanted == token => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

/// Follows the events of one host. The returned lister requests lists from gateways.
async fn watch(
    bus: &Bus,
    host: &Host,
    view: &Arc<HostView>,
    tasks: &mut JoinSet<()>,
) -> Result<Lister, StartError> {
    let inbox = bus.subjects.responder_inbox(host, ResponderId::from_bytes(random_id()));
    let port = PlainInbox::new(bus.plain.clone(), inbox.clone());
    let replies = bus.plain.subscribe(subject(inbox.all())).await?;
    tasks.spawn(port.clone().take_from(replies));
    // One subscription for all kinds keeps the events of a gateway in order.
    let said = bus.plain.subscribe(subject(bus.subjects.connections_all(host))).await?;
    tasks.spawn(follow(bus.clone(), view.clone(), said));
    round_trip::plain(&port).await?;
    Ok(Lister { bus: bus.clone(), host: host.clone(), view: view.clone(), port })
}

async fn follow(bus: Bus, view: Arc<HostView>, mut said: Subscription) {
    let mut beats = tokio::time::interval(BEAT);
    let mut state = bus.plain.state.clone();
    loop {
        tokio::select! {
            message = said.next() => {
                let Some(message) = message else { return };
                let Some((about, _)) = bus.subjects.parse_connections(&message.subject) else { continue };
                if about != ConnectionSubject::List {
                    let heard = view.lock().take(about, &message.payload, Instant::now());
                    note(&view, heard);
                }
            }
            _ = beats.tick() => {
                let is_connected = bus.plain.is_connected();
                view.lock().sweep(Instant::now(), is_connected);
            }
            changed = state.changed() => {
                if changed.is_err() {
                    return;
                }
                // Events may have been lost while disconnected.
                if state.borrow_and_update().connected {
                    view.stale.notify_one();
                }
            }
        }
    }
}

fn note(view: &HostView, heard: Result<Heard, h8s_wire::ConnectionError>) {
    match heard {
        Ok(Heard::Expected) => {}
        Ok(Heard::Gap) => view.stale.notify_one(),
        Err(error) => warn!(%error, "ignored"),
    }
}

/// Requests the connections of one host from gateways.
struct Lister {
    bus: Bus,
    host: Host,
    view: Arc<HostView>,
    port: Arc<PlainInbox>,
}

impl Lister {
    /// Requests a list whenever an event was missed.
    async fn keep(self) {
        loop {
            self.view.stale.notified().await;
            if self.bus.plain.is_connected() {
                self.list().await;
            }
            tokio::time::sleep(LIST_PAUSE).await;
        }
    }

    /// Requests one list and applies the pages.
    async fn list(&self) {
        let exchange = self.port.open();
        let to = subject(self.bus.subjects.connections(ConnectionSubject::List, &self.host));
        self.view.lock().begin_list();
        let own = Some(exchange.own.clone());
        let asked = self.bus.plain.publish_plain(to, own, HeaderMap::new(), Bytes::new()).await;
        if let Err(error) = asked {
            debug!(%error, "connections could not be listed");
        } else {
            self.take_pages(&exchange).await;
        }
        if !self.view.lock().end_list() {
            self.view.stale.notify_one();
        }
    }

    async fn take_pages(&self, exchange: &PlainExchange) {
        let mut patience = LIST_BEGIN;
        while let Ok(answer) = tokio::time::timeout(patience, exchange.next()).await {
            patience = LIST_QUIET;
            match answer.map(|message| Page::decode(&message.payload)) {
                Ok(Ok(page)) => self.view.lock().take_page(page, Instant::now()),
                Ok(Err(error)) => warn!(host = %self.host, %error, "a page of connections is ignored"),
                // No gateway exists.
                Err(PlainFailure::NoResponders) => return,
                Err(PlainFailure::Overflow | PlainFailure::Disturbed) => {
                    self.view.stale.notify_one();
                    // An immediate retry would overflow again.
                    return tokio::time::sleep(LIST_AGAIN).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn patterns_are_those_of_nats() {
        for (pattern, subject, expected) in [
            ("a.b", "a.b", true),
            ("a.*", "a.b", true),
            ("a.>", "a.b.c", true),
            (">", "a", true),
            ("a.>", "a", false),
            ("a.*", "a.b.c", false),
            ("a.b", "a", false),
            ("a", "a.b", false),
            ("*.b", "a.b", true),
        ] {
            assert_eq!(covers(pattern, subject), expected, "{pattern} {subject}");
        }
    }
}
