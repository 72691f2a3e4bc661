//! Knowing that the server has our subscriptions, and everything we published.
//!
//! A flush only empties our socket. The server handles what one connection says in order, so an answer from it that
//! follows a SUB or PUB proves that it has seen them: we publish where nobody listens, and wait for it to say so.
//! (In a cluster, the other servers learn of a subscription a little later.)

use std::time::Duration;

use async_nats::Subject;
use h8s_wire::{ExchangeId, GatewayId, Host, ResponderId, Subjects};

use crate::plain_port::{PlainFailure, PlainPort};
use crate::port::{Port, Side, subject};
use crate::registry::random_id;

/// A server that does not answer for this long has denied us the inbox, or is not there.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The server did not answer.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "NATS did not confirm the subscriptions within {TIMEOUT:?}: does this user have the permissions that PROTOCOL.md §2 lists?"
)]
pub struct Unconfirmed;

/// A subject of the other side's inboxes, where this side may publish, and where nobody is.
pub(crate) fn nobody(subjects: &Subjects, side: Side, host: &Host) -> Subject {
    let exchange = ExchangeId::from_bytes(random_id());
    let inbox = match side {
        Side::Gateway => subjects.responder_inbox(host, ResponderId::from_bytes(random_id())),
        Side::Responder => subjects.gateway_inbox(GatewayId::from_bytes(random_id())),
    };
    subject(inbox.exchange(exchange))
}

/// Waits until the server has handled everything that the plain connection said so far.
pub(crate) async fn plain(port: &std::sync::Arc<PlainPort>, nobody: Subject) -> Result<(), Unconfirmed> {
    let exchange = port.open();
    let answer = async {
        let own = Some(exchange.own.clone());
        let headers = async_nats::HeaderMap::new();
        port.connection
            .publish_plain(nobody, own, headers, bytes::Bytes::new())
            .await
            .map_err(|_| Unconfirmed)?;
        match exchange.next().await {
            Err(PlainFailure::NoResponders) => Ok(()),
            _ => Err(Unconfirmed),
        }
    };
    tokio::time::timeout(TIMEOUT, answer).await.unwrap_or(Err(Unconfirmed))
}

/// The same for the native connection.
pub(crate) async fn native(
    port: &std::sync::Arc<Port>,
    inbox: &h8s_wire::Inbox,
    nobody: Subject,
) -> Result<(), Unconfirmed> {
    use crate::exchange::Exchange;
    use crate::mailbox::{Failure, Terms};

    let id = ExchangeId::from_bytes(random_id());
    let terms = Terms { granted: 0, limit: 0, peer: None };
    let exchange =
        Exchange::register(port, inbox, id, port.subjects.gateway_replies(), terms).ok_or(Unconfirmed)?;
    let answer = async {
        exchange.send_sequenced(nobody, bytes::Bytes::from_static(b"\x06")).await.map_err(|_| Unconfirmed)?;
        match exchange.opened().await {
            Err(Failure::NoResponders) => Ok(()),
            _ => Err(Unconfirmed),
        }
    };
    tokio::time::timeout(TIMEOUT, answer).await.unwrap_or(Err(Unconfirmed))
}
