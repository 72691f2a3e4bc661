//! Sends every WebSocket message back to its sender: text as text, bytes as bytes.

wit_bindgen::generate!({ path: "../../wit/provider", world: "websocket-receiver" });

use exports::h8s::provider::receiver::{Frame, Guest, Origin};
use h8s::provider::sender;

struct Echo;

impl Guest for Echo {
    fn handle_message(from: Origin, message: Frame) -> Result<(), String> {
        sender::send(&from.connection, &message).map_err(|error| error.to_string())
    }
}

export!(Echo);
