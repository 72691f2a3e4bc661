//! The known connections of one host: snapshots, and events that change them (`PROTOCOL.md §6`).

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use h8s_wire::{
    Beat, Closed, ConnectionEntry, ConnectionError, ConnectionId, ConnectionSubject, Established, GatewayId,
    Host, Page,
};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::exchange::endpoint::BEAT;

/// A gateway that has been silent for this long, three missed beats, is removed together with its connections.
const LEASE: Duration = BEAT.saturating_mul(3);
/// The maximum number of connections per host, at a kilobyte or two each.
const MAX_CONNECTIONS: usize = 1_000_000;
/// The number of closed connections that are remembered, so that senders learn that a connection has closed.
const MAX_CLOSED: usize = 10_000;

/// The relation of an event to the known state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Expected,
    /// An event was missed.
    Gap,
}

/// A view of one host's connections; see the module.
pub(crate) struct ConnectionView {
    host: Host,
    connections: HashMap<ConnectionId, Known>,
    gateways: HashMap<GatewayId, Gateway>,
    closed: Forgetful,
    /// Closes during running lists: entries of a list may be older than these closes.
    tombstones: Option<HashSet<ConnectionId>>,
    is_full: bool,
}

/// An open connection, and the revision at which it was known to be open.
struct Known {
    entry: Arc<ConnectionEntry>,
    revision: u64,
}

struct Gateway {
    /// The revision of the last applied event.
    revision: u64,
    count: u64,
    heard: Instant,
    listing: Option<Listing>,
}

/// A list of one gateway, page by page.
struct Listing {
    listed: HashSet<ConnectionId>,
}

