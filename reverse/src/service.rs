//! The service that a [`Responder`](h8s_nats::Responder) calls for each request of one mapping.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use h8s_nats::{Body, BoxError, ExchangeContext, WebSocketUpgrade};
use http::{Request, Response};
use http_body::Body as _;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;
use tower_service::Service;

use crate::forward::error_response::error_response;
use crate::forward::failure::{Failure, RequestLabel};
use crate::forward::mapping::Mapping;
use crate::forward::response_body::ReverseBody;
use crate::forward::{BackendRequest, forward};
use crate::websocket;

/// For requests without a deadline, such as those from a command line.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// Added to the gateway's deadline: the gateway gives up first, responds to the client, and cancels this request.
const DEADLINE_MARGIN: Duration = Duration::from_secs(1);

/// Forwards requests to one backend. Clones share its connections and limits.
#[derive(Clone)]
pub struct ReverseService(Arc<Shared>);

struct Shared {
    mapping: Arc<Mapping>,
    /// The tasks of open WebSockets.
    tasks: TaskTracker,
}

impl ReverseService {
    pub(crate) fn new(mapping: Mapping) -> Self {
        Self(Arc::new(Shared { mapping: Arc::new(mapping), tasks: TaskTracker::new() }))
    }

    /// Waits until no WebSocket is open. Call it after the last request.
    pub async fn idle(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// Dials the backend in the background, so that the log shows an unreachable one before the first request.
    pub fn probe(&self) {
        let mapping = Arc::clone(&self.0.mapping);
        tokio::spawn(async move { mapping.backend().probe().await });
    }

    async fn respond(self, mut request: Request<Body>) -> Result<Response<ReverseBody>, BoxError> {
        let Shared { mapping, tasks } = &*self.0;
        let gateway_deadline =
            request.extensions().get::<ExchangeContext>().and_then(|context| context.deadline);
        let deadline = gateway_deadline.unwrap_or_else(|| Instant::now() + DEFAULT_TIMEOUT) + DEADLINE_MARGIN;
        // The gateway waits while the upload makes progress, and cancels this call afterwards.
        let is_timed_by_gateway = gateway_deadline.is_none() && is_stream(request.body());
        if let Some(upgrade) = request.extensions_mut().remove::<WebSocketUpgrade>() {
            let request = request.map(drop);
            return websocket::open(mapping, upgrade, request, deadline, tasks).await;
        }
        let permit = mapping.backend().permit().await?;
        let (head, body) = request.into_parts();
        let label = RequestLabel::of(&head);
        let (started, is_grpc) = (Instant::now(), label.is_grpc);
        let forwarded = async { forward(mapping, BackendRequest::new(head, body, is_grpc)?, permit).await };
        let forwarded = match is_timed_by_gateway {
            true => Ok(forwarded.await),
            false => timeout_at(deadline, forwarded).await,
        };
        let forwarded = forwarded.unwrap_or_else(|_| Err(Failure::Timeout(started.elapsed())));
        match forwarded {
            Ok(response) => Ok(response.map(|body| body.with_label(label, Arc::clone(mapping)))),
            Err(failure) => error_response(failure, &label, mapping.backend().url()),
        }
    }
}

/// Whether the length of the body is unknown.
fn is_stream(body: &Body) -> bool {
    body.size_hint().exact().is_none()
}

type ResponseFuture = Pin<Box<dyn Future<Output = Result<Response<ReverseBody>, BoxError>> + Send>>;

impl Service<Request<Body>> for ReverseService {
    type Response = Response<ReverseBody>;
    /// [`Refused`](h8s_nats::Refused) or [`LoggedError`](h8s_nats::LoggedError).
    type Error = BoxError;
    type Future = ResponseFuture;

    /// Always ready. Beyond the limits a call is refused, so that the gateway can try another responder.
    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> ResponseFuture {
        Box::pin(self.clone().respond(request))
    }
}

impl std::fmt::Debug for ReverseService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReverseService")
            .field("backend", &self.0.mapping.backend().url())
            .finish_non_exhaustive()
    }
}
