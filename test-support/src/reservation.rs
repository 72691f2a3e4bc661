//! A port that stays taken while its server is away.

use tokio::net::TcpSocket;

/// Binds without listening, which a server that sets `SO_REUSEADDR` (all do) may do as well: clients are refused as if
/// nobody were there, and the system gives the port to no other program, nor to a client that tries to reconnect and
/// would find itself there.
#[derive(Debug)]
pub(crate) struct Reservation(#[expect(dead_code, reason = "kept open, and that is all")] TcpSocket);

impl Reservation {
    /// `None` where the system does not allow two programs to bind it: a restart needs luck there.
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
