//! The WebSockets that a gateway holds: their entries, their groups, and the messages to them (`PROTOCOL.md §6`).

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use async_nats::{Message as NatsMessage, StatusCode};
use bytes::Bytes;
use futures_util::task::AtomicWaker;
use h8s_wire::push::{self, Audience, Group};
use h8s_wire::{
    Beat, Close, Closed, ConnectionEntry, ConnectionId, ConnectionSubject, Established, GatewayId, Host,
    Inbox, PathTokens, Subjects,
};
use tracing::debug;

use crate::connection::client::Connection;
use crate::exchange::control_queue::{self, ControlFrames};
use crate::exchange::endpoint::subject;
use crate::plain::headers;
use crate::presence::push::{ClientSink, Push};

/// The maximum number of groups per connection.
const MAX_GROUPS: usize = 100;

/// The table of open connections; see the module.
pub(crate) struct OpenConnections {
    pub(crate) subjects: Subjects,
    pub(crate) inbox: Inbox,
    pub(crate) gateway: GatewayId,
    table: Mutex<Table>,
    /// The connection events, in the order of their revisions.
    notices: ControlFrames,
}

#[derive(Default)]
struct Table {
    connections: HashMap<ConnectionId, Arc<OpenConnection>>,
    hosts: HashMap<Host, HostTable>,
    /// The highest revision of all hosts. A host that is removed and returns continues above its earlier revisions.
    revision: u64,
}

#[derive(Default)]
struct HostTable {
    revision: u64,
    connections: HashMap<ConnectionId, Arc<OpenConnection>>,
    groups: HashMap<Group, HashSet<ConnectionId>>,
}

/// One connection, as the rest of the gateway sees it.
pub(crate) struct OpenConnection {
    id: ConnectionId,
    host: Host,
    path: PathTokens,
    /// Its [`ConnectionEntry`] in JSON, which is smaller than the entry and is sent unchanged.
    entry: Box<[u8]>,
    sink: Arc<dyn ClientSink>,
    groups: Mutex<Vec<Group>>,
    /// Its messages have no subscriber.
    unserved: AtomicBool,
    waker: AtomicWaker,
}

impl OpenConnection {
    /// Waits until the server reports that its messages have no subscriber.
    pub(crate) fn poll_unserved(&self, cx: &Context<'_>) -> Poll<()> {
        self.waker.register(cx.waker());
        if self.unserved.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }

    fn groups(&self) -> MutexGuard<'_, Vec<Group>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_unserved(&self) {
        self.unserved.store(true, Ordering::Release);
        self.waker.wake();
    }
}

/// A connection's place in the table. Giving it up publishes `closed` once.
pub(crate) struct Permit {
    open: Arc<OpenConnections>,
    pub(crate) connection: Arc<OpenConnection>,
    close: Option<Close>,
}

impl Permit {
    /// Removes the connection, which has ended.
    pub(crate) fn give_up(mut self, close: Close) {
        self.close = Some(close);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let close = self.close.take().unwrap_or_else(|| Close::new(Close::ABNORMAL, ""));
        self.open.remove(&self.connection, close);
    }
}

