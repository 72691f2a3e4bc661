//! `connections.json`.

use h8s_wire::{Beat, Closed, ConnectionEntry, ConnectionError, Established, Page};
use serde_json::{Value, json};

use super::{Vectors, text};

#[test]
fn messages_about_connections_are_as_the_vectors_say() {
    let vectors = Vectors::of("connections.json");
    for kind in ["established", "closed", "beats", "pages"] {
        vectors.each(kind, |vector| {
            let json = vector["json"].to_string();
            let (told, written) = through(kind, &json).unwrap();
            assert_eq!((&told, &written), (&vector["json"], &vector["json"]));
        });
    }
    vectors.each("read", |vector| {
        let (told, written) = through(text(vector, "as"), &vector["json"].to_string()).unwrap();
        assert_eq!(told, vector["means"]);
        assert_eq!(through(text(vector, "as"), &written.to_string()).unwrap().0, told);
    });
    vectors.each("refused", |vector| {
        let json = text(vector, "json");
        assert!(through(text(vector, "as"), json).is_err(), "{json}");
    });
    vectors.all_read();
}

/// Reads a message; what it says, field by field, and what is written for it.
fn through(kind: &str, json: &str) -> Result<(Value, Value), ConnectionError> {
    let json = json.as_bytes();
    let (told, written) = match kind {
        "established" => Established::decode(json).map(|read| (told_established(&read), read.encode()))?,
        "closed" => Closed::decode(json).map(|read| (told_closed(&read), read.encode()))?,
        "beats" => Beat::decode(json).map(|read| (told_beat(&read), read.encode()))?,
        "pages" => Page::decode(json).map(|read| (told_page(&read), read.encode()))?,
        other => panic!("{other}"),
    };
    Ok((told, serde_json::from_slice(&written).unwrap()))
}

fn told_established(established: &Established) -> Value {
    let mut told = told_entry(&established.entry);
    told["revision"] = json!(established.revision);
    told
}

fn told_entry(entry: &ConnectionEntry) -> Value {
    let mut told = json!({
        "connection": entry.connection.to_string(), "gateway": entry.gateway.to_string(),
        "host": entry.host.to_string(), "path": entry.path, "is_secure": entry.is_secure,
        "subject": entry.subject, "push": entry.push, "headers": entry.headers,
    });
    for (key, value) in [("query", &entry.query), ("protocol", &entry.protocol)] {
        if let Some(value) = value {
            told[key] = json!(value);
        }
    }
    if let Some(client) = entry.client {
        told["client"] = json!(client.to_string());
    }
    told
}

fn told_closed(closed: &Closed) -> Value {
    json!({
        "revision": closed.revision, "connection": closed.connection.to_string(),
        "gateway": closed.gateway.to_string(), "code": closed.code, "reason": closed.reason,
    })
}

fn told_beat(beat: &Beat) -> Value {
    json!({"gateway": beat.gateway.to_string(), "revision": beat.revision, "count": beat.count})
}

fn told_page(page: &Page) -> Value {
    let connections: Vec<Value> = page.connections.iter().map(told_entry).collect();
    json!({
        "gateway": page.gateway.to_string(), "revision": page.revision, "last": page.last,
        "connections": connections,
    })
}