impl ConnectionView {
    pub(crate) fn new(host: Host) -> Self {
        Self {
            host,
            connections: HashMap::new(),
            gateways: HashMap::new(),
            closed: Forgetful::default(),
            tombstones: None,
            is_full: false,
        }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<ConnectionEntry>> {
        self.connections.values().map(|known| &known.entry)
    }

    pub(crate) fn get(&self, id: ConnectionId) -> Option<&Arc<ConnectionEntry>> {
        self.connections.get(&id).map(|known| &known.entry)
    }

    pub(crate) fn was_closed(&self, id: ConnectionId) -> bool {
        self.closed.set.contains(&id)
    }

    /// Applies a gateway's message.
    pub(crate) fn take(
        &mut self,
        about: ConnectionSubject,
        payload: &[u8],
        now: Instant,
    ) -> Result<Heard, ConnectionError> {
        match about {
            ConnectionSubject::Established => Ok(self.established(Established::decode(payload)?, now)),
            ConnectionSubject::Closed => Ok(self.closed(Closed::decode(payload)?, now)),
            ConnectionSubject::Beat => Ok(self.beat(Beat::decode(payload)?, now)),
            ConnectionSubject::List => Ok(Heard::Expected),
        }
    }

    fn established(&mut self, event: Established, now: Instant) -> Heard {
        let Established { revision, entry } = event;
        // Permissions are by subject, and this subject is limited to one host.
        if entry.host != self.host {
            warn!(host = %self.host, other = %entry.host, "connection event ignored: it names another host");
            return Heard::Expected;
        }
        let heard = self.next(entry.gateway, revision, now);
        self.insert(entry, revision);
        heard
    }

    fn closed(&mut self, event: Closed, now: Instant) -> Heard {
        let heard = self.next(event.gateway, event.revision, now);
        // A gateway may close only its own connections.
        if self.get(event.connection).is_none_or(|entry| entry.gateway == event.gateway) {
            self.remove(event.connection);
        }
        heard
    }

    /// Checks that a revision follows the last one. Revisions already covered by a list are ignored.
    fn next(&mut self, gateway: GatewayId, revision: u64, now: Instant) -> Heard {
        let gateway = self.gateway(gateway, now);
        let is_expected = revision <= gateway.revision + 1;
        gateway.revision = gateway.revision.max(revision);
        if is_expected { Heard::Expected } else { Heard::Gap }
    }

    fn gateway(&mut self, id: GatewayId, now: Instant) -> &mut Gateway {
        let new = || Gateway { revision: 0, count: 0, heard: now, listing: None };
        let gateway = self.gateways.entry(id).or_insert_with(new);
        gateway.heard = now;
        gateway
    }

    fn beat(&mut self, beat: Beat, now: Instant) -> Heard {
        let gateway = self.gateway(beat.gateway, now);
        let is_same = gateway.revision == beat.revision && gateway.count == beat.count;
        if is_same && beat.count == 0 {
            // This is the gateway's last beat for this host.
            self.gateways.remove(&beat.gateway);
        }
        if is_same { Heard::Expected } else { Heard::Gap }
    }

    fn insert(&mut self, entry: ConnectionEntry, revision: u64) {
        if self.tombstones.as_ref().is_some_and(|gone| gone.contains(&entry.connection)) {
            return;
        }
        if self.connections.len() >= MAX_CONNECTIONS {
            if !std::mem::replace(&mut self.is_full, true) {
                warn!(host = %self.host, "more than {MAX_CONNECTIONS} connections: the list is incomplete");
            }
            return;
        }
        let (id, gateway) = (entry.connection, entry.gateway);
        if let Some(known) = self.connections.get_mut(&id) {
            known.revision = known.revision.max(revision);
            return;
        }
        if self.connections.insert(id, Known { entry: Arc::new(entry), revision }).is_none()
            && let Some(gateway) = self.gateways.get_mut(&gateway)
        {
            gateway.count += 1;
        }
    }

    fn remove(&mut self, id: ConnectionId) {
        if let Some(tombstones) = &mut self.tombstones {
            tombstones.insert(id);
        }
        self.closed.insert(id);
        if let Some(Known { entry, .. }) = self.connections.remove(&id)
            && let Some(gateway) = self.gateways.get_mut(&entry.gateway)
        {
            gateway.count = gateway.count.saturating_sub(1);
        }
    }

    /// From here to [`end_list`](Self::end_list), closes are remembered.
    pub(crate) fn begin_list(&mut self) {
        self.tombstones = Some(HashSet::new());
        self.gateways.values_mut().for_each(|gateway| gateway.listing = None);
    }

    /// Takes in one page of a gateway's list.
    pub(crate) fn take_page(&mut self, page: Page, now: Instant) {
        let Page { gateway: id, revision, last, connections } = page;
        let mut listing = self.gateway(id, now).listing.take();
        let listed = listing.get_or_insert_with(|| Listing { listed: HashSet::new() });
        for entry in connections {
            if entry.host == self.host && entry.gateway == id {
                listed.listed.insert(entry.connection);
                self.insert(entry, revision);
            }
        }
        if !last {
            self.gateway(id, now).listing = listing;
            return;
        }
        let listed = listing.map(|listing| listing.listed).unwrap_or_default();
        // Connections established after the list was made are missing from it but still open.
        self.forget_unlisted(id, &listed, revision);
        let gateway = self.gateway(id, now);
        gateway.revision = gateway.revision.max(revision);
    }

    fn forget_unlisted(&mut self, gateway: GatewayId, listed: &HashSet<ConnectionId>, revision: u64) {
        let is_gone = |(id, known): &(&ConnectionId, &Known)| {
            known.entry.gateway == gateway && known.revision <= revision && !listed.contains(id)
        };
        let gone: Vec<_> = self.connections.iter().filter(is_gone).map(|(id, _)| *id).collect();
        gone.into_iter().for_each(|id| self.remove(id));
    }

    /// Ends the list. Returns whether every gateway's list that began has ended.
    pub(crate) fn end_list(&mut self) -> bool {
        self.tombstones = None;
        self.gateways.values().all(|gateway| gateway.listing.is_none())
    }

    /// Removes gateways that have fallen silent; while NATS is disconnected, no beat can arrive.
    pub(crate) fn sweep(&mut self, now: Instant, is_connected: bool) {
        if !is_connected {
            return self.gateways.values_mut().for_each(|gateway| gateway.heard = now);
        }
        let silent = self.gateways.iter().filter(|(_, gateway)| now.duration_since(gateway.heard) > LEASE);
        let silent: Vec<_> = silent.map(|(id, _)| *id).collect();
        for id in silent {
            let count = self.gateways.remove(&id).map_or(0, |gateway| gateway.count);
            info!(host = %self.host, gateway = %id, connections = count, "gateway lost");
            self.forget_unlisted(id, &HashSet::new(), u64::MAX);
        }
    }
}

/// A set of the most recent entries.
#[derive(Default)]
struct Forgetful {
    set: HashSet<ConnectionId>,
    order: VecDeque<ConnectionId>,
}

impl Forgetful {
    fn insert(&mut self, id: ConnectionId) {
        if self.set.insert(id) {
            self.order.push_back(id);
            if self.order.len() > MAX_CLOSED
                && let Some(oldest) = self.order.pop_front()
            {
                self.set.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATEWAY: GatewayId = GatewayId::from_bytes([9; 16]);

    fn host() -> Host {
        "chat.example".parse().unwrap()
    }

    fn entry(n: u8) -> ConnectionEntry {
        ConnectionEntry {
            connection: id(n),
            gateway: GATEWAY,
            host: host(),
            path: "/".into(),
            query: None,
            protocol: None,
            client: None,
            is_secure: false,
            subject: "h8s.ws.ws.example.chat._".into(),
            push: String::new(),
            headers: Vec::new(),
        }
    }

    fn id(n: u8) -> ConnectionId {
        ConnectionId::from_bytes([n; 16])
    }

    fn established(revision: u64, n: u8) -> Vec<u8> {
        Established { revision, entry: entry(n) }.encode()
    }

    fn closed(revision: u64, n: u8) -> Vec<u8> {
        Closed { revision, connection: id(n), gateway: GATEWAY, code: 1000, reason: String::new() }.encode()
    }

    fn page(revision: u64, last: bool, connections: &[u8]) -> Page {
        Page {
            gateway: GATEWAY,
            revision,
            last,
            connections: connections.iter().copied().map(entry).collect(),
        }
    }

    struct Seen {
        view: ConnectionView,
        now: Instant,
    }

    impl Seen {
        fn new() -> Self {
            Self { view: ConnectionView::new(host()), now: Instant::now() }
        }

        fn take(&mut self, about: ConnectionSubject, payload: &[u8]) -> Heard {
            self.view.take(about, payload, self.now).unwrap()
        }

        fn established(&mut self, revision: u64, n: u8) -> Heard {
            self.take(ConnectionSubject::Established, &established(revision, n))
        }

        fn closed(&mut self, revision: u64, n: u8) -> Heard {
            self.take(ConnectionSubject::Closed, &closed(revision, n))
        }

        fn beat(&mut self, revision: u64, count: u64) -> Heard {
            let beat = Beat { gateway: GATEWAY, revision, count };
            self.take(ConnectionSubject::Beat, &beat.encode())
        }

        fn open(&self) -> Vec<u8> {
            let mut open: Vec<_> = self.view.all().map(|entry| entry.connection.as_bytes()[0]).collect();
            open.sort_unstable();
            open
        }
    }

    #[test]
    fn events_one_by_one_are_expected_and_a_hole_is_a_gap() {
        let mut seen = Seen::new();
        assert_eq!(seen.established(1, 1), Heard::Expected);
        assert_eq!(seen.established(2, 2), Heard::Expected);
        assert_eq!(seen.closed(3, 1), Heard::Expected);
        assert_eq!((seen.open(), seen.view.was_closed(id(1))), (vec![2], true));
        assert_eq!(seen.beat(3, 1), Heard::Expected);
        assert_eq!(seen.beat(4, 1), Heard::Gap);
        assert_eq!(seen.beat(3, 2), Heard::Gap);
        assert_eq!(seen.established(5, 3), Heard::Gap);
        assert_eq!(seen.open(), [2, 3], "taken in all the same");
    }

    #[test]
    fn a_close_that_comes_during_a_list_wins_over_its_pages() {
        let mut seen = Seen::new();
        seen.view.begin_list();
        seen.view.take_page(page(2, false, &[1]), seen.now);
        seen.closed(3, 1);
        seen.closed(4, 2);
        seen.view.take_page(page(2, true, &[2, 3]), seen.now);
        assert!(seen.view.end_list());
        assert_eq!(seen.open(), [3]);
    }

    #[test]
    fn what_is_on_no_page_is_gone_unless_it_came_later() {
        let mut seen = Seen::new();
        seen.established(1, 1);
        seen.established(2, 2);
        seen.view.begin_list();
        seen.established(4, 4);
        seen.view.take_page(page(3, true, &[2]), seen.now);
        assert_eq!(seen.open(), [2, 4]);
        assert_eq!(seen.established(3, 2), Heard::Expected, "the list has told it");
        assert_eq!(seen.beat(4, 2), Heard::Expected);
    }

    #[test]
    fn a_list_without_its_last_page_is_not_over() {
        let mut seen = Seen::new();
        seen.view.begin_list();
        seen.view.take_page(page(1, false, &[1]), seen.now);
        assert!(!seen.view.end_list());
    }

    #[test]
    fn a_silent_gateway_takes_its_connections_with_it() {
        let mut seen = Seen::new();
        seen.established(1, 1);
        seen.view.sweep(seen.now + LEASE, true);
        assert_eq!(seen.open(), [1]);
        seen.view.sweep(seen.now + 10 * LEASE, false);
        assert_eq!(seen.open(), [1], "nobody can be heard while NATS is away");
        seen.view.sweep(seen.now + 12 * LEASE, true);
        assert!(seen.open().is_empty());
    }

    #[test]
    fn nobody_speaks_for_another_host_or_another_gateway() {
        let mut seen = Seen::new();
        let foreign = ConnectionEntry { host: "other.example".parse().unwrap(), ..entry(1) };
        let event = Established { revision: 1, entry: foreign }.encode();
        seen.take(ConnectionSubject::Established, &event);
        assert!(seen.open().is_empty());
        seen.established(1, 2);
        let other = GatewayId::from_bytes([8; 16]);
        let event =
            Closed { revision: 1, connection: id(2), gateway: other, code: 1000, reason: String::new() };
        seen.take(ConnectionSubject::Closed, &event.encode());
        assert_eq!(seen.open(), [2]);
        assert!(seen.view.take(ConnectionSubject::Closed, b"{}", seen.now).is_err());
    }
}
