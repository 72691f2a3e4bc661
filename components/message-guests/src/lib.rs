//! The host's test guest for messages: it executes the command in each message.
//!
//! A message to `receiver` is a command, and so is the body of a request to `request-reply`; the result is sent back. The
//! last segment of the path selects the behaviour of `on-open`. `GET /` lists all commands and segments. A test of the
//! host fails if one of them has no test.

mod commands;
mod opening;
mod replies;

use exports::h8s::provider::{lifecycle, receiver, request_reply};
use h8s::provider::types::{Connection, Frame, Msg, Origin};

wit_bindgen::generate!({
    path: "../../wit/provider",
    inline: "
        package h8s:message-guests;
        world everything {
            include h8s:provider/websocket@0.1.0;
            include h8s:provider/http-messages@0.1.0;
        }
    ",
    generate_all,
});

struct Guests;

impl receiver::Guest for Guests {
    fn handle_message(from: Origin, message: Frame) -> Result<(), String> {
        commands::on_message(&from, message)
    }
}

impl lifecycle::Guest for Guests {
    fn on_open(connection: Connection) -> Result<lifecycle::Acceptance, lifecycle::Refusal> {
        opening::on_open(connection)
    }

    fn on_close(from: Origin, code: u16, reason: String) {
        opening::on_close(&from.connection, code, &reason);
    }
}

impl request_reply::Guest for Guests {
    fn handle_message(msg: Msg) -> Result<Msg, String> {
        replies::on_request(msg)
    }
}

export!(Guests);
