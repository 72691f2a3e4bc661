//! One instance of a component: a store of its own, its limits, and the call that it runs.
//!
//! Every exchange has a fresh one. It runs only while somebody polls it, and dropping it frees all that it holds
//! at once.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h8s_nats::ExchangeContext;
use http::{HeaderName, Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::sync::oneshot;
use wasmtime::component::ResourceTable;
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
    WasiHttpView,
};

use crate::component::Component;
use crate::fault::Fault;
use crate::limits::MemoryMeter;
use crate::output::{Channel, GuestOutput};

/// The largest piece of body that a guest may write in one call: half of what fits in one frame.
const BODY_PIECE_BYTES: usize = 64 * 1024;

/// Pieces that may wait between guest and exchange. wasmtime adds one: 320 KiB at most for each response.
const BODY_PIECES: usize = 4;

/// Random bytes that a guest may ask for in one call; the host keeps them meanwhile.
const RANDOM_BYTES: u64 = 1 << 20;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What the host keeps for one instance.
pub(crate) struct GuestState {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    memory: MemoryMeter,
    hooks: Hooks,
}

impl GuestState {
    fn new(component: &Component) -> Self {
        let limits = &component.limits;
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.resources);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(limits.head_bytes);
        // Nothing is inherited: no arguments, no files, no sockets, no input.
        let wasi = WasiCtx::builder()
            .envs(&component.environment)
            .stdout(GuestOutput::new(Arc::clone(&component.log), Channel::Output))
            .stderr(GuestOutput::new(Arc::clone(&component.log), Channel::Error))
            .max_random_size(RANDOM_BYTES)
            .build();
        Self { wasi, http, table, memory: MemoryMeter::new(limits), hooks: Hooks }
    }
}

impl WasiView for GuestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for GuestState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.hooks }
    }
}

/// How this host does HTTP for guests.
struct Hooks;

type Sent = Result<(Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>), Error>;

impl WasiHttpHooks for Hooks {
    /// Headers of the connection are the gateway's affair, whichever way they travel.
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        DEFAULT_FORBIDDEN_HEADERS.contains(name)
    }

    /// Outgoing requests are denied: a guest reaches nothing but the exchange that it answers.
    fn send_request(
        &mut self,
        _request: Request<WasiBody>,
        _options: Option<RequestOptions>,
        _sent: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        Box::new(std::future::ready(Err(Error::HttpRequestDenied)))
    }

    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        BODY_PIECES
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_PIECE_BYTES
    }
}

/// What a guest gives through `response-outparam`.
pub(crate) type Answer = Result<Response<HyperOutgoingBody>, ErrorCode>;

/// How a call ended. Where it returned, the store is handed out, for as long as it lives a body that was not
/// finished can be told from one that was.
pub(crate) type Ending = Result<Store<GuestState>, Fault>;

/// A call under way.
pub(crate) struct Guest {
    call: Pin<Box<dyn Future<Output = Ending> + Send>>,
    spent: Duration,
    budget: Duration,
}

impl Guest {
    /// Makes ready to run `component` for `request`, which has an authority or a `Host`. Nothing runs before the
    /// first poll.
    pub(crate) fn new<B>(component: &Arc<Component>, request: Request<B>) -> (Self, oneshot::Receiver<Answer>)
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (answer, answered) = oneshot::channel();
        let call = Box::pin(call(Arc::clone(component), request, answer));
        (Self { call, spent: Duration::ZERO, budget: component.limits.cpu_budget }, answered)
    }

    /// Lets the guest run until it waits, ends, or has run for as long as one tick of the clock.
    ///
    /// The processor time that this takes is what counts as computing; so the budget is overrun by one tick at most.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        let started = processor_time();
        let ending = self.call.as_mut().poll(cx);
        self.spent += processor_time().saturating_sub(started);
        match ending {
            Poll::Pending if self.spent > self.budget => Poll::Ready(Err(Fault::CpuBudgetSpent(self.budget))),
            ending => ending,
        }
    }
}

/// Processor time of this thread: on a busy machine a guest does not pay for the time that others run.
#[cfg(target_os = "linux")]
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// The next best: what passes while the guest has the thread.
#[cfg(not(target_os = "linux"))]
fn processor_time() -> Duration {
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed()
}

async fn call<B>(component: Arc<Component>, request: Request<B>, answer: oneshot::Sender<Answer>) -> Ending
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut store = new_store(&component);
    match handle(&component, &mut store, request, answer).await {
        Ok(()) => Ok(store),
        Err(error) => {
            let denied = store.data().memory.denied().then_some(component.limits.memory_bytes);
            Err(Fault::of_call(&error, denied))
        }
    }
}

async fn handle<B>(
    component: &Component,
    store: &mut Store<GuestState>,
    request: Request<B>,
    answer: oneshot::Sender<Answer>,
) -> wasmtime::Result<()>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let is_secure = request.extensions().get::<ExchangeContext>().is_some_and(|context| context.is_secure);
    let scheme = if is_secure { Scheme::Https } else { Scheme::Http };
    let request =
        request.map(|body| body.map_err(|error| Error::InternalError(Some(error.into().to_string()))));
    let request = store.data_mut().http().new_incoming_request(scheme, request)?;
    let answer = store.data_mut().http().new_response_outparam(answer)?;
    let proxy = component.pre.instantiate_async(&mut *store).await?;
    proxy.wasi_http_incoming_handler().call_handle(store, request, answer).await
}

fn new_store(component: &Component) -> Store<GuestState> {
    let limits = &component.limits;
    let mut store = Store::new(component.engine.wasmtime(), GuestState::new(component));
    store.limiter(|state| &mut state.memory);
    store.set_hostcall_fuel(limits.host_call_bytes);
    store.set_max_component_handles(limits.handles);
    // At every tick a running guest gives way to the other exchanges of its thread, and `Guest::poll` looks at
    // its budget. Not at the first, which may come at once: what takes less than a tick is never interrupted.
    store.set_epoch_deadline(2);
    store.epoch_deadline_callback(|_| Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now()))));
    store
}
