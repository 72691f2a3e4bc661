//! `on-open`, by the last segment of the path; and `on-close`.

use crate::commands::describe;
use crate::exports::h8s::provider::lifecycle::{Acceptance, KeyValue, Refusal};
use crate::h8s::provider::sender::{self, send};
use crate::h8s::provider::types::{Connection, Frame};

/// All segments.
pub const NAMES: &[&str] = &[
    "refuse",
    "refuse-oddly",
    "choose",
    "choose-another",
    "trap-at-open",
    "sleep-at-open",
    "greet",
    "greet-at-length",
    "close-at-open",
    "join-at-open",
    "alone-at-open",
];

const ACCEPTED: Result<Acceptance, Refusal> = Ok(Acceptance { protocol: None });

pub fn on_open(connection: Connection) -> Result<Acceptance, Refusal> {
    println!("opening");
    let me = &connection.id;
    match connection.path.rsplit('/').next().unwrap_or_default() {
        "refuse" => Err(refusal(403, describe(&connection))),
        "refuse-oddly" => Err(refusal(200, "welcome, but no".into())),
        "choose" => Ok(Acceptance { protocol: offered(&connection) }),
        "choose-another" => Ok(Acceptance { protocol: Some("another".into()) }),
        "trap-at-open" => panic!("trapping as asked"),
        "sleep-at-open" => {
            std::thread::sleep(std::time::Duration::from_secs(3600));
            ACCEPTED
        }
        "greet" => {
            for word in ["one", "two", "three"] {
                send(me, &Frame::Text(word.into())).expect("room for a greeting");
            }
            ACCEPTED
        }
        "greet-at-length" => {
            let refused = (0..1000).find_map(|sent| Some((sent, send(me, &Frame::Text("x".into())).err()?)));
            println!("greeted {refused:?}");
            ACCEPTED
        }
        "close-at-open" => {
            send(me, &Frame::Text("goodbye".into())).expect("room for a goodbye");
            sender::close(me, 4001, "changed my mind").expect("a good code");
            ACCEPTED
        }
        "join-at-open" => {
            sender::join(me, "early").expect("a good name");
            ACCEPTED
        }
        "alone-at-open" => {
            let listed = sender::get_connections().map(|all| all.iter().any(|other| other.id == *me));
            println!("listed at open {listed:?}");
            ACCEPTED
        }
        _ => ACCEPTED,
    }
}

pub fn on_close(connection: &str, code: u16, reason: &str) {
    let sent = send(connection, &Frame::Text("after the end".into()));
    println!("closed {connection} {code} {reason:?} {sent:?}");
}

fn refusal(status: u16, text: String) -> Refusal {
    let header = |key: &str, value: &str| KeyValue { key: key.into(), value: vec![value.into()] };
    let headers = vec![header("content-type", "text/plain"), header("x-why", "as asked")];
    Refusal { status, headers, body: text.into() }
}

/// The last subprotocol that the client offers: the first would be chosen by chance, too.
fn offered(connection: &Connection) -> Option<String> {
    let offers = connection.headers.iter().find(|header| header.key == "Sec-Websocket-Protocol")?;
    Some(offers.value.last()?.rsplit(',').next()?.trim().to_owned())
}
