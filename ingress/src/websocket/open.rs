//! Opens a WebSocket: from the client's request to a running connection, or to a refusal.

use std::sync::Arc;
use std::time::Duration;

use h8s_nats::UpstreamSession;
use h8s_wire::Host;
use http::{Method, Request};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::connection::Connection;
use super::outbox::Outbox;
use super::{Ending, Slot, UpgradeRequest, WebSockets, handshake, socket};
use crate::Upstream;
use crate::config::handle::Policy;
use crate::http::admission::Rejection;
use crate::http::error_response::{Failure, ResponseFault};
use crate::http::service::{Answer, GatewayService, RequestContext, into_answer};
use crate::observability::access_log::Record;
use crate::protection::in_flight::{Busy, ClientConnection, InFlightGuard};
use crate::shutdown::Phase;
use crate::upstream::WebSocketResponse;

/// A WebSocket whose client is about to receive its 101.
struct Opened {
    upgrade: OnUpgrade,
    leg: Box<UpstreamSession>,
    slot: Slot,
    client: Arc<ClientConnection>,
    policy: Arc<Policy>,
    /// The client's whole connection becomes the WebSocket; over HTTP/2 it is only a stream of it.
    is_alone: bool,
    drops_oldest: bool,
    /// Written when the connection ends.
    record: Option<Box<Record>>,
}

impl<U: Upstream> GatewayService<U> {
    /// Asks a responder before the client gets its 101: until then any response can refuse the client.
    ///
    /// # Cancel safety
    /// Dropping the future withdraws the request.
    pub(crate) async fn open_websocket(
        &self,
        asked: UpgradeRequest,
        mut guard: InFlightGuard,
        mut request: Request<Incoming>,
        context: &mut RequestContext,
    ) -> Result<Answer<U>, Failure> {
        let upgrade = hyper::upgrade::on(&mut request);
        let (slot, host, request) = match self.admit_websocket(request, context) {
            Ok(admitted) => admitted,
            Err(failure) => return guard.fail(failure),
        };
        let config = &context.policy.websockets;
        let drops_oldest = config.drop_oldest.covers(&host, request.uri().path());
        let (headers, leg) = match self.upstream.open_websocket(&host, request).await {
            Ok(WebSocketResponse::Accepted { headers, leg }) => (headers, leg),
            Ok(WebSocketResponse::Refused(response)) if response.status().is_success() => {
                return guard.fail(ResponseFault::Status(response.status().as_u16()).into());
            }
            Ok(WebSocketResponse::Refused(response)) => return into_answer(&Method::GET, response, guard),
            Err(error) => return guard.fail(error.into()),
        };
        let is_alone = asked.accept.is_some();
        let response = match handshake::accepted(asked, headers) {
            Ok(response) => response,
            Err(fault) => return guard.fail(fault.into()),
        };
        guard.complete();
        let mut record = context.record.take();
        if let Some(record) = &mut record {
            record.answered(response.status(), None);
        }
        let (client, policy) = (context.connection.clone(), context.policy.clone());
        let opened = Opened { upgrade, leg, slot, client, policy, is_alone, drops_oldest, record };
        self.websockets.tasks.spawn(self.websockets.clone().serve(opened));
        Ok(response)
    }

    /// Admits the request and rewrites it to an extended CONNECT for the responder.
    fn admit_websocket(
        &self,
        request: Request<Incoming>,
        context: &mut RequestContext,
    ) -> Result<(Slot, Host, Request<()>), Failure> {
        let (mut head, _no_body) = request.into_parts();
        let Policy { admission, websockets, .. } = &*context.policy;
        let admitted = admission.admit_websocket(&head, &websockets.allowed_origins, &self.upstream)?;
        let slot = self.websockets.slot().ok_or(Rejection::TooManyWebSockets)?;
        context.describe(&mut head, &admitted);
        h8s_wire::websocket_handshake::strip(&mut head.headers);
        head.method = Method::CONNECT;
        Ok((slot, admitted.host, Request::from_parts(head, ())))
    }
}

impl WebSockets {
    /// Runs one connection until it has ended on both sides, or the gateway shuts down at once.
    async fn serve(self: Arc<Self>, opened: Opened) {
        let mut shutdown = self.shutdown.clone();
        tokio::select! {
            () = self.run(opened) => {}
            // Dropping closes both sides: upstream with 1006, the socket with a reset.
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
            Err(error) => return tracing::debug!(%error, "a client left before its WebSocket was open"),
        };
        let (stream, input, direct) = socket::open(upgraded, is_alone.then_some(client));
        let outbox = Outbox::new(direct, config.queue_bytes, drops_oldest, self.metrics.clone());
        let outbox = Arc::new(outbox);
        let mut connection = Connection::new(stream, outbox.clone(), input, config, self.metrics.clone());
        leg.establish(outbox);
        let ending = connection.converse(&mut leg, self.shutdown.clone(), self.drain_window).await;
        tracing::debug!(connection = %leg.id(), ?ending, "a WebSocket ended");
        // Boxed, so that an open connection reserves no memory for its close.
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
