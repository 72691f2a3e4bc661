//! A chat room at every path: a page, and the WebSocket that the page opens.
//!
//! Nothing is kept between two calls. Who somebody is follows from the id of their connection, and who is there is
//! known to the host.

mod name;

use serde_json::{Value, json};
use wstd::http::{Body, Error, Request, Response};

use exports::h8s::provider::{lifecycle, receiver};
use h8s::provider::sender;
use h8s::provider::types::{Connection, ConnectionId, Frame, Origin};
use name::Name;

wit_bindgen::generate!({ path: "../../wit/provider", world: "websocket" });

/// Longer messages are no chat.
const TEXT_BYTES: usize = 4000;

#[wstd::http_server]
async fn main(_request: Request<Body>) -> Result<Response<Body>, Error> {
    let page = include_str!("chat.html");
    Ok(Response::builder().header("content-type", "text/html; charset=utf-8").body(page.into())?)
}

struct Chat;

impl receiver::Guest for Chat {
    fn handle_message(from: Origin, message: Frame) -> Result<(), String> {
        let Frame::Text(text) = message else { return Err("chat is text".into()) };
        if text.len() > TEXT_BYTES {
            return Err(format!("{} bytes are too long for a chat", text.len()));
        }
        let Name { name, hue } = Name::of(&from.connection);
        tell(&from.path, json!({ "kind": "message", "name": name, "hue": hue, "text": text }))
    }
}

impl lifecycle::Guest for Chat {
    fn on_open(connection: Connection) -> Result<lifecycle::Acceptance, lifecycle::Refusal> {
        let Name { name, hue } = Name::of(&connection.id);
        // No list has the newcomer yet.
        let people = others(&connection.subject, &connection.id) + 1;
        let welcome = json!({ "kind": "welcome", "name": name, "hue": hue, "people": people });
        let told = sender::send(&connection.id, &Frame::Text(welcome.to_string()))
            .map_err(|error| error.to_string());
        let joined = json!({ "kind": "joined", "name": name, "hue": hue, "people": people });
        report(told.and_then(|()| tell(&connection.path, joined)));
        Ok(lifecycle::Acceptance { protocol: None })
    }

    fn on_close(from: Origin, _code: u16, _reason: String) {
        let Name { name, hue } = Name::of(&from.connection);
        let people = others(&from.subject, &from.connection);
        report(tell(&from.path, json!({ "kind": "left", "name": name, "hue": hue, "people": people })));
    }
}

/// How many are in the same room.
fn others(subject: &str, but: &ConnectionId) -> usize {
    let there = sender::get_connections_by_subject(subject).unwrap_or_default();
    there.iter().filter(|connection| connection.id != *but).count()
}

/// Tells everybody in a room.
fn tell(path: &str, what: Value) -> Result<(), String> {
    // A path is what a client says; in a path for `broadcast` a `*` would mean more than itself.
    let path = path.replace('*', "%2A");
    sender::broadcast(Some(&path), &Frame::Text(what.to_string())).map_err(|error| error.to_string())
}

fn report(outcome: Result<(), String>) {
    if let Err(error) = outcome {
        eprintln!("nobody was told: {error}");
    }
}

export!(Chat);