impl OpenConnections {
    /// Creates the table, and the task that publishes its changes until the table is dropped.
    pub(crate) fn new(
        connection: Connection,
        subjects: Subjects,
        gateway: GatewayId,
        inbox: Inbox,
    ) -> Arc<Self> {
        let (notices, items) = ControlFrames::new();
        tokio::spawn(control_queue::publish_all(connection, notices.weak(), items));
        Arc::new(Self { subjects, inbox, gateway, table: Mutex::default(), notices })
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until all events so far have been passed to NATS.
    pub(crate) async fn flushed(&self) {
        self.notices.flushed().await;
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().connections.len()
    }

    /// Adds a connection and announces it.
    pub(crate) fn insert(self: &Arc<Self>, entry: ConnectionEntry, sink: Arc<dyn ClientSink>) -> Permit {
        let connection = Arc::new(OpenConnection {
            id: entry.connection,
            host: entry.host.clone(),
            path: PathTokens::of(&entry.path),
            entry: entry.encode().into(),
            sink,
            groups: Mutex::default(),
            unserved: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        });
        let mut table = self.lock();
        let floor = table.revision;
        let of_host = table
            .hosts
            .entry(entry.host.clone())
            .or_insert_with(|| HostTable { revision: floor, ..HostTable::default() });
        of_host.revision += 1;
        of_host.connections.insert(connection.id, connection.clone());
        let revision = of_host.revision;
        table.revision = floor.max(revision);
        table.connections.insert(connection.id, connection.clone());
        // Queued while the table is locked, so revisions are published in order.
        let (host, notice) = (entry.host.clone(), Established { revision, entry });
        self.say(ConnectionSubject::Established, &host, notice.encode());
        drop(table);
        Permit { open: self.clone(), connection, close: None }
    }

    fn remove(&self, connection: &OpenConnection, close: Close) {
        let mut table = self.lock();
        table.connections.remove(&connection.id);
        let Some(of_host) = table.hosts.get_mut(&connection.host) else { return };
        of_host.connections.remove(&connection.id);
        for group in connection.groups().drain(..) {
            of_host.leave(&group, connection.id);
        }
        of_host.revision += 1;
        let revision = of_host.revision;
        table.revision = table.revision.max(revision);
        let Close { code, reason } = close;
        let closed = Closed { revision, connection: connection.id, gateway: self.gateway, code, reason };
        self.say(ConnectionSubject::Closed, &connection.host, closed.encode());
    }

    /// Publishes the number of connections of each host. A host without connections is reported once more, then
    /// removed.
    pub(crate) fn beat(&self) {
        let mut table = self.lock();
        table.hosts.retain(|host, of_host| {
            let count = of_host.connections.len() as u64;
            let beat = Beat { gateway: self.gateway, revision: of_host.revision, count };
            self.say(ConnectionSubject::Beat, host, beat.encode());
            count > 0
        });
    }

    fn say(&self, about: ConnectionSubject, host: &Host, payload: Vec<u8>) {
        self.notices.push(subject(self.subjects.connections(about, host)), None, payload.into());
    }

    /// A host's connections, and the revision of this state.
    pub(crate) fn list(&self, host: &Host) -> (u64, Vec<Arc<OpenConnection>>) {
        let table = self.lock();
        match table.hosts.get(host) {
            Some(of_host) => (of_host.revision, of_host.connections.values().cloned().collect()),
            None => (table.revision, Vec::new()),
        }
    }

    /// Handles a message for one connection, from any publisher with permission.
    pub(crate) fn push(&self, id: ConnectionId, message: NatsMessage) {
        let Some(connection) = self.lock().connections.get(&id).cloned() else {
            return debug!(connection = %id, "push ignored: the connection is not open");
        };
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            return connection.note_unserved();
        }
        match push::decode_push(headers::iter(message.headers.as_ref()), message.payload) {
            Ok(push::Push::Message(message)) => connection.sink.deliver(&Push::new(message)),
            Ok(push::Push::Close(close)) => connection.sink.close(close),
            Ok(push::Push::Join(group)) => self.join(&connection, group),
            Ok(push::Push::Leave(group)) => self.leave(&connection, &group),
            Err(error) => debug!(connection = %id, %error, "push dropped"),
        }
    }

    fn join(&self, connection: &OpenConnection, group: Group) {
        let mut table = self.lock();
        // The connection may have closed meanwhile and left all groups.
        let Some(of_host) = table.hosts.get_mut(&connection.host) else { return };
        let mut groups = connection.groups();
        if !of_host.connections.contains_key(&connection.id) || groups.contains(&group) {
            return;
        }
        if groups.len() >= MAX_GROUPS {
            return debug!(connection = %connection.id, "not joined: it is in {MAX_GROUPS} groups already");
        }
        of_host.groups.entry(group.clone()).or_default().insert(connection.id);
        groups.push(group);
    }

