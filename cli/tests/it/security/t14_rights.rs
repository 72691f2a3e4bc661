//! T14: every role tries every kind of subject on a real nats-server; `rights.snapshot` has the results. A change of the
//! snapshot is a change of permissions: review it as one.

use std::fmt::Write as _;
use std::path::Path;

use crate::nats_users::{RawNats, server, user};

const SNAPSHOT: &str = include_str!("rights.snapshot");

/// The users, and their roles. The host is app.example.com, which is com.example.app in subjects.
const USERS: [(&str, &str); 8] = [
    ("gateway", "--role gateway"),
    ("gateway-1", "--role gateway --host app.example.com"),
    ("host", "--role host --host app.example.com"),
    ("daemon", "--role daemon --host app.example.com"),
    ("daemon-q", "--role daemon --host app.example.com --queue-group shop"),
    ("plain", "--role plain --host app.example.com"),
    ("operator", "--role operator"),
    ("operator-1", "--role operator --host app.example.com"),
];
/// The users that answer for one host only.
const RESPONDERS: [&str; 4] = ["host", "daemon", "daemon-q", "plain"];

/// The subjects: `{G}`, `{R}`, `{C}` and `{E}` are ids of a gateway, a responder, a connection and an exchange.
const SECTIONS: [(&str, &[&str]); 4] = [
    (
        "our host's",
        &[
            "h8s.http.GET.com.example.app._",
            "h8s.http.GET.com.example.app._.a.b",
            "h8s.http.*.com.example.app._",
            "h8s.http.*.com.example.app._.>",
            "h8s.x.ANY.com.example.app._.%2A",
            "h8s.x.WS.com.example.app._",
            "h8s.x.*.com.example.app._.>",
            "h8s.ws.ws.com.example.app._",
            "h8s.ws.ws.com.example.app._.>",
            "h8s.inbox.r.com.example.app._.{R}.{E}",
            "h8s.inbox.r.com.example.app._.{R}.sync",
            "h8s.inbox.r.com.example.app._.{R}.>",
            "h8s.inbox.r.com.example.app._.closed.{E}",
            "h8s.inbox.r.com.example.app._.closed.*",
            "h8s.control.interest.register.com.example.app",
            "h8s.control.interest.unregister.com.example.app",
            "h8s.control.ws.conn.established.com.example.app",
            "h8s.control.ws.conn.closed.com.example.app",
            "h8s.control.ws.conn.beat.com.example.app",
            "h8s.control.ws.conn.list.com.example.app",
            "h8s.control.ws.conn.*.com.example.app",
            "h8s.control.ws.broadcast.com.example.app",
        ],
    ),
    (
        "other hosts': example.com with a path that reads like ours, a.app.example.com, app.example.org, and all",
        &[
            "h8s.http.GET.com.example._.app",
            "h8s.http.GET.com.example._.app._",
            "h8s.http.GET.com.example.app.a._",
            "h8s.http.GET.com.example.app.a._._",
            "h8s.http.GET.com.example.apps._",
            "h8s.http.GET.org.example.app._.x",
            "h8s.http.*.com.example._.>",
            "h8s.http.*.com.example.app.>",
            "h8s.http.*.com.example.*._",
            "h8s.http.*.*.*.*._.>",
            "h8s.http.>",
            "h8s.x.ANY.com.example._.app",
            "h8s.x.ANY.com.example.app.a._.%2A",
            "h8s.x.WS.org.example.app._",
            "h8s.x.*.com.example.>",
            "h8s.x.*.*.*.*._.>",
            "h8s.x.>",
            "h8s.ws.ws.com.example._.app",
            "h8s.ws.ws.com.example.app.a._",
            "h8s.ws.ws.>",
            "h8s.inbox.r.com.example._.{R}.{E}",
            "h8s.inbox.r.com.example.app.a._.{R}.{E}",
            "h8s.inbox.r.com.example.app.a._.{R}.sync",
            "h8s.inbox.r.org.example.app._.closed.{E}",
            "h8s.inbox.r.com.example._.{R}.>",
            "h8s.inbox.r.*.*.*._.{R}.>",
            "h8s.inbox.r.>",
            "h8s.control.interest.register.com.example",
            "h8s.control.interest.register.com.example.app.a",
            "h8s.control.interest.unregister.com.example",
            "h8s.control.interest.unregister.com.example.app.a",
            "h8s.control.interest.register.>",
            "h8s.control.interest.>",
            "h8s.control.ws.conn.established.com.example",
            "h8s.control.ws.conn.closed.com.example.app.a",
            "h8s.control.ws.conn.beat.org.example.app",
            "h8s.control.ws.conn.list.com.example",
            "h8s.control.ws.conn.list.com.example.app.a",
            "h8s.control.ws.conn.*.com.example",
            "h8s.control.ws.conn.*.*.*.*",
            "h8s.control.ws.conn.list.>",
            "h8s.control.ws.conn.>",
            "h8s.control.ws.broadcast.com.example",
            "h8s.control.ws.broadcast.com.example.app.a",
            "h8s.control.ws.broadcast.>",
            "h8s.control.>",
            "h8s.>",
        ],
    ),
    (
        "gateways' and all programs'",
        &[
            "h8s.inbox.gw.{G}.{E}",
            "h8s.inbox.gw.{G}.sync",
            "h8s.inbox.gw.{G}.{C}.push",
            "h8s.inbox.gw.{G}.>",
            "h8s.inbox.gw.*.*",
            "h8s.inbox.gw.*.*.push",
            "h8s.inbox.gw.>",
            "h8s.inbox.>",
            "h8s.control.interest.list",
            "h8s.control.gateway.{G}",
            "h8s.client.{C}",
        ],
    ),
    (
        "outside",
        &[
            "h8s",
            "other.x.ANY.com.example.app._.%2A",
            "other.inbox.gw.{G}.{E}",
            "com.example.app",
            "_INBOX.{E}",
            "_INBOX.>",
            "$SYS.REQ.SERVER.PING",
            "$SYS.>",
            "$JS.API.INFO",
            "*",
            ">",
        ],
    ),
];

