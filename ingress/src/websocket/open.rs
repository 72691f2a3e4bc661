//! From a request for a WebSocket to a running connection, or to the refusal that the client gets instead.

use std::sync::Arc;
use std::time::Duration;

use h8s_nats::UpstreamSession;
use h8s_wire::Host;
use http::{Method, Request};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::connection::Connection;
use super::outbox::Outbox;
use super::{Asked, Ending, Slot, WebSockets, handshake, socket, upgrade};
use crate::Upstream;
use crate::access_log::Record;
use crate::admission::Rejection;
use crate::exchange::{Answer, Edge, Passage, into_answer};
use crate::live::Policy;
use crate::open::{Busy, ClientConnection, Open};
use crate::rescue::{Failure, ResponseFault};
use crate::shutdown::Phase;
use crate::upstream::WebSocketResponse;

/// A WebSocket whose client is about to get its 101.
struct Opened {
    upgrade: OnUpgrade,
    leg: Box<UpstreamSession>,
    slot: Slot,
    client: Arc<ClientConnection>,
    policy: Arc<Policy>,
    /// The client's whole connection becomes the WebSocket; over HTTP/2 it is only a stream of it.
    is_alone: bool,
    drops_oldest: bool,
    /// Said when it is over.
    record: Option<Box<Record>>,
}

impl<U: Upstream> Edge<U> {
    /// Asks a responder before the client has its 101: until then the client can be refused with any response.
    ///
    /// # Cancel safety
    /// Dropping it withdraws the question.
    pub(crate) async fn open_websocket(
        &self,
        asked: Asked,
        mut open: Open,
        mut request: Request<Incoming>,
        passage: &mut Passage,
    ) -> Result<Answer<U>, Failure> {
        let upgrade = hyper::upgrade::on(&mut request);
        let (slot, host, request) = match self.admit_websocket(request, passage) {
            Ok(admitted) => admitted,
            Err(failure) => return open.fail(failure),
        };
        let config = &passage.policy.websockets;
        let drops_oldest = config.drop_oldest.covers(&host, request.uri().path());
        let (headers, leg) = match self.upstream.open_websocket(&host, request).await {
            Ok(WebSocketResponse::Accepted { headers, leg }) => (headers, leg),
            Ok(WebSocketResponse::Refused(response)) if response.status().is_success() => {
                return open.fail(ResponseFault::Status(response.status().as_u16()).into());
            }
            Ok(WebSocketResponse::Refused(response)) => return into_answer(&Method::GET, response, open),
            Err(error) => return open.fail(error.into()),
        };
        let is_alone = asked.accept.is_some();
        let response = match handshake::accepted(asked, headers) {
            Ok(response) => response,
            Err(fault) => return open.fail(fault.into()),
        };
        open.complete();
        let mut record = passage.record.take();
        if let Some(record) = &mut record {
            record.answered(response.status(), None);
        }
        let (client, policy) = (passage.connection.clone(), passage.policy.clone());
        let opened = Opened { upgrade, leg, slot, client, policy, is_alone, drops_oldest, record };
        self.websockets.tasks.spawn(self.websockets.clone().serve(opened));
        Ok(response)
    }

    /// The request as the responder gets it: an extended CONNECT, whatever it was.
    fn admit_websocket(
        &self,
        request: Request<Incoming>,
        passage: &mut Passage,
    ) -> Result<(Slot, Host, Request<()>), Failure> {
        let (mut head, _no_body) = request.into_parts();
        let Policy { admission, websockets, .. } = &*passage.policy;
        let admitted = admission.admit_websocket(&head, &websockets.allowed_origins, &self.upstream)?;
        let slot = self.websockets.slot().ok_or(Rejection::TooManyWebSockets)?;
        passage.describe(&mut head, &admitted);
        upgrade::strip_handshake(&mut head.headers);
        head.method = Method::CONNECT;
        Ok((slot, admitted.host, Request::from_parts(head, ())))
    }
}

impl WebSockets {
    /// Runs one connection, until it has ended on both sides or the gateway is cut off.
    async fn serve(self: Arc<Self>, opened: Opened) {
        let mut shutdown = self.shutdown.clone();
        tokio::select! {
            () = self.run(opened) => {}
            // What is dropped here says so itself: the leg 1006, the socket by its reset.
            () = shutdown.reached(Phase::Cut) => self.metrics.websockets.closed(&Ending::Cut),
        }
    }

    async fn run(&self, opened: Opened) {
        let Opened { upgrade, mut leg, slot, client, policy, is_alone, drops_oldest, record: _record } =
            opened;
        let config = &policy.websockets;
        let _busy = Busy::new(client.clone());
        let upgraded = match upgrade.await {
            Ok(upgraded) => upgraded,
            Err(error) => return tracing::debug!(%error, "a client left before it had its WebSocket"),
        };
        let (stream, input, direct) = socket::open(upgraded, is_alone.then_some(client));
        let outbox = Outbox::new(direct, config.queue_bytes, drops_oldest, self.metrics.clone());
        let outbox = Arc::new(outbox);
        let mut connection = Connection::new(stream, outbox.clone(), input, config, self.metrics.clone());
        leg.establish(outbox);
        let ending = connection.converse(&mut leg, self.shutdown.clone(), self.drain_window).await;
        tracing::debug!(connection = %leg.id(), ?ending, "a WebSocket ends");
        // Boxed, so that a connection which goes on has no room set aside for its end.
        Box::pin(self.end(connection, leg, slot, &ending, config.close_timeout)).await;
    }

    async fn end(
        &self,
        mut connection: Connection,
        leg: Box<UpstreamSession>,
        mut slot: Slot,
        ending: &Ending,
        close_timeout: Duration,
    ) {
        connection.finish(ending, close_timeout).await;
        self.metrics.websockets.closed(ending);
        let socket = async {
            connection.linger().await;
            slot.client_left();
        };
        tokio::join!(socket, leg.close(ending.close()));
    }
}
