//! The handshake: INFO and CONNECT.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::violation::Violation;

/// The nats-server version of this core protocol. Clients derive the available features from it.
const SERVER_VERSION: &str = "2.10.0";
/// The protocol level. 1, the highest, means that INFO may be sent again later.
const PROTOCOL: i32 = 1;

/// The payload of INFO.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Info {
    server_id: String,
    server_name: &'static str,
    version: &'static str,
    proto: i32,
    host: String,
    port: u16,
    headers: bool,
    max_payload: usize,
    client_id: u64,
    client_ip: String,
}

impl Info {
    pub(crate) fn new(address: SocketAddr, max_payload_bytes: usize) -> Self {
        Self {
            server_id: format!("{:032X}", rand::random::<u128>()),
            server_name: "h8s-broker",
            version: SERVER_VERSION,
            proto: PROTOCOL,
            host: address.ip().to_string(),
            port: address.port(),
            headers: true,
            max_payload: max_payload_bytes,
            client_id: 0,
            client_ip: String::new(),
        }
    }

    /// The INFO line for one client.
    pub(crate) fn line_for(&self, client_id: u64, client: SocketAddr) -> Vec<u8> {
        let info = Self { client_id, client_ip: client.ip().to_string(), ..self.clone() };
        let mut line = b"INFO ".to_vec();
        serde_json::to_writer(&mut line, &info).expect("a struct of strings and numbers is always JSON");
        line.extend_from_slice(b" \r\n");
        line
    }
}

/// The relevant options of CONNECT. Before CONNECT, the defaults apply, as in nats-server. Language, version, name and
/// credentials are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Options {
    /// Acknowledge every command with `+OK`.
    pub(crate) verbose: bool,
    /// Deliver the client's own messages to it.
    pub(crate) echo: bool,
    /// The client sends and accepts header blocks.
    pub(crate) headers: bool,
    /// The client wants "no responders" replies.
    pub(crate) no_responders: bool,
    protocol: i32,
}

impl Default for Options {
    fn default() -> Self {
        Self { verbose: true, echo: true, headers: false, no_responders: false, protocol: 0 }
    }
}

impl Options {
    /// # Errors
    /// Invalid JSON, an unknown protocol level, or "no responders" without the headers that carry it.
    pub(crate) fn read(json: &[u8]) -> Result<Self, Violation> {
        let options: Self = serde_json::from_slice(json).map_err(|_| Violation::Parser)?;
        if !(0..=PROTOCOL).contains(&options.protocol) {
            return Err(Violation::ClientProtocol);
        }
        if options.no_responders && !options.headers {
            return Err(Violation::NoRespondersWithoutHeaders);
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_missing_in_connect_have_the_servers_defaults() {
        let options =
            Options::read(br#"{"lang":"x","headers":true,"no_responders":true,"verbose":false}"#).unwrap();

        assert_eq!(
            options,
            Options { verbose: false, echo: true, headers: true, no_responders: true, protocol: 0 }
        );
        assert_eq!(Options::read(b"{}"), Ok(Options::default()));
    }

    #[test]
    fn an_invalid_connect_is_refused() {
        assert_eq!(Options::read(b""), Err(Violation::Parser));
        assert_eq!(Options::read(b"{bad"), Err(Violation::Parser));
        assert_eq!(Options::read(br#"{"verbose":"yes"}"#), Err(Violation::Parser));
        assert_eq!(Options::read(br#"{"protocol":2}"#), Err(Violation::ClientProtocol));
        assert_eq!(Options::read(br#"{"no_responders":true}"#), Err(Violation::NoRespondersWithoutHeaders));
    }

    #[test]
    fn info_contains_client_and_limits() {
        let info = Info::new("127.0.0.1:4222".parse().unwrap(), 1 << 20);

        let line = String::from_utf8(info.line_for(7, "127.0.0.1:5".parse().unwrap())).unwrap();

        let json = line.strip_prefix("INFO ").and_then(|rest| rest.strip_suffix(" \r\n")).unwrap();
        let read: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(read["max_payload"], 1 << 20);
        assert_eq!(
            (&read["client_id"], &read["headers"], &read["port"]),
            (&7.into(), &true.into(), &4222.into())
        );
        assert_eq!(read["client_ip"], "127.0.0.1");
        assert_eq!(read["server_id"].as_str().map(str::len), Some(32));
    }
}