/// `PSQ`: may publish, subscribe, subscribe in the queue group h8s; `-` where it is denied, `.` where it is not tried
/// (a publication has no wildcards).
async fn tried(client: &mut RawNats, subject: &str) -> String {
    let publish = match subject.contains(['*', '>']) {
        true => '.',
        false => mark(client.may_publish(subject).await, 'P'),
    };
    let subscribe = mark(client.may_subscribe(subject, "").await, 'S');
    let in_group = mark(client.may_subscribe(subject, "h8s").await, 'Q');
    [publish, subscribe, in_group].iter().collect()
}

fn mark(is_granted: bool, mark: char) -> char {
    if is_granted { mark } else { '-' }
}

fn with_ids(subject: &str) -> String {
    let ids = [("{G}", "a1"), ("{R}", "b2"), ("{C}", "c3"), ("{E}", "e4")];
    ids.iter().fold(subject.to_owned(), |subject, (name, digits)| subject.replace(name, &digits.repeat(16)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t14_every_role_may_what_the_snapshot_says_and_nothing_else() {
    let nats = server(&USERS.map(|(name, arguments)| user(name, arguments))).await;
    let mut clients = Vec::new();
    for (name, _) in USERS {
        clients.push((name, RawNats::connect(&nats, name).await));
    }
    let mut found = format!("{:<60}", "P publish, S subscribe, Q subscribe in a queue group");
    USERS.iter().for_each(|(name, _)| write!(found, " {name:<10}").unwrap());
    for (section, subjects) in SECTIONS {
        write!(found, "\n\n{section}").unwrap();
        for subject in subjects {
            write!(found, "\n{subject:<60}").unwrap();
            for (name, client) in &mut clients {
                let tried = tried(client, &with_ids(subject)).await;
                write!(found, " {tried:<10}").unwrap();
                // Independent of the snapshot: no user answers for other hosts, or uses subjects outside h8s's.
                let is_foreign = section.starts_with("other hosts") && RESPONDERS.contains(name);
                let is_denied = !tried.contains(['P', 'S', 'Q']);
                assert!(is_denied || !(is_foreign || section == "outside"), "{name}: {subject} {tried}");
            }
        }
    }
    let found: String = found.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    if found != SNAPSHOT {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rights.snapshot");
        std::fs::write(&file, &found).unwrap();
        panic!("who may do what has changed; if so it shall be, copy {}:\n{found}", file.display());
    }
}
