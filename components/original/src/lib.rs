//! Built against the wasmCloud provider's package, like its own test component.

wit_bindgen::generate!({ path: "../../wit/mattilsynet-h8s-provider", world: "component" });

use exports::mattilsynet::h8s_provider::{receiver, request_reply};
use mattilsynet::h8s_provider::sender;
use mattilsynet::h8s_provider::types::{KeyValue, Msg};

struct Original;

impl request_reply::Guest for Original {
    /// Describes the request and its headers.
    fn handle_message(msg: Msg) -> Result<Msg, String> {
        if msg.data == b"fail" {
            return Err("failing as asked".into());
        }
        let headers =
            vec![KeyValue { key: "x-provider-test-header".into(), value: vec!["You can do it!".into()] }];
        Ok(Msg { headers, data: described(&msg).into(), reply: msg.reply, subject: String::new() })
    }
}

impl receiver::Guest for Original {
    /// Sends to all connections, to those of a subject, to one, or back.
    fn handle_message(msg: Msg) -> Result<String, String> {
        let text = String::from_utf8_lossy(&msg.data).into_owned();
        match text.split_once(' ').unwrap_or((&text, "")) {
            ("everybody", _) => to_all(sender::get_connections()?),
            ("subject", subject) => to_all(sender::get_connections_by_subject(subject)?),
            ("to", conn) => {
                sender::send(conn, b"stuff").or_else(|error| sender::send(&msg.reply, error.as_bytes()))
            }
            _ => sender::send(&msg.reply, described(&msg).as_bytes()),
        }
    }
}

fn to_all(connections: Vec<Msg>) -> Result<String, String> {
    for connection in &connections {
        let stuff = format!("stuff for {}", described(connection));
        sender::send(&connection.reply, stuff.as_bytes())?;
    }
    Ok(format!("{} told", connections.len()))
}

/// A message in one line, with its headers sorted.
fn described(msg: &Msg) -> String {
    let mut headers: Vec<String> =
        msg.headers.iter().map(|header| format!("{}={}", header.key, header.value.join("|"))).collect();
    headers.sort();
    let data = String::from_utf8_lossy(&msg.data);
    format!("{data} on {} with {}", msg.subject, headers.join(" "))
}

export!(Original);
