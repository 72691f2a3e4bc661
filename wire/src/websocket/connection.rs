//! The control messages of gateways about their open connections, in JSON (`PROTOCOL.md §6`).

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Close;
use crate::id::{ConnectionId, GatewayId};
use crate::routing::Host;

/// One open connection. The payload of `established`, and an entry of a list page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionEntry {
    /// The connection.
    pub connection: ConnectionId,
    /// The gateway that has the connection.
    pub gateway: GatewayId,
    /// The requested host.
    pub host: Host,
    /// The requested path, raw.
    pub path: String,
    /// The requested query, raw, without `?`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The negotiated subprotocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// The client's address, as far as the gateway trusts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// Whether the client came over TLS.
    #[serde(default)]
    pub is_secure: bool,
    /// The subject of the client's messages in the plain dialect: `<p>.ws.ws.<rhost>._[.<path>]`.
    pub subject: String,
    /// The subject of pushes to the client, in the gateway's inbox.
    pub push: String,
    /// The fields of the upgrade request in order, names in lower case, without values that are not UTF-8.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
}

/// A connection was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Established {
    /// The revision of the gateway's connections of this host: one more than the previous one.
    pub revision: u64,
    /// The connection.
    #[serde(flatten)]
    pub entry: ConnectionEntry,
}

/// A connection was closed. Its gateway publishes this exactly once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// One more than the previous revision.
    pub revision: u64,
    /// The connection.
    pub connection: ConnectionId,
    /// The gateway that had the connection.
    pub gateway: GatewayId,
    /// The close code (RFC 6455 §7.4): 1005 if the client sent none, 1006 if the connection was lost.
    pub code: u16,
    /// The close reason.
    #[serde(default)]
    pub reason: String,
}

/// The number of connections that a gateway has for a host. Published every few seconds while it is not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// The gateway.
    pub gateway: GatewayId,
    /// The revision of the gateway's last event.
    pub revision: u64,
    /// The number of open connections at that revision.
    pub count: u64,
}

/// A part of the reply to `list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The gateway that has the connections.
    pub gateway: GatewayId,
    /// The revision of the list; the same on all pages of one reply.
    pub revision: u64,
    /// Whether this is the last page.
    pub last: bool,
    /// As many entries as fit one message.
    pub connections: Vec<ConnectionEntry>,
}

/// The payload is not a valid control message about connections.
#[derive(Debug, thiserror::Error)]
#[error("invalid message about connections: {0}")]
pub struct ConnectionError(#[from] serde_json::Error);

macro_rules! json {
    ($($name:ident),*) => {$(
        impl $name {
            /// Encodes the JSON text.
            pub fn encode(&self) -> Vec<u8> {
                // Serializing numbers, strings and lists cannot fail.
                serde_json::to_vec(self).unwrap_or_default()
            }

            /// Decodes the JSON text. Unknown keys are ignored.
            ///
            /// # Errors
            /// [`ConnectionError`] if the text is not valid JSON, or a key is missing or invalid.
            pub fn decode(text: &[u8]) -> Result<Self, ConnectionError> {
                Ok(serde_json::from_slice(text)?)
            }
        }
    )*};
}

json!(Established, Closed, Beat, Page, ConnectionEntry);

impl Page {
    /// Encodes a page from entries that are encoded already.
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
    /// The close. A reason that is too long is truncated.
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
    fn invalid_messages_are_refused_and_unknown_keys_ignored() {
        for text in ["", "{}", "[]", r#"{"gateway":"x","revision":1,"count":0}"#] {
            assert!(Beat::decode(text.as_bytes()).is_err(), "{text}");
        }
        let id = "0".repeat(32);
        let beat = format!(r#"{{"gateway":"{id}","revision":1,"count":0,"later":[]}}"#);
        assert!(Beat::decode(beat.as_bytes()).is_ok());
    }
}
