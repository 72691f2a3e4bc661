//! Messages about connections, encoded and decoded.

use h8s_wire::{Beat, Closed, ConnectionEntry, ConnectionId, Established, GatewayId, Page};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn gateway() -> impl Strategy<Value = GatewayId> {
    any::<[u8; 16]>().prop_map(GatewayId::from_bytes)
}

/// Texts with all characters that JSON escapes.
fn text() -> impl Strategy<Value = String> {
    "(?s).{0,12}"
}

prop_compose! {
    fn entry()(
        id in any::<[u8; 16]>(),
        gateway in gateway(),
        host in prop_oneof!["[a-z0-9]{1,8}(\\.[a-z]{1,8}){0,3}", any::<std::net::Ipv6Addr>().prop_map(|a| format!("[{a}]"))],
        path in text(),
        query in option::of(text()),
        protocol in option::of("[!-~]{1,8}"),
        client in option::of(any::<std::net::IpAddr>()),
        is_secure in any::<bool>(),
        (subject, push) in (text(), text()),
        headers in vec((text(), text()), 0..4),
    ) -> ConnectionEntry {
        let (connection, host) = (ConnectionId::from_bytes(id), host.parse().unwrap());
        ConnectionEntry { connection, gateway, host, path, query, protocol, client, is_secure, subject, push, headers }
    }
}

proptest! {
    #[test]
    fn established_round_trips(revision in any::<u64>(), entry in entry()) {
        let established = Established { revision, entry };
        prop_assert_eq!(Established::decode(&established.encode()).unwrap(), established);
    }

    #[test]
    fn pages_round_trip(
        gateway in gateway(),
        revision in any::<u64>(),
        last in any::<bool>(),
        connections in vec(entry(), 0..4),
    ) {
        let page = Page { gateway, revision, last, connections };
        let entries: Vec<Vec<u8>> = page.connections.iter().map(ConnectionEntry::encode).collect();
        let entries: Vec<&[u8]> = entries.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(Page::encode_entries(gateway, revision, last, &entries), page.encode());
        prop_assert_eq!(Page::decode(&page.encode()).unwrap(), page);
    }

    #[test]
    fn closed_and_beats_round_trip(
        gateway in gateway(),
        id in any::<[u8; 16]>(),
        (revision, count) in any::<(u64, u64)>(),
        code in any::<u16>(),
        reason in text(),
    ) {
        let closed = Closed { revision, connection: ConnectionId::from_bytes(id), gateway, code, reason };
        prop_assert_eq!(Closed::decode(&closed.encode()).unwrap(), closed);
        let beat = Beat { gateway, revision, count };
        prop_assert_eq!(Beat::decode(&beat.encode()).unwrap(), beat);
    }
}
