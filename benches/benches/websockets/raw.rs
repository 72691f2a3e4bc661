//! The machine's own limit: a loop that only writes the same bytes to the same number of sockets.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};

use h8s_benches::{Cost, Meter};

use crate::readers::{Order, Readers};

/// One connection per client.
pub(crate) struct RawLoop {
    readers: Readers,
    sockets: Vec<TcpStream>,
    frame: Vec<u8>,
    processes: [u32; 1],
}

impl RawLoop {
    pub(crate) async fn start(count: usize, times: usize, frame: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let accepting = std::thread::spawn(move || {
            let sockets = listener.incoming().take(count).map(|socket| socket.expect("a client connects"));
            sockets.inspect(|socket| socket.set_nodelay(true).expect("a socket")).collect()
        });
        let order = Order { address, count, path: None, round_bytes: count * times * frame.len() };
        let readers = Readers::start(&order).await;
        let sockets = accepting.join().expect("all clients have connected");
        Self { readers, sockets, frame, processes: [std::process::id()] }
    }

    /// Writes to each socket in turn, `MESSAGES` times, until all clients have received all bytes.
    pub(crate) async fn round(&mut self, times: usize, cost: &mut Cost) {
        let meter = Meter::start(&self.processes);
        for _ in 0..times {
            for socket in &mut self.sockets {
                socket.write_all(&self.frame).expect("a client is there");
            }
        }
        self.readers.round().await;
        meter.stop(cost);
    }
}
