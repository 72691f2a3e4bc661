//! The tower service of one component: it answers a request, or refuses it before any work is done; and it opens
//! WebSockets, which begin as requests.

pub(crate) mod load;
pub(crate) mod swap;

use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use h8s_nats::{Bus, Connections, ExchangeContext, Refused, ResponseTimeout, WebSocketUpgrade};
use h8s_wire::{Host, Subjects};
use http::{Request, Response, StatusCode, header};
use http_body::Body;
use tokio::time::Instant;
use tower_service::Service;

use crate::component::deployment::Deployment;
use crate::component::{Component, ComponentSource};
use crate::engine::cache::CodeCache;
use crate::http::answer;
use crate::http::body::ComponentBody;
use crate::http::request_body::RequestBody;
use crate::http::request_reply;
use crate::instance::fault::plain;
use crate::push::guest_sender::GuestSender;
use crate::push::scope::PushScope;
use crate::websocket;

/// Answers requests with a component, each in an instance of its own. Clones share the component's limits.
///
/// A request with a [`WebSocketUpgrade`] among its extensions opens a WebSocket. An accepted one is served by its own
/// task while it is open.
///
/// Must be called, and its bodies read, within a tokio runtime with timers.
///
/// A failing guest is never an error of the service: before the response head it is a 500 or 504 response, afterwards an
/// error of the body. The service's only error is [`Refused::Busy`], when the limits of running and waiting exchanges
/// are reached.
#[derive(Clone)]
pub struct ComponentService(Arc<Deployment>);

impl ComponentService {
    pub(crate) fn new(component: Component, source: ComponentSource, cache: Option<CodeCache>) -> Self {
        Self(Arc::new(Deployment::new(component, source, cache)))
    }

    pub(crate) fn deployment(&self) -> &Arc<Deployment> {
        &self.0
    }

    /// Whether it answers HTTP requests.
    pub fn serves_http(&self) -> bool {
        self.0.peek().exports.has_http()
    }

    /// Whether it serves WebSockets.
    pub fn serves_websockets(&self) -> bool {
        self.0.peek().exports.receiver.is_some()
    }

    /// Whether it imports `sender`, and needs the list of open connections.
    pub fn sends(&self) -> bool {
        self.0.peek().imports_sender
    }

    /// Sets which connections the component can push to: those of `hosts`. `bus` serves a replacement of the component
    /// that is the first to import `sender`. Only the first call counts; before it, every push fails.
    pub fn connect(&self, bus: Bus, subjects: Subjects, hosts: Vec<Host>, connections: Option<Connections>) {
        let connections = connections.map_or_else(OnceLock::new, OnceLock::from);
        self.0.set_scope(PushScope { subjects, hosts, connections, bus: Some(bus) });
    }

    /// The name of the component in logs.
    pub fn name(&self) -> &str {
        &self.0.source.name
    }

    /// The file that the component was loaded from.
    pub fn file(&self) -> &Path {
        &self.0.source.file
    }

    /// Exchanges and messages under way: instances that run now.
    pub fn running(&self) -> usize {
        self.0.admission.running()
    }

    /// Instances kept for another call, for tests and metrics: see [`Limits::reuse`](crate::Limits::reuse).
    pub fn idle_instances(&self) -> usize {
        self.0.peek().template.idle.count()
    }

    /// Open WebSockets, for tests and metrics.
    pub fn open_websockets(&self) -> usize {
        self.0.websockets.len()
    }

    /// Waits until no call is under way and no WebSocket is open. For a service that receives no more requests.
    pub async fn idle(&self) {
        self.0.websockets.close();
        self.0.websockets.wait().await;
        self.0.admission.idle().await;
    }

    async fn dispatch<B>(self, mut request: Request<B>) -> Result<Response<ComponentBody>, Refused>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let timeout = self.0.source.limits.timeout;
        let requested = request.extensions().get::<ExchangeContext>().and_then(|context| context.deadline);
        let due = Instant::now() + timeout;
        let deadline = requested.map_or(due, |requested| requested.min(due));
        match request.extensions_mut().remove::<WebSocketUpgrade>() {
            Some(upgrade) => {
                // The messages are not a body.
                let request = request.map(|_body| ());
                let response = websocket::open(&self.0, upgrade, request, deadline).await?;
                Ok(response.map(ComponentBody::whole))
            }
            None => {
                let (head, body) = request.into_parts();
                let (body, progress) = RequestBody::new(body);
                let response_timeout = match progress {
                    // A slow upload is not the guest's fault.
                    Some(progress) => ResponseTimeout::WhileMoving { progress, timeout, at_most: requested },
                    None => ResponseTimeout::Until(deadline),
                };
                self.answer(Request::from_parts(head, body), response_timeout).await
            }
        }
    }

    async fn answer<B>(
        self,
        request: Request<B>,
        response_timeout: ResponseTimeout,
    ) -> Result<Response<ComponentBody>, Refused>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if !names_its_host(&request) {
            return Ok(refused(StatusCode::BAD_REQUEST, "The request names no host.\n"));
        }
        if !self.serves_http() {
            return Ok(refused(StatusCode::NOT_FOUND, "Only WebSockets are served here.\n"));
        }
        let permit = self.0.admission.admit(response_timeout.ends()).await?;
        // Only now: a request that waited uses the component that was swapped in meanwhile.
        let component = self.0.component();
        let sender = GuestSender::new(self.0.scope(), None, &self.0.source.limits);
        Ok(match (&component.exports.http, &component.exports.request_reply) {
            (Some(proxy), _) => {
                let proxy = proxy.clone();
                answer::answer(component, proxy, permit, sender, request, response_timeout).await
            }
            (None, Some(export)) => {
                let answer =
                    request_reply::answer(&component, export, permit, sender, request, response_timeout);
                answer.await.map(ComponentBody::whole)
            }
            (None, None) => unreachable!("a replacement serves what its predecessor did"),
        })
    }
}

fn refused(status: StatusCode, text: &'static str) -> Response<ComponentBody> {
    plain(status, text).map(ComponentBody::whole)
}

/// `wasi:http` gives every request an authority.
fn names_its_host<B>(request: &Request<B>) -> bool {
    let host = || request.headers().get(header::HOST).is_some_and(|host| host.to_str().is_ok());
    request.uri().authority().is_some() || host()
}

type Dispatched = Pin<Box<dyn Future<Output = Result<Response<ComponentBody>, Refused>> + Send>>;

impl<B> Service<Request<B>> for ComponentService
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<ComponentBody>;
    type Error = Refused;
    type Future = Dispatched;

    /// Always ready. The call refuses an excess of requests, so that the gateway can try another responder.
    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Refused>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Dispatched {
        Box::pin(self.clone().dispatch(request))
    }
}

impl std::fmt::Debug for ComponentService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ComponentService")
            .field("name", &self.name())
            .field("running", &self.running())
            .finish()
    }
}
