//! One instance of a component: a store of its own, its limits, and the call that it runs.
//!
//! Every call has one for itself: an exchange, a WebSocket's message, its opening, its end. It is a fresh one, unless the
//! component may be used again (`idle.rs`). It runs only while somebody polls it, and dropping it frees all that it holds
//! at once.

pub(crate) mod configuration;
pub(crate) mod fault;
pub(crate) mod idle;
pub(crate) mod output;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use wasmtime::component::{Instance, ResourceTable};
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::component::Component;
use crate::instance::configuration::Configuration;
use crate::instance::fault::Fault;
use crate::instance::idle::IdleInstances;
use crate::engine::limits::MemoryMeter;
use crate::outgoing::handler::Hooks;
use crate::outgoing::upload::Life;
use crate::instance::output::{Channel, GuestOutput};
use crate::push::guest_sender::Sending;
use crate::engine::slots::Slot;

/// Random bytes that a guest may ask for in one call; the host keeps them meanwhile.
const RANDOM_BYTES: u64 = 1 << 20;

/// Streams and pollables that an instance may keep from one call to the next: guests open standard input, output and
/// error when they first need them, each with a pollable, and leave them open.
const STREAMS_KEPT: usize = 6;

/// What the host keeps for one instance.
pub(crate) struct GuestState {
    // First, so that it is dropped before the bodies of requests in the table.
    _life: Life,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    memory: MemoryMeter,
    hooks: Hooks,
    pub(crate) configuration: Configuration,
    pub(crate) sending: Sending,
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
        let life = Life::default();
        let hooks = Hooks::new(component.outgoing.as_ref(), life.end());
        Self {
            _life: life,
            wasi,
            http,
            table,
            memory: MemoryMeter::new(limits),
            hooks,
            configuration: component.configuration.clone(),
            sending: Sending::nowhere(),
        }
    }

    /// Whether nothing of a call is left over: no request, body, header list or other resource, of which one more at each
    /// call would add up, or keep its exchange from ending. (No stream of a body outlives the body.)
    fn is_settled(&mut self) -> bool {
        let mut kept = 0;
        self.table.iter_mut().all(|resource| {
            kept += 1;
            let is_stream = resource.is::<DynOutputStream>() || resource.is::<DynInputStream>();
            kept <= STREAMS_KEPT && (is_stream || resource.is::<DynPollable>())
        })
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

/// What is asked of a guest.
pub(crate) trait Call: Send + 'static {
    /// What it gives back.
    type Output: Send;

    /// Calls the export. `instance` lives in `store`.
    fn run(
        self,
        store: &mut Store<GuestState>,
        instance: Instance,
    ) -> impl Future<Output = wasmtime::Result<Self::Output>> + Send;
}

/// A call that has returned.
pub(crate) struct Returned<T> {
    pub(crate) value: T,
    /// Handed out, for as long as it lives a body that was not finished can be told from one that was.
    pub(crate) instance: Instantiated,
}

/// An instance between two calls, or after its last.
pub(crate) struct Instantiated {
    store: Store<GuestState>,
    instance: Instance,
    calls: u32,
    home: Weak<IdleInstances>,
}

impl Instantiated {
    /// Calls that it has had.
    pub(crate) fn calls(&self) -> u32 {
        self.calls
    }

    /// What its last call sent. Nothing is left of it here.
    pub(crate) fn take_sending(&mut self) -> Sending {
        std::mem::replace(&mut self.store.data_mut().sending, Sending::nowhere())
    }

    /// Lets it wait for another call of its component, in its place of the engine's, if it may have one.
    pub(crate) fn rest(self, slot: Slot) {
        // Without a home, its component has been exchanged for another: nobody will ask for it.
        match self.home.upgrade() {
            Some(home) => home.put(self, slot),
            // Not before its store, which is what the place is for.
            None => drop((self, slot)),
        }
    }

