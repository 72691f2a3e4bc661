//! One client's connection through the proxy: two directions, each a reader and a writer.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::State;
use super::lane::Lane;
use super::message_reader::MessageReader;

/// The most stretches of one direction in flight. Beyond it the proxy stops reading.
const ON_THE_WAY: usize = 1024;
/// The most bytes per write: about a socket's buffer.
const WRITE_BYTES: usize = 128 * 1024;

/// Bytes in flight, and when they are due.
type Parcel = (Instant, Bytes);

/// Forwards until both directions have ended.
pub(super) async fn forward(
    client: TcpStream,
    server: TcpStream,
    [to_server, to_client]: [Lane; 2],
    state: &watch::Receiver<State>,
) {
    // Sends small messages at once; a failure only delays them.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, into_client) = client.into_split();
    let (from_server, into_server) = server.into_split();
    tokio::join!(
        one_way(from_client, into_server, to_server, state.clone()),
        one_way(from_server, into_client, to_client, state.clone()),
    );
}

async fn one_way(from: OwnedReadHalf, into: OwnedWriteHalf, lane: Lane, state: watch::Receiver<State>) {
    let (sender, parcels) = mpsc::channel(ON_THE_WAY);
    tokio::join!(read(from, lane, state.clone(), sender), write(into, parcels, state));
}

/// Ends when the sender has closed, or the receiver is gone.
async fn read(
    mut from: OwnedReadHalf,
    mut lane: Lane,
    state: watch::Receiver<State>,
    sender: mpsc::Sender<Parcel>,
) {
    let mut reader = MessageReader::default();
    loop {
        tokio::select! {
            read = from.read_buf(&mut reader.buffer) => match read {
                Ok(0) | Err(_) => break,
                Ok(_) => lane.set_faults(&state.borrow().faults),
            },
            () = lane.overdue() => {
                let released = lane.release();
                if !send(&sender, &lane, released).await {
                    return;
                }
            }
        }
        while let Some(stretch) = reader.next() {
            let passed = lane.pass(stretch);
            if !send(&sender, &lane, passed).await {
                return;
            }
        }
    }
    let last = [lane.release().unwrap_or_default(), reader.rest()];
    send(&sender, &lane, last).await;
}

/// Returns whether the writer is still running.
async fn send(sender: &mpsc::Sender<Parcel>, lane: &Lane, all: impl IntoIterator<Item = Bytes>) -> bool {
    let due = Instant::now() + lane.delay();
    for bytes in all {
        if sender.send((due, bytes)).await.is_err() {
            return false;
        }
    }
    true
}

async fn write(
    mut into: OwnedWriteHalf,
    mut parcels: mpsc::Receiver<Parcel>,
    mut state: watch::Receiver<State>,
) {
    let (mut batch, mut next) = (BytesMut::new(), None);
    loop {
        let Some((due, bytes)) = or_receive(next.take(), &mut parcels).await else { break };
        // A timer takes a millisecond even if it is due.
        if due > Instant::now() {
            tokio::time::sleep_until(due).await;
        }
        batch.extend_from_slice(&bytes);
        while batch.len() < WRITE_BYTES
            && let Ok((due, bytes)) = parcels.try_recv()
        {
            if due > Instant::now() {
                next = Some((due, bytes));
                break;
            }
            batch.extend_from_slice(&bytes);
        }
        if state.wait_for(|state| !state.frozen).await.is_err() || into.write_all(&batch).await.is_err() {
            return;
        }
        batch.clear();
    }
    // The peer may have closed already.
    let _ = into.shutdown().await;
}

async fn or_receive(next: Option<Parcel>, parcels: &mut mpsc::Receiver<Parcel>) -> Option<Parcel> {
    match next {
        Some(parcel) => Some(parcel),
        None => parcels.recv().await,
    }
}
