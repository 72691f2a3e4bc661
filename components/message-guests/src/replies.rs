//! HTTP requests: the path selects the reply.

use crate::commands::{self, run, said, split};
use crate::h8s::provider::types::{KeyValue, Msg};
use crate::opening;

/// All paths; `run` executes the command in its body.
const NAMES: &[&str] =
    &["run", "mirror", "teapot", "bad-status", "bad-header", "wrong-length", "elsewhere", "words"];

pub fn on_request(msg: Msg) -> Result<Msg, String> {
    let path = header(&msg, "X-H8s-Original-Path").unwrap_or_default();
    let body = String::from_utf8_lossy(&msg.data).into_owned();
    match path.trim_start_matches('/') {
        "run" => {
            let (name, rest) = split(&body);
            Ok(reply(&[], &said(run(name, rest)).unwrap_or_default()))
        }
        "mirror" => Ok(reply(&[("X-Subject", &msg.subject)], &mirrored(&msg))),
        "teapot" => Ok(reply(&[("Status-Code", "418"), ("X-Two", "1"), ("X-Two", "2")], "short and stout\n")),
        "bad-status" => Ok(reply(&[("Status-Code", "99")], "")),
        "bad-header" => Ok(reply(&[("X-Split", "a\r\nSet-Cookie: b")], "")),
        "wrong-length" => Ok(reply(&[("Content-Length", "3")], "four")),
        "elsewhere" => {
            Ok(Msg { reply: "h8s.inbox.gw.x.y".into(), subject: "a.b".into(), ..reply(&[], "here\n") })
        }
        "words" => Err("failing with secret words".into()),
        _ => Ok(reply(&[], &list())),
    }
}

fn list() -> String {
    let all = commands::NAMES.iter().chain(opening::NAMES).chain(NAMES);
    all.map(|name| format!("{name}\n")).collect()
}

fn header(msg: &Msg, name: &str) -> Option<String> {
    msg.headers.iter().find(|header| header.key == name)?.value.first().cloned()
}

fn mirrored(msg: &Msg) -> String {
    let headers = msg.headers.iter().map(|header| format!("{}: {}\n", header.key, header.value.join("|")));
    format!("{}\n{}", headers.collect::<String>(), String::from_utf8_lossy(&msg.data))
}

fn reply(headers: &[(&str, &str)], body: &str) -> Msg {
    let field = |(key, value): &(&str, &str)| KeyValue { key: (*key).into(), value: vec![(*value).into()] };
    let headers = headers.iter().map(field).collect();
    Msg { headers, data: body.into(), reply: String::new(), subject: String::new() }
}
