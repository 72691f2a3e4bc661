//! `connections.json`.

use h8s_wire::{Beat, Closed, ConnectionEntry, ConnectionError, Established, Page};
use serde_json::{Value, json};

use super::{Vectors, text};

#[test]
fn messages_about_connections_match_the_vectors() {
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

/// Decodes a message; returns its fields, and its encoding, as JSON.
fn through(kind: &str, json: &str) -> Result<(Value, Value), ConnectionError> {
    let json = json.as_bytes();
    let (told, written) = match kind {
        "established" => Established::decode(json).map(|read| (established_json(&read), read.encode()))?,
        "closed" => Closed::decode(json).map(|read| (closed_json(&read), read.encode()))?,
        "beats" => Beat::decode(json).map(|read| (beat_json(&read), read.encode()))?,
        "pages" => Page::decode(json).map(|read| (page_json(&read), read.encode()))?,
        other => panic!("{other}"),
    };
    Ok((told, serde_json::from_slice(&written).unwrap()))
}

fn established_json(established: &Established) -> Value {
    let mut told = entry_json(&established.entry);
    told["revision"] = json!(established.revision);
    told
}

fn entry_json(entry: &ConnectionEntry) -> Value {
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

fn closed_json(closed: &Closed) -> Value {
    json!({
        "revision": closed.revision, "connection": closed.connection.to_string(),
        "gateway": closed.gateway.to_string(), "code": closed.code, "reason": closed.reason,
    })
}

fn beat_json(beat: &Beat) -> Value {
    json!({"gateway": beat.gateway.to_string(), "revision": beat.revision, "count": beat.count})
}

fn page_json(page: &Page) -> Value {
    let connections: Vec<Value> = page.connections.iter().map(entry_json).collect();
    json!({
        "gateway": page.gateway.to_string(), "revision": page.revision, "last": page.last,
        "connections": connections,
    })
}
