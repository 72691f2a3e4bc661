//! A client that says exactly what it is told to.

use h8s_broker::Broker;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::soon;

/// What most tests begin with.
pub(crate) const CONNECT: &str = "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\n";

pub(crate) struct Raw {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Raw {
    /// Connects and reads INFO.
    pub(crate) async fn to(broker: &Broker) -> (Self, String) {
        let stream = TcpStream::connect(broker.address()).await.unwrap();
        let mut raw = Self { stream, unread: Vec::new() };
        let info = raw.line().await.unwrap();
        (raw, info)
    }

    /// Connects and says CONNECT, without verbosity.
    pub(crate) async fn connected(broker: &Broker) -> Self {
        let (mut raw, _) = Self::to(broker).await;
        raw.say(CONNECT).await;
        raw
    }

    pub(crate) async fn say(&mut self, words: impl AsRef<[u8]>) {
        // The broker may have closed already; what it said is what the tests look at.
        let _ = self.stream.write_all(words.as_ref()).await;
    }

    /// The next line without its end, or `None` once the broker has closed.
    pub(crate) async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|pair| pair == b"\r\n") {
                let line = String::from_utf8_lossy(&self.unread[..end]).into_owned();
                self.unread.drain(..end + 2);
                return Some(line);
            }
            if !matches!(soon(self.stream.read_buf(&mut self.unread)).await, Ok(1..)) {
                return None;
            }
        }
    }

    /// Everything the broker says until it closes.
    pub(crate) async fn until_closed(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = self.line().await {
            lines.push(line);
        }
        lines
    }

    /// What the broker says to all that was said before this: everything up to its PONG.
    pub(crate) async fn until_pong(&mut self) -> Vec<String> {
        self.say("PING\r\n").await;
        let mut lines = Vec::new();
        loop {
            match self.line().await.expect("the connection stays open").as_str() {
                "PONG" => return lines,
                line => lines.push(line.to_owned()),
            }
        }
    }

    /// Says something and listens until PONG.
    pub(crate) async fn ask(&mut self, words: impl AsRef<[u8]>) -> Vec<String> {
        self.say(words).await;
        self.until_pong().await
    }
}
