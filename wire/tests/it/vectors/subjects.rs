//! `subjects.json`.

use h8s_wire::{
    ConnectionSubject, ExchangeId, Host, HostError, Inbox, Interest, MethodPattern, PathTokens, Subject,
    Subjects,
};
use serde_json::Value;

use super::{Vectors, flag, text, texts};

#[test]
fn subjects_match_the_vectors() {
    let vectors = Vectors::of("subjects.json");
    vectors.each("paths", |vector| {
        let tokens = PathTokens::of(text(vector, "path"));
        assert_eq!(
            (tokens.as_str(), tokens.is_truncated()),
            (text(vector, "tokens"), flag(vector, "left_off"))
        );
    });
    hosts(&vectors);
    requests(&vectors);
    vectors.each("interests", |vector| {
        let subjects = Subjects::new(text(vector, "prefix")).unwrap();
        let interest = Interest {
            host: text(vector, "host").parse().unwrap(),
            path: text(vector, "path").parse().unwrap(),
            method: text(vector, "method").parse().unwrap(),
        };
        assert_eq!(subjects.exchange(&interest).as_str(), text(vector, "exchange"));
        let plain = subjects.http_subscriptions(&interest);
        assert_eq!(plain.iter().map(Subject::as_str).collect::<Vec<_>>(), texts(vector, "plain"));
    });
    inboxes(&vectors);
    websockets(&vectors);
    vectors.each("control", |vector| {
        let (subjects, host) = (Subjects::default(), text(vector, "host").parse().unwrap());
        let registers = flag(vector, "registers");
        let built =
            if registers { subjects.interest_register(&host) } else { subjects.interest_unregister(&host) };
        assert_eq!(built.as_str(), text(vector, "subject"));
        assert_eq!(subjects.parse_interest(built.as_str()), Some((registers, host)));
    });
    vectors.each("prefixes_refused", |vector| assert!(Subjects::new(text(vector, "prefix")).is_err()));
    vectors.all_read();
}

fn hosts(vectors: &Vectors) {
    vectors.each("hosts", |vector| {
        let host: Host = text(vector, "authority").parse().unwrap();
        assert_eq!((host.name(), host.reversed()), (text(vector, "name"), text(vector, "reversed")));
        assert_eq!(Host::from_reversed(host.reversed()), Some(host));
    });
    vectors.each("no_hosts", |vector| {
        let error = text(vector, "authority").parse::<Host>().map_err(|error| match error {
            HostError::Empty => "empty",
            HostError::TooLong => "too-long",
            HostError::EmptyLabel => "empty-label",
            HostError::Reserved => "reserved",
            HostError::Character => "character",
            HostError::Port => "port",
        });
        assert_eq!(error, Err(text(vector, "error")));
    });
}

fn requests(vectors: &Vectors) {
    vectors.each("http", |vector| {
        let subjects = Subjects::new(text(vector, "prefix")).unwrap();
        let method: MethodPattern = text(vector, "method").parse().unwrap();
        let (host, path) = (text(vector, "host").parse().unwrap(), PathTokens::of(text(vector, "path")));
        let subject = subjects.http(&method, &host, &path);
        assert_eq!(subject.as_str(), text(vector, "subject"));
        let read = subjects.parse_http(subject.as_str()).unwrap();
        assert_eq!((read.method.as_str(), read.host), (method.as_str(), host));
        assert_eq!(PathTokens::of(&read.path), path);
    });
    vectors.each("read", |vector| {
        let read = Subjects::default().parse_http(text(vector, "subject")).unwrap();
        assert_eq!((read.method.as_str(), read.host.name()), (text(vector, "method"), text(vector, "host")));
        assert_eq!(read.path, text(vector, "path"));
    });
    vectors.each("not_read", |vector| {
        assert_eq!(Subjects::default().parse_http(text(vector, "subject")), None);
    });
}

fn inboxes(vectors: &Vectors) {
    vectors.each("inboxes", |vector| {
        let (subjects, subject) = (Subjects::default(), text(vector, "subject"));
        let exchange: ExchangeId = text(vector, "exchange").parse().unwrap();
        let (inbox, replies) = if vector.get("gateway").is_some() {
            let inbox = subjects.gateway_inbox(text(vector, "gateway").parse().unwrap());
            pushes(vector, &inbox);
            (inbox, subjects.gateway_replies())
        } else {
            let host = text(vector, "host").parse().unwrap();
            let inbox = subjects.responder_inbox(&host, text(vector, "responder").parse().unwrap());
            assert_eq!(subjects.close_notice(&host, exchange).as_str(), text(vector, "closed"));
            (inbox, subjects.responder_replies(&host))
        };
        assert_eq!(inbox.exchange(exchange).as_str(), subject);
        assert_eq!(
            (inbox.sync().as_str(), inbox.all().as_str()),
            (text(vector, "sync"), text(vector, "all"))
        );
        assert!(replies.cover(subject));
        assert_eq!(Inbox::of_exchange(subject), Some(inbox));
    });
    vectors.each("no_replies", |vector| {
        let subject = text(vector, "subject");
        let host = "a.example".parse().unwrap();
        assert!(!Subjects::default().responder_replies(&host).cover(subject));
        assert!(!Subjects::default().gateway_replies().cover(subject));
    });
}

fn pushes(vector: &Value, inbox: &Inbox) {
    let connection = text(vector, "connection").parse().unwrap();
    let push = inbox.push(connection);
    assert_eq!(push.as_str(), text(vector, "push"));
    assert_eq!(Inbox::connection_of(push.as_str()), Some(connection));
}

fn websockets(vectors: &Vectors) {
    vectors.each("websocket", |vector| {
        let subjects = Subjects::new(text(vector, "prefix")).unwrap();
        let (host, path) = (text(vector, "host").parse().unwrap(), PathTokens::of(text(vector, "path")));
        assert_eq!(subjects.websocket(&host, &path).as_str(), text(vector, "subject"));
    });
    vectors.each("connections", |vector| {
        let (subjects, host) = (Subjects::default(), text(vector, "host").parse().unwrap());
        let about = about(text(vector, "about"));
        let subject = subjects.connections(about, &host);
        assert_eq!(subject.as_str(), text(vector, "subject"));
        assert_eq!(subjects.parse_connections(subject.as_str()), Some((about, host)));
    });
    vectors.each("broadcasts", |vector| {
        let (subjects, host) = (Subjects::default(), text(vector, "host").parse().unwrap());
        assert_eq!(subjects.broadcast(&host).as_str(), text(vector, "subject"));
        assert_eq!(subjects.parse_broadcast(text(vector, "subject")), Some(host));
    });
    vectors.each("not_about_connections", |vector| {
        assert_eq!(Subjects::default().parse_connections(text(vector, "subject")), None);
        assert_eq!(Subjects::default().parse_broadcast(text(vector, "subject")), None);
    });
}

fn about(name: &str) -> ConnectionSubject {
    match name {
        "established" => ConnectionSubject::Established,
        "closed" => ConnectionSubject::Closed,
        "beat" => ConnectionSubject::Beat,
        "list" => ConnectionSubject::List,
        other => panic!("{other}"),
    }
}
