//! Knowing that the server has our subscriptions, and everything we published.
//!
//! A flush only empties our socket. The server handles what one connection says in order, so a message of our own that
//! comes back to our own inbox proves that it has seen everything before. (In a cluster, the other servers learn of a
//! subscription a little later.) "No responders" from a subject where nobody is would prove the same, but is not said
//! while somebody listens to everything, as `nats sub 'h8s.>'` does.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h8s_wire::{ExchangeId, Frame, Inbox};

use crate::exchange::endpoint::{Endpoint, subject};
use crate::exchange::failure::Stop;
use crate::exchange::handle::Exchange;
use crate::exchange::mailbox::{Carries, Terms};
use crate::exchange::registry::random_id;
use crate::plain::inbox::PlainInbox;

/// A server that does not answer for this long has denied us the inbox, or is not there.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The server did not answer.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "NATS did not confirm the subscriptions within {TIMEOUT:?}: does this user have the permissions that PROTOCOL.md §2 lists?"
)]
pub struct Unconfirmed;

/// Waits until the server has handled everything that the plain connection said so far.
pub(crate) async fn plain(port: &Arc<PlainInbox>) -> Result<(), Unconfirmed> {
    let exchange = port.open();
    let round = async {
        let headers = async_nats::HeaderMap::new();
        let own = exchange.own.clone();
        let published = port.connection.publish_plain(own, None, headers, Bytes::new()).await;
        published.map_err(|_| Unconfirmed)?;
        exchange.next().await.map(drop).map_err(|_| Unconfirmed)
    };
    tokio::time::timeout(TIMEOUT, round).await.unwrap_or(Err(Unconfirmed))
}

/// The same for the native connection: an exchange with ourselves, which we cancel.
pub(crate) async fn native(port: &Arc<Endpoint>, inbox: &Inbox) -> Result<(), Unconfirmed> {
    let id = ExchangeId::from_bytes(random_id());
    let own = subject(inbox.exchange(id));
    let terms =
        Terms { granted: 0, limit: 0, peer: Some(own.clone()), carries: Carries::Bytes, progress: None };
    let exchange =
        Exchange::register(port, inbox, id, port.subjects.gateway_replies(), terms).ok_or(Unconfirmed)?;
    let cancel = Frame::Cancel.encode().map_err(|_| Unconfirmed)?;
    let round = async {
        port.publish(own.clone(), own, cancel).await.map_err(|_| Unconfirmed)?;
        match exchange.stopped().await {
            Stop::Unread => Ok(()),
            Stop::Failed => Err(Unconfirmed),
        }
    };
    tokio::time::timeout(TIMEOUT, round).await.unwrap_or(Err(Unconfirmed))
}
