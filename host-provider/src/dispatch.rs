//! The tower service of one component: a request in, a response out, or a refusal before any work is done.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h8s_nats::{ExchangeContext, Refused};
use http::{Request, Response, StatusCode, header};
use http_body::Body;
use tokio::time::Instant;
use tower_service::Service;

use crate::admission::Admission;
use crate::body::ComponentBody;
use crate::component::Component;
use crate::exchange::Exchange;
use crate::fault::plain;

/// Answers requests with a component, each with an instance of its own. Clones share the component's limits.
///
/// It must be called, and its bodies read, within a tokio runtime with timers.
///
/// What a guest does wrong never becomes an error of the service: until the head is out it is a 500 or 504
/// response, afterwards an error of the body. The service's only error is [`Refused::Busy`], when as many
/// exchanges run and wait as may.
#[derive(Clone)]
pub struct ComponentService(Arc<Shared>);

struct Shared {
    component: Arc<Component>,
    admission: Admission,
}

impl ComponentService {
    pub(crate) fn new(component: Component) -> Self {
        let limits = &component.limits;
        let slots = Arc::clone(component.engine.slots());
        let admission = Admission::new(limits.concurrency, limits.queue, slots);
        Self(Arc::new(Shared { component: Arc::new(component), admission }))
    }

    /// What logs call the component.
    pub fn name(&self) -> &str {
        &self.0.component.name
    }

    /// Exchanges under way: instances that exist at the moment.
    pub fn running(&self) -> usize {
        self.0.admission.running()
    }

    /// Waits until nothing is under way. Meant for a service that gets no more requests.
    pub async fn idle(&self) {
        self.0.admission.idle().await;
    }

    async fn dispatch<B>(self, request: Request<B>) -> Result<Response<ComponentBody>, Refused>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Shared { component, admission } = &*self.0;
        if !names_its_host(&request) {
            return Ok(
                plain(StatusCode::BAD_REQUEST, "The request names no host.\n").map(ComponentBody::whole)
            );
        }
        let timeout = Instant::now() + component.limits.timeout;
        let given = request.extensions().get::<ExchangeContext>().and_then(|context| context.deadline);
        let deadline = given.map_or(timeout, |given| given.min(timeout));
        let permit = admission.admit(deadline).await?;
        Ok(Exchange::answer(Arc::clone(component), permit, request, deadline).await)
    }
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
