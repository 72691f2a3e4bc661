//! Which connections are open: what gateways say about them, in JSON (`PROTOCOL.md §6`).

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Close;
use crate::id::{ConnectionId, GatewayId};
use crate::routing::Host;

/// What is known of one open connection. The payload of `established`, and what a page of a list is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionEntry {
    /// Which.
    pub connection: ConnectionId,
    /// The inbox id of the gateway that holds it.
    pub gateway: GatewayId,
    /// The host that the client asked for.
    pub host: Host,
    /// The raw path.
    pub path: String,
    /// The raw query, without `?`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The subprotocol that was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// The client's address, as far as the gateway trusts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// Whether the client came over TLS.
    #[serde(default)]
    pub is_secure: bool,
    /// Where its messages go in the plain dialect: `<p>.ws.ws.<rhost>._[.<path>]`.
    pub subject: String,
    /// Where messages to it go: the gateway's inbox for it.
    pub push: String,
    /// The upgrade request's fields, names in lower case, in order. Those that are not UTF-8 are left out.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
}

/// A connection was opened: revision `revision` of what this gateway has open for this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Established {
    /// One more than the revision before, for this gateway and host.
    pub revision: u64,
    /// The connection.
    #[serde(flatten)]
    pub entry: ConnectionEntry,
}

/// A connection is over. Said exactly once by its gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// One more than the revision before.
    pub revision: u64,
    /// Which connection.
    pub connection: ConnectionId,
    /// Whose.
    pub gateway: GatewayId,
    /// RFC 6455 §7.4; 1005 without a code, 1006 when the client vanished.
    pub code: u16,
    /// Why, in words.
    #[serde(default)]
    pub reason: String,
}

/// How many connections a gateway has open for a host. Said every few seconds while there are some.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// Which gateway.
    pub gateway: GatewayId,
    /// The revision of its last event.
    pub revision: u64,
    /// How many are open at that revision.
    pub count: u64,
}

/// A part of the answer to `list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Whose connections these are.
    pub gateway: GatewayId,
    /// The revision at which the list was made; the same on all pages of one answer.
    pub revision: u64,
    /// Nothing follows.
    pub last: bool,
    /// At most as many as fit a message.
    pub connections: Vec<ConnectionEntry>,
}

/// A message about connections that is none.
#[derive(Debug, thiserror::Error)]
#[error("not a message about connections: {0}")]
pub struct ConnectionError(#[from] serde_json::Error);

macro_rules! json {
    ($($name:ident),*) => {$(
        impl $name {
            /// The JSON text.
            pub fn encode(&self) -> Vec<u8> {
                // Numbers, texts and lists: there is nothing that JSON could not say.
                serde_json::to_vec(self).unwrap_or_default()
            }

            /// Reads one; unknown keys are skipped.
            ///
            /// # Errors
            /// [`ConnectionError`] for whatever is not one.
            pub fn decode(text: &[u8]) -> Result<Self, ConnectionError> {
                Ok(serde_json::from_slice(text)?)
            }
        }
    )*};
}

json!(Established, Closed, Beat, Page, ConnectionEntry);

impl Page {
    /// The JSON text of a page, from entries that are JSON already.
    pub fn encode_entries(gateway: GatewayId, revision: u64, last: bool, entries: &[&[u8]]) -> Vec<u8> {
        let mut page =
            format!(r#"{{"gateway":"{gateway}","revision":{revision},"last":{last},"connections":["#)
                .into_bytes();
        page.extend(entries.join(&b','));
        page.extend(b"]}");
        page
    }
}

impl Closed {
    /// How it ended. A reason that is too long is cut.
    pub fn close(&self) -> Close {
        Close::new(self.code, self.reason.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> ConnectionEntry {
        ConnectionEntry {
            connection: ConnectionId::from_bytes([1; 16]),
            gateway: GatewayId::from_bytes([2; 16]),
            host: "chat.example.com".parse().unwrap(),
            path: "/room/a\"b".into(),
            query: Some("x=1".into()),
            protocol: None,
            client: Some("::1".parse().unwrap()),
            is_secure: true,
            subject: "h8s.ws.ws.com.example.chat._.room".into(),
            push: "h8s.inbox.gw.g.c.push".into(),
            headers: vec![("cookie".into(), "é".into()), ("cookie".into(), "b".into())],
        }
    }

    #[test]
    fn round_trips() {
        let established = Established { revision: 7, entry: entry() };
        assert_eq!(Established::decode(&established.encode()).unwrap(), established);
        let gateway = entry().gateway;
        let page = Page { gateway, revision: 7, last: true, connections: vec![entry(), entry()] };
        assert_eq!(Page::decode(&page.encode()).unwrap(), page);
        let entry = entry().encode();
        assert_eq!(Page::encode_entries(gateway, 7, true, &[&entry, &entry]), page.encode());
        let beat = Beat { gateway, revision: 8, count: 1 };
        assert_eq!(Beat::decode(&beat.encode()).unwrap(), beat);
    }

    #[test]
    fn nonsense_is_refused_and_more_is_skipped() {
        for text in ["", "{}", "[]", r#"{"gateway":"x","revision":1,"count":0}"#] {
            assert!(Beat::decode(text.as_bytes()).is_err(), "{text}");
        }
        let id = "0".repeat(32);
        let beat = format!(r#"{{"gateway":"{id}","revision":1,"count":0,"later":[]}}"#);
        assert!(Beat::decode(beat.as_bytes()).is_ok());
    }
}
