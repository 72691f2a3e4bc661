use std::collections::BTreeSet;

use super::*;
use crate::id::{ConnectionId, ExchangeId, GatewayId, ResponderId};
use crate::routing::{Interest, MethodPattern, PathTokens};
use crate::subject::ConnectionSubject;

const PROTOCOL: &str = include_str!("../../PROTOCOL.md");

fn host(name: &str) -> Host {
    name.parse().unwrap()
}

fn permissions(role: Role, hosts: &[&str]) -> Permissions {
    let hosts: Vec<_> = hosts.iter().map(|name| host(name)).collect();
    Permissions::of(role, &hosts, None, &Subjects::default())
}

fn texts(rights: &[Right]) -> BTreeSet<String> {
    rights.iter().map(Right::to_string).collect()
}

/// Whether a pattern covers a subject, as NATS has it.
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

fn may(rights: &[Right], subject: &Subject) -> bool {
    rights.iter().any(|right| covers(right.subject.as_str(), subject.as_str()))
}

/// The subjects of a row of the protocol's table.
fn row(role: &str) -> [BTreeSet<String>; 2] {
    let row = PROTOCOL.lines().find(|line| line.starts_with(&format!("| {role} | `")));
    let row = row.unwrap_or_else(|| panic!("no permissions of {role}"));
    let cells: Vec<&str> = row.split(" | ").collect();
    [cells[1], cells[2]].map(|cell| {
        let subjects = cell.split('`').skip(1).step_by(2);
        subjects.map(|text| text.replace("<p>", "h8s").replace("<rhost>", "com.example.app")).collect()
    })
}

#[test]
fn the_protocol_s_table_is_this() {
    for (name, role, hosts) in [
        ("gateway", Role::Gateway, &[][..]),
        ("gateway for one host", Role::Gateway, &["app.example.com"]),
        ("host", Role::Host, &["app.example.com"]),
        ("daemon", Role::Daemon, &["app.example.com"]),
        ("plain", Role::Plain, &["app.example.com"]),
        ("operator", Role::Operator, &[]),
        ("operator for one host", Role::Operator, &["app.example.com"]),
    ] {
        let Permissions { publish, subscribe, .. } = permissions(role, hosts);
        assert_eq!(row(name), [texts(&publish), texts(&subscribe)], "{name}");
    }
}

/// What a responder of a host publishes and subscribes to.
fn subjects_of_a_responder(host: &Host) -> [Vec<Subject>; 2] {
    let subjects = Subjects::default();
    let own = subjects.responder_inbox(host, ResponderId::from_bytes([1; 16]));
    let gateway = subjects.gateway_inbox(GatewayId::from_bytes([2; 16]));
    let exchange = ExchangeId::from_bytes([3; 16]);
    let publishes = vec![
        gateway.exchange(exchange),
        gateway.sync(),
        own.exchange(exchange),
        subjects.interest_register(host),
        subjects.interest_unregister(host),
    ];
    let mut subscribes = vec![own.all(), subjects.close_notices(host), subjects.interest_list()];
    for (method, path) in [("ANY", "/*"), ("WS", "/"), ("GET", "/a/b/*"), ("POST", "/x")] {
        let interest =
            Interest { host: host.clone(), path: path.parse().unwrap(), method: method.parse().unwrap() };
        subscribes.push(subjects.exchange(&interest));
        subscribes.extend(subjects.http_subscriptions(&interest));
    }
    [publishes, subscribes]
}

#[test]
fn responders_may_what_they_do_for_their_hosts_and_nothing_of_others() {
    let ours = ["app.example.com", "[2001:db8::7]"];
    let foreign = ["example.com", "a.app.example.com", "app.example.com.evil", "[2001:db8::8]", "com"];
    for role in [Role::Host, Role::Daemon] {
        let Permissions { publish, subscribe, .. } = permissions(role, &ours);
        for [publishes, subscribes] in ours.map(|name| subjects_of_a_responder(&host(name))) {
            assert!(publishes.iter().all(|subject| may(&publish, subject)), "{role}: {publishes:?}");
            assert!(subscribes.iter().all(|subject| may(&subscribe, subject)), "{role}: {subscribes:?}");
        }
        for [publishes, subscribes] in foreign.map(|name| subjects_of_a_responder(&host(name))) {
            let common = |subject: &&Subject| !subject.as_str().contains("inbox.gw");
            assert!(!publishes.iter().filter(common).any(|subject| may(&publish, subject)), "{publishes:?}");
            let common = |subject: &&Subject| !subject.as_str().ends_with("interest.list");
            assert!(
                !subscribes.iter().filter(common).any(|subject| may(&subscribe, subject)),
                "{subscribes:?}"
            );
        }
    }
}

#[test]
fn a_host_may_push_list_and_broadcast_and_a_daemon_may_not() {
    let (subjects, ours) = (Subjects::default(), host("app.example.com"));
    let gateway = subjects.gateway_inbox(GatewayId::from_bytes([2; 16]));
    for (role, expected) in [(Role::Host, true), (Role::Daemon, false)] {
        let Permissions { publish, subscribe, .. } = permissions(role, &["app.example.com"]);
        for subject in [
            gateway.push(ConnectionId::from_bytes([4; 16])),
            subjects.broadcast(&ours),
            subjects.connections(ConnectionSubject::List, &ours),
        ] {
            assert_eq!(may(&publish, &subject), expected, "{role}: {subject}");
        }
        assert_eq!(may(&subscribe, &subjects.connections_all(&ours)), expected, "{role}");
    }
}

#[test]
fn a_gateway_of_one_host_sends_nothing_to_another() {
    let subjects = Subjects::default();
    let one = permissions(Role::Gateway, &["app.example.com"]).publish;
    let all = permissions(Role::Gateway, &[]).publish;
    for (name, expected) in [("app.example.com", true), ("example.com", false), ("a.app.example.com", false)]
    {
        let (host, path) = (host(name), PathTokens::of("/a/b"));
        let interest =
            Interest { host: host.clone(), path: "/a/*".parse().unwrap(), method: MethodPattern::Any };
        for subject in [
            subjects.http(&MethodPattern::Any, &host, &path),
            subjects.http(&MethodPattern::Any, &host, &PathTokens::of("/")),
            subjects.exchange(&interest),
            subjects.websocket(&host, &path),
            subjects.responder_inbox(&host, ResponderId::from_bytes([1; 16])).sync(),
            subjects.close_notice(&host, ExchangeId::from_bytes([3; 16])),
            subjects.connections(ConnectionSubject::Established, &host),
        ] {
            assert_eq!(may(&one, &subject), expected, "{subject}");
            assert!(may(&all, &subject), "{subject}");
        }
    }
}

#[test]
fn a_queue_group_is_named_where_requests_are_taken() {
    let subjects = Subjects::new("edge.h8s").unwrap();
    let group = "shop".parse().unwrap();
    let in_group = Permissions::of(Role::Daemon, &[host("a.b")], Some(&group), &subjects).subscribe;
    assert_eq!(
        in_group.iter().map(Right::to_string).collect::<Vec<_>>(),
        [
            "edge.h8s.x.*.b.a._ shop",
            "edge.h8s.x.*.b.a._.> shop",
            "edge.h8s.http.*.b.a._ shop",
            "edge.h8s.http.*.b.a._.> shop",
            "edge.h8s.inbox.r.b.a._.>",
            "edge.h8s.control.interest.list",
        ]
    );
    let gateway = Permissions::of(Role::Gateway, &[], Some(&group), &subjects);
    assert!(gateway.subscribe.iter().all(|right| right.group.is_none()));
}
