//! A real server with monitoring, for the list of its connections.

use h8s_test_support::{NatsServer, http_client};

/// A `nats-server`, and the URL of its `/connz`.
pub(crate) struct Monitored {
    pub(crate) nats: NatsServer,
    connections: String,
}

/// One connection, as reported by the server.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The server's id of it.
    pub(crate) id: u64,
    /// The name of the client.
    pub(crate) name: String,
    /// The count of published messages.
    pub(crate) published: u64,
}

impl Monitored {
    pub(crate) async fn start() -> Self {
        let nats = NatsServer::with_config("http: \"127.0.0.1:-1\"").await;
        let log = nats.log();
        let address =
            log.split_once("Starting http monitor on ").expect("the log has the monitor's address").1;
        Self { connections: format!("http://{}/connz", address.lines().next().unwrap()), nats }
    }

    /// The connections of all gateways.
    pub(crate) async fn gateway_connections(&self) -> Vec<Connection> {
        let (_, _, body) = http_client::get(&self.connections).await;
        let connz: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let connection = |each: &serde_json::Value| Connection {
            id: each["cid"].as_u64().unwrap(),
            name: each["name"].as_str().unwrap_or("").to_owned(),
            published: each["in_msgs"].as_u64().unwrap(),
        };
        let all = connz["connections"].as_array().unwrap().iter().map(connection);
        all.filter(|connection| connection.name.starts_with("h8sd")).collect()
    }
}