    fn leave(&self, connection: &OpenConnection, group: &Group) {
        let mut table = self.lock();
        connection.groups().retain(|joined| joined != group);
        if let Some(of_host) = table.hosts.get_mut(&connection.host) {
            of_host.leave(group, connection.id);
        }
    }

    /// The connections that a broadcast reaches.
    fn audience(&self, host: &Host, audience: &Audience) -> Vec<Arc<OpenConnection>> {
        let table = self.lock();
        let Some(of_host) = table.hosts.get(host) else { return Vec::new() };
        match audience {
            Audience::All => of_host.connections.values().cloned().collect(),
            Audience::Path(pattern) => {
                let covered = of_host.connections.values().filter(|each| pattern.matches(&each.path));
                covered.cloned().collect()
            }
            Audience::Group(group) => {
                let members = of_host.groups.get(group).into_iter().flatten();
                members.filter_map(|id| of_host.connections.get(id).cloned()).collect()
            }
        }
    }

    /// Writes a broadcast to all its recipients, on all threads: each recipient costs about one write to a socket.
    /// Returns when all writes are done, so that broadcasts keep their order.
    pub(crate) async fn broadcast(&self, message: NatsMessage) {
        /// A smaller share is not worth another thread: it takes a few milliseconds.
        const LEAST_SHARE: usize = 500;
        let Some(host) = self.subjects.parse_broadcast(&message.subject) else { return };
        let decoded = push::decode_broadcast(headers::iter(message.headers.as_ref()), message.payload);
        let (audience, message) = match decoded {
            Ok(decoded) => decoded,
            Err(error) => return debug!(%host, %error, "broadcast dropped"),
        };
        let shared = Arc::new(Push::new(message));
        let mut audience = self.audience(&host, &audience);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let share = audience.len().div_ceil(threads).max(LEAST_SHARE);
        let mut others = Vec::new();
        while audience.len() > share {
            others.push(tokio::spawn(deliver(audience.split_off(audience.len() - share), shared.clone())));
        }
        deliver(audience, shared).await;
        for other in others {
            let _ = other.await;
        }
    }

    /// The subject that receives a client's pushes.
    pub(crate) fn push_inbox(&self, id: ConnectionId) -> async_nats::Subject {
        subject(self.inbox.push(id))
    }
}

/// Delivers to each connection, and yields to other tasks in between.
async fn deliver(connections: Vec<Arc<OpenConnection>>, shared: Arc<Push>) {
    /// A turn takes a few hundred microseconds.
    const DELIVERIES_A_TURN: usize = 100;
    for turn in connections.chunks(DELIVERIES_A_TURN) {
        turn.iter().for_each(|connection| connection.sink.deliver(&shared));
        tokio::task::yield_now().await;
    }
}

impl OpenConnection {
    /// Its entry in JSON.
    pub(crate) fn entry(&self) -> &[u8] {
        &self.entry
    }
}

impl HostTable {
    fn leave(&mut self, group: &Group, id: ConnectionId) {
        if let Some(members) = self.groups.get_mut(group) {
            members.remove(&id);
            if members.is_empty() {
                self.groups.remove(group);
            }
        }
    }
}

/// Splits a list into pages, each with at most `page_bytes` of entries.
pub(crate) fn pages(
    gateway: GatewayId,
    revision: u64,
    connections: &[Arc<OpenConnection>],
    page_bytes: usize,
) -> Vec<Bytes> {
    let mut pages: Vec<Vec<&[u8]>> = Vec::new();
    let mut page: Vec<&[u8]> = Vec::new();
    let mut bytes = 0;
    for entry in connections.iter().map(|connection| connection.entry()) {
        if bytes + entry.len() > page_bytes && !page.is_empty() {
            pages.push(std::mem::take(&mut page));
            bytes = 0;
        }
        bytes += entry.len() + 1;
        page.push(entry);
    }
    pages.push(page);
    let last = pages.len() - 1;
    let encode = |(at, entries): (usize, &Vec<&[u8]>)| {
        h8s_wire::Page::encode_entries(gateway, revision, at == last, entries).into()
    };
    pages.iter().enumerate().map(encode).collect()
}
