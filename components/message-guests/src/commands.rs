//! The commands of a message: a word, and its arguments.

use std::hint::black_box;

use crate::h8s::provider::sender::{self, send};
use crate::h8s::provider::types::{Connection, Error, Frame, Origin};

/// All commands.
pub const NAMES: &[&str] = &[
    "echo",
    "bytes",
    "origin",
    "error",
    "trap",
    "loop",
    "sleep",
    "allocate",
    "exit",
    "send",
    "large",
    "close",
    "close-me",
    "join",
    "leave",
    "broadcast",
    "broadcast-path",
    "broadcast-group",
    "list",
    "count",
    "flood",
    "print",
];

type Outcome = Result<String, Error>;

/// Executes the command in a message, and replies with the result.
pub fn on_message(from: &Origin, message: Frame) -> Result<(), String> {
    let me = &from.connection;
    let text = match message {
        Frame::Text(text) => text,
        Frame::Binary(bytes) => return send(me, &Frame::Binary(bytes)).map_err(|error| format!("{error:?}")),
    };
    let (name, rest) = split(&text);
    let outcome = match name {
        "echo" => Ok(rest.to_owned()),
        "bytes" => return send(me, &Frame::Binary(rest.into())).map_err(|error| format!("{error:?}")),
        "origin" => Ok(format!("{} {} {} {rest}", from.path, from.subject, from.repeated)),
        "error" => return Err(rest.to_owned()),
        "close-me" => close_me(me, rest),
        _ => run(name, rest),
    };
    match said(outcome) {
        Some(said) => send(me, &Frame::Text(said)).map_err(|error| format!("{error:?}")),
        None => Ok(()),
    }
}

/// Executes the commands that need no connection of their own.
pub fn run(name: &str, rest: &str) -> Outcome {
    let (first, after) = split(rest);
    match name {
        "trap" => panic!("trapping as asked"),
        "loop" => endlessly(),
        "sleep" => {
            std::thread::sleep(std::time::Duration::from_millis(number(first)));
            Ok("slept".into())
        }
        "allocate" => allocate(),
        "exit" => std::process::exit(1),
        "send" => done(send(first, &Frame::Text(after.into()))),
        "large" => done(send(first, &Frame::Binary(vec![0; number(after) as usize]))),
        "close" => {
            let (code, reason) = split(after);
            done(sender::close(first, number(code) as u16, reason))
        }
        "join" => done(sender::join(first, after)),
        "leave" => done(sender::leave(first, after)),
        "broadcast" => done(sender::broadcast(None, &Frame::Text(rest.into()))),
        "broadcast-path" => done(sender::broadcast(Some(first), &Frame::Text(after.into()))),
        "broadcast-group" => done(sender::broadcast_group(first, &Frame::Text(after.into()))),
        "list" => sender::get_connections_by_subject(rest).map(|found| described(&found)),
        "count" => sender::get_connections().map(|found| found.len().to_string()),
        "flood" => Ok(flood(first, number(after))),
        "print" => {
            println!("{rest}");
            Ok("printed".into())
        }
        _ => Ok(format!("there is no command {name}")),
    }
}

/// The reply for a result.
pub fn said(outcome: Outcome) -> Option<String> {
    match outcome {
        Ok(said) if said.is_empty() => None,
        Ok(said) => Some(said),
        Err(error) => Some(format!("{error:?}")),
    }
}

pub fn split(text: &str) -> (&str, &str) {
    text.split_once(' ').unwrap_or((text, ""))
}

fn number(text: &str) -> u64 {
    text.parse().expect("a number")
}

fn done(outcome: Result<(), Error>) -> Outcome {
    outcome.map(|()| "done".into())
}

/// Closes its own connection, and then tries to send to it.
fn close_me(me: &str, rest: &str) -> Outcome {
    let (code, reason) = split(rest);
    send(me, &Frame::Text("the last".into()))?;
    sender::close(me, number(code) as u16, reason)?;
    match send(me, &Frame::Text("too late".into())) {
        Err(Error::ClosedConnection) => Ok(String::new()),
        other => panic!("sent after the close: {other:?}"),
    }
}

/// Sends until it fails or is done.
fn flood(to: &str, count: u64) -> String {
    let frame = Frame::Text("flood".into());
    let refused = (0..count).find_map(|sent| Some((sent, send(to, &frame).err()?)));
    refused.map_or_else(|| "all sent".into(), |(sent, error)| format!("{sent} sent, then {error:?}"))
}

fn described(found: &[Connection]) -> String {
    let mut lines: Vec<String> = found.iter().map(describe).collect();
    lines.sort();
    lines.join("\n")
}

/// All fields of a connection.
pub fn describe(connection: &Connection) -> String {
    let headers: Vec<String> = connection
        .headers
        .iter()
        .map(|header| format!("{}={}", header.key, header.value.join("|")))
        .collect();
    let Connection { id, host, path, query, subject, protocol, .. } = connection;
    format!("{id} {host} {path} {query:?} {subject} {protocol:?} {}", headers.join(" "))
}

fn endlessly() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns + 1);
    }
}

fn allocate() -> ! {
    let mut kept = Vec::new();
    loop {
        kept.push(black_box(vec![1_u8; 1 << 20]));
    }
}
