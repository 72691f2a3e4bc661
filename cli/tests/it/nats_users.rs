//! A nats-server whose users have the permissions that `h8s permissions` prints, and a client that tests them.

use std::process::Command;

use h8s_test_support::process::program;
use h8s_test_support::{NatsServer, soon};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

pub(crate) const PASSWORD: &str = "pw";

/// `h8s permissions` with these arguments, separated by spaces.
pub(crate) fn permissions(arguments: &str) -> Command {
    let mut command = program(env!("CARGO_BIN_EXE_h8s"));
    command.arg("permissions").args(arguments.split_whitespace());
    command
}

/// Its output.
pub(crate) fn printed(arguments: &str) -> String {
    let output = permissions(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A user entry from its output: `user("app", "--role daemon --host app.example.com")`.
pub(crate) fn user(name: &str, arguments: &str) -> String {
    let user = printed(&format!("{arguments} --user {name}"));
    let variable = format!("${}_PASSWORD", name.to_uppercase().replace('-', "_"));
    assert!(user.contains(&variable), "{user}");
    user.replace(&variable, &format!("{PASSWORD:?}"))
}

pub(crate) async fn server(users: &[String]) -> NatsServer {
    NatsServer::with_config(&format!("authorization {{ users: [\n{}\n] }}", users.join("\n"))).await
}

/// The flags of a program that is this user.
pub(crate) fn flags(user: &str) -> [&str; 4] {
    ["--nats-user", user, "--nats-password", PASSWORD]
}

/// Checks that the server denied nothing.
pub(crate) fn assert_all_granted(nats: &NatsServer) {
    assert!(!nats.log().contains("iolation"), "{}", nats.log());
}

/// A client that speaks the protocol itself, so that each operation's result is known.
pub(crate) struct RawNats {
    stream: BufReader<TcpStream>,
}

impl RawNats {
    pub(crate) async fn connect(nats: &NatsServer, user: &str) -> Self {
        let stream = soon(TcpStream::connect(("127.0.0.1", nats.port()))).await.unwrap();
        let mut client = Self { stream: BufReader::new(stream) };
        let greeting = client.line().await;
        assert!(greeting.starts_with("INFO "), "{greeting}");
        let connect = format!(
            r#"CONNECT {{"verbose":false,"headers":true,"no_responders":true,"user":{user:?},"pass":{PASSWORD:?}}}"#
        );
        assert!(client.may(&connect).await, "{user}");
        client
    }

    /// Performs an operation; returns whether the server permitted it. A violation is reported before the next PONG.
    pub(crate) async fn may(&mut self, operation: &str) -> bool {
        self.stream.write_all(format!("{operation}\r\nPING\r\n").as_bytes()).await.unwrap();
        let mut is_granted = true;
        loop {
            let line = self.line().await;
            match line.split(' ').next().unwrap_or_default() {
                "PONG" => return is_granted,
                "PING" => self.stream.write_all(b"PONG\r\n").await.unwrap(),
                "MSG" => self.skip_payload(&line).await,
                "-ERR" if line.contains("Permissions Violation") => is_granted = false,
                _ => panic!("{operation:?}: {line:?}"),
            }
        }
    }

    pub(crate) async fn may_publish(&mut self, subject: &str) -> bool {
        self.may(&format!("PUB {subject} 0\r\n")).await
    }

    /// In a queue group, unless `group` is empty.
    pub(crate) async fn may_subscribe(&mut self, subject: &str, group: &str) -> bool {
        let is_granted = self.may(&format!("SUB {subject} {group} 1")).await;
        self.may("UNSUB 1").await;
        is_granted
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        soon(self.stream.read_line(&mut line)).await.unwrap();
        assert!(line.ends_with("\r\n"), "the server has closed the connection after {line:?}");
        line.trim_end().to_owned()
    }

    async fn skip_payload(&mut self, line: &str) {
        let bytes: usize = line.rsplit(' ').next().and_then(|bytes| bytes.parse().ok()).unwrap();
        let mut payload = vec![0; bytes + 2];
        soon(self.stream.read_exact(&mut payload)).await.unwrap();
    }
}
