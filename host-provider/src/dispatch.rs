//! The tower service of one component: a request in, a response out, or a refusal before any work is done; and
//! WebSockets, which begin as requests.

use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use arc_swap::ArcSwap;
use bytes::Bytes;
use h8s_nats::{Bus, Connections, ExchangeContext, Refused, ResponseTimeout, WebSocketUpgrade};
use h8s_wire::{Host, Subjects};
use http::{Request, Response, StatusCode, header};
use http_body::Body;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tower_service::Service;

use crate::admission::Admission;
use crate::body::ComponentBody;
use crate::cache::CodeCache;
use crate::component::{Component, ComponentSource};
use crate::exchange::Exchange;
use crate::fault::plain;
use crate::reach::Reach;
use crate::request_body::RequestBody;
use crate::sending::Sending;
use crate::{request_reply, websocket};

/// Answers requests with a component, each with an instance for itself. Clones share the component's limits.
///
/// A request with a [`WebSocketUpgrade`] among its extensions asks for a WebSocket. One that is accepted is served by a
/// task of its own, for as long as it is open.
///
/// It must be called, and its bodies read, within a tokio runtime with timers.
///
/// What a guest does wrong never becomes an error of the service: until the head is out it is a 500 or 504
/// response, afterwards an error of the body. The service's only error is [`Refused::Busy`], when as many
/// exchanges run and wait as may.
#[derive(Clone)]
pub struct ComponentService(Arc<Shared>);

/// What all calls of a component share, and with them those of the components that take its place.
pub(crate) struct Shared {
    current: ArcSwap<Component>,
    /// How it was loaded: its settings stay, whatever takes its place.
    pub(crate) source: ComponentSource,
    pub(crate) cache: Option<CodeCache>,
    /// Held by whoever is putting another in its place.
    pub(crate) swapping: Mutex<()>,
    pub(crate) admission: Admission,
    /// One for each open WebSocket.
    pub(crate) tasks: TaskTracker,
    reach: OnceLock<Arc<Reach>>,
}

impl Shared {
    /// The component that runs at the moment. Whoever begins something takes it once, and finishes with it.
    pub(crate) fn component(&self) -> Arc<Component> {
        self.current.load_full()
    }

    /// What begins from now on has this one.
    pub(crate) fn replace(&self, component: Component) {
        self.current.store(Arc::new(component));
    }

    /// What a call can reach at the moment: nobody, before there is a connection to NATS.
    pub(crate) fn reach(&self) -> Arc<Reach> {
        self.reach.get().cloned().unwrap_or_default()
    }
}

impl ComponentService {
    pub(crate) fn new(component: Component, source: ComponentSource, cache: Option<CodeCache>) -> Self {
        let limits = &source.limits;
        let slots = Arc::clone(component.engine.slots());
        let admission = Admission::new(limits.concurrency, limits.queue, slots);
        let (tasks, reach) = (TaskTracker::new(), OnceLock::new());
        let (current, swapping) = (ArcSwap::from_pointee(component), Mutex::new(()));
        Self(Arc::new(Shared { current, source, cache, swapping, admission, tasks, reach }))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    /// Whether it answers HTTP requests.
    pub fn serves_http(&self) -> bool {
        self.0.current.load().exports.has_http()
    }

    /// Whether it takes messages of WebSockets.
    pub fn serves_websockets(&self) -> bool {
        self.0.current.load().exports.receiver.is_some()
    }

    /// Whether it may want to reach WebSockets, and needs to know which there are.
    pub fn sends(&self) -> bool {
        self.0.current.load().imports_sender
    }

    /// Tells what there is to reach: connections of `hosts`, and no others; over `link`, if what takes the component's place
    /// is the first that wants to. Only the first call counts; before it,
    /// whatever a component wants to send has an error.
    pub fn connect(&self, link: Bus, subjects: Subjects, hosts: Vec<Host>, connections: Option<Connections>) {
        let connections = connections.map_or_else(OnceLock::new, OnceLock::from);
        // Later calls would say the same: a service is served once.
        let _ = self.0.reach.set(Arc::new(Reach { subjects, hosts, connections, link: Some(link) }));
    }

    /// What logs call the component.
    pub fn name(&self) -> &str {
        &self.0.source.name
    }

    /// The file that it was loaded from.
    pub fn file(&self) -> &Path {
        &self.0.source.file
    }

    /// Exchanges and messages under way: instances at work at the moment.
    pub fn running(&self) -> usize {
        self.0.admission.running()
    }

    /// Instances that wait for another call: see [`Limits::reuse`](crate::Limits::reuse).
    pub fn idle_instances(&self) -> usize {
        self.0.current.load().idle.count()
    }

    /// WebSockets that are open here.
    pub fn open_websockets(&self) -> usize {
        self.0.tasks.len()
    }

    /// Waits until nothing is under way and no WebSocket is open. Meant for a service that gets no more requests.
    pub async fn idle(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
        self.0.admission.idle().await;
    }

    async fn dispatch<B>(self, mut request: Request<B>) -> Result<Response<ComponentBody>, Refused>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let timeout = self.0.source.limits.timeout;
        let given = request.extensions().get::<ExchangeContext>().and_then(|context| context.deadline);
        let due = Instant::now() + timeout;
        let deadline = given.map_or(due, |given| given.min(due));
        match request.extensions_mut().remove::<WebSocketUpgrade>() {
            Some(upgrade) => {
                // Messages are no body.
                let request = request.map(|_body| ());
                let response = websocket::open(&self.0, upgrade, request, deadline).await?;
                Ok(response.map(ComponentBody::whole))
            }
            None => {
                let (head, body) = request.into_parts();
                let (body, progress) = RequestBody::new(body);
                let patience = match progress {
                    // A slow upload is not the guest's fault.
                    Some(progress) => ResponseTimeout::WhileMoving { progress, timeout, at_most: given },
                    None => ResponseTimeout::Until(deadline),
                };
                self.answer(Request::from_parts(head, body), patience).await
            }
        }
    }

    async fn answer<B>(
        self,
        request: Request<B>,
        patience: ResponseTimeout,
    ) -> Result<Response<ComponentBody>, Refused>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if !names_its_host(&request) {
            return Ok(said(StatusCode::BAD_REQUEST, "The request names no host.\n"));
        }
        if !self.serves_http() {
            return Ok(said(StatusCode::NOT_FOUND, "Only WebSockets are served here.\n"));
        }
        let permit = self.0.admission.admit(patience.ends()).await?;
        // Only now: whoever has waited gets the component that took over meanwhile.
        let component = self.0.component();
        let sending = Sending::new(self.0.reach(), None, &component.limits);
        Ok(match (&component.exports.http, &component.exports.request_reply) {
            (Some(proxy), _) => {
                let proxy = proxy.clone();
                Exchange::answer(component, proxy, permit, sending, request, patience).await
            }
            (None, Some(export)) => {
                let answer = request_reply::answer(&component, export, permit, sending, request, patience);
                answer.await.map(ComponentBody::whole)
            }
            (None, None) => unreachable!("what takes a component's place serves what it did"),
        })
    }
}

fn said(status: StatusCode, text: &'static str) -> Response<ComponentBody> {
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

    /// Always ready: what is too much is refused by the call, so that the gateway can ask elsewhere.
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
