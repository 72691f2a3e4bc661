//! A chat room at every path: a page, and the WebSocket that the page opens.
//!
//! The component keeps no state: a participant's name is derived from the id of the connection, and the host knows the
//! open connections.

mod name;

use serde_json::{Value, json};
use wstd::http::{Body, Error, Request, Response};

use exports::h8s::provider::{lifecycle, receiver};
use h8s::provider::sender;
use h8s::provider::types::{Connection, ConnectionId, Frame, Origin};
use name::Name;

wit_bindgen::generate!({ path: "../../wit/provider", world: "websocket" });

/// Longer messages are refused.
const TEXT_BYTES: usize = 4000;

#[wstd::http_server]
async fn main(_request: Request<Body>) -> Result<Response<Body>, Error> {
    let page = include_str!("chat.html");
    Ok(Response::builder().header("content-type", "text/html; charset=utf-8").body(page.into())?)
}

struct Chat;

impl receiver::Guest for Chat {
    fn handle_message(from: Origin, message: Frame) -> Result<(), String> {
        let Frame::Text(text) = message else { return Err("not a text message".into()) };
        if text.len() > TEXT_BYTES {
            return Err(format!("the message has {} bytes; the limit is {TEXT_BYTES}", text.len()));
        }
        let Name { name, hue } = Name::of(&from.connection);
        broadcast(&from.path, json!({ "kind": "message", "name": name, "hue": hue, "text": text }))
    }
}

impl lifecycle::Guest for Chat {
    fn on_open(connection: Connection) -> Result<lifecycle::Acceptance, lifecycle::Refusal> {
        let Name { name, hue } = Name::of(&connection.id);
        // The new connection is not listed yet.
        let people = others(&connection.subject, &connection.id) + 1;
        let welcome = json!({ "kind": "welcome", "name": name, "hue": hue, "people": people });
        let welcomed = sender::send(&connection.id, &Frame::Text(welcome.to_string()))
            .map_err(|error| error.to_string());
        let joined = json!({ "kind": "joined", "name": name, "hue": hue, "people": people });
        log(welcomed.and_then(|()| broadcast(&connection.path, joined)));
        Ok(lifecycle::Acceptance { protocol: None })
    }

    fn on_close(from: Origin, _code: u16, _reason: String) {
        let Name { name, hue } = Name::of(&from.connection);
        let people = others(&from.subject, &from.connection);
        let left = json!({ "kind": "left", "name": name, "hue": hue, "people": people });
        log(broadcast(&from.path, left));
    }
}

/// The number of other participants in a room.
fn others(subject: &str, own: &ConnectionId) -> usize {
    let connections = sender::get_connections_by_subject(subject).unwrap_or_default();
    connections.iter().filter(|connection| connection.id != *own).count()
}

/// Sends an event to every participant in a room.
fn broadcast(path: &str, event: Value) -> Result<(), String> {
    // The path comes from a client, and `broadcast` interprets a `*`.
    let path = path.replace('*', "%2A");
    sender::broadcast(Some(&path), &Frame::Text(event.to_string())).map_err(|error| error.to_string())
}

fn log(outcome: Result<(), String>) {
    if let Err(error) = outcome {
        eprintln!("cannot send: {error}");
    }
}

export!(Chat);