    /// Makes it ready to wait for another call, or says why there must be none.
    pub(crate) fn settle(&mut self) -> Result<(), &'static str> {
        self.take_sending();
        let state = self.store.data_mut();
        if state.memory.denied() {
            return Err("it reached its memory limit");
        }
        if !state.is_settled() {
            return Err("it has left resources of its last call open");
        }
        Ok(())
    }
}

impl std::fmt::Debug for Instantiated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instantiated").field("calls", &self.calls).finish()
    }
}

/// How a call ended.
pub(crate) type Ending<T = ()> = Result<Returned<T>, Fault>;

/// A call under way.
pub(crate) struct Guest<T = ()> {
    call: Pin<Box<dyn Future<Output = Ending<T>> + Send>>,
    spent: Duration,
    budget: Duration,
}

impl<T> Guest<T> {
    /// Makes ready to run `call` in an instance of `component`. Nothing runs before the first poll.
    pub(crate) fn new<C>(component: &Arc<Component>, sending: Sending, call: C) -> Self
    where
        C: Call<Output = T>,
    {
        let budget = component.limits.cpu_budget;
        let call = Box::pin(run(Arc::clone(component), sending, call));
        Self { call, spent: Duration::ZERO, budget }
    }

    /// Lets the guest run until it waits, ends, or has run for as long as one tick of the clock.
    ///
    /// The processor time that this takes is what counts as computing; so the budget is overrun by one tick at most.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ending<T>> {
        let started = processor_time();
        if let Poll::Ready(ending) = self.call.as_mut().poll(cx) {
            return Poll::Ready(ending);
        }
        self.spent += processor_time().saturating_sub(started);
        if self.spent > self.budget {
            return Poll::Ready(Err(Fault::CpuBudgetSpent(self.budget)));
        }
        Poll::Pending
    }

    /// Runs it to its end, which must come before `deadline`.
    pub(crate) async fn outcome(mut self, deadline: Instant) -> Ending<T> {
        let started = Instant::now();
        let ending = timeout_at(deadline, poll_fn(|cx| self.poll(cx))).await;
        ending.unwrap_or_else(|_| Err(Fault::NotReturned(started.elapsed())))
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

async fn run<C: Call>(component: Arc<Component>, sending: Sending, call: C) -> Ending<C::Output> {
    let (mut store, there) = match component.idle.take() {
        Some(Instantiated { store, instance, calls, .. }) => (store, Some((instance, calls))),
        None => (new_store(&component), None),
    };
    begin_call(&mut store, sending, component.limits.requests);
    let outcome = async {
        let (instance, calls) = match there {
            Some(there) => there,
            None => (component.pre.instantiate_async(&mut store).await?, 0),
        };
        let value = call.run(&mut store, instance).await?;
        Ok((value, instance, calls + 1))
    };
    match outcome.await {
        Ok((value, instance, calls)) => {
            let home = Arc::downgrade(&component.idle);
            Ok(Returned { value, instance: Instantiated { store, instance, calls, home } })
        }
        Err(error) => {
            let denied = store.data().memory.denied().then_some(component.limits.memory_bytes);
            Err(Fault::of_call(&error, denied))
        }
    }
}

fn new_store(component: &Component) -> Store<GuestState> {
    let limits = &component.limits;
    let mut store = Store::new(component.engine.wasmtime(), GuestState::new(component));
    store.limiter(|state| &mut state.memory);
    store.set_hostcall_fuel(limits.host_call_bytes);
    store.set_max_component_handles(limits.handles);
    store.epoch_deadline_callback(|_| Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now()))));
    store
}

/// What every call has for itself. Its CPU budget is the [`Guest`]'s.
fn begin_call(store: &mut Store<GuestState>, sending: Sending, requests: usize) {
    store.data_mut().hooks.begin_call(requests);
    store.data_mut().sending = sending;
    // At every tick a running guest gives way to the other exchanges of its thread, and `Guest::poll` looks at
    // its budget. Not at the first, which may come at once: what takes less than a tick is never interrupted.
    store.set_epoch_deadline(2);
}
