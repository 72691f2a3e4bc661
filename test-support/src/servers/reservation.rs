//! A port that stays reserved while its server is stopped.

use tokio::net::TcpSocket;

/// Binds without listening: clients are refused, a server that sets `SO_REUSEADDR` (all do) can still bind the port, and
/// the system assigns it to no other program, nor to a reconnecting client, which would then connect to itself.
#[derive(Debug)]
pub(crate) struct Reservation(#[expect(dead_code, reason = "keeps the socket open")] TcpSocket);

impl Reservation {
    /// `None` where the system does not let two programs bind one port: there, a restart may find it taken.
    pub(crate) fn of(port: u16) -> Option<Self> {
        if !cfg!(target_os = "linux") {
            return None;
        }
        let socket = TcpSocket::new_v4().ok()?;
        socket.set_reuseaddr(true).ok()?;
        socket.bind(([127, 0, 0, 1], port).into()).ok()?;
        Some(Self(socket))
    }
}
