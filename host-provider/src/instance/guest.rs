//! One call of a guest, in an instance of its own.
//!
//! Every call has an instance to itself: an exchange, a WebSocket's message, its opening, its close. The instance is
//! fresh, unless the component's instances may be reused. It runs only while it is polled, and dropping it frees all
//! that it holds at once.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use wasmtime::component::{Instance, InstancePre};
use wasmtime::{Engine, Store, UpdateDeadline};

use crate::instance::fault::Fault;
use crate::instance::guest_state::{GuestSetup, GuestState};
use crate::instance::idle::{IdleInstances, Instantiated};
use crate::push::guest_sender::GuestSender;

/// What the instances of a component are made from.
pub(crate) struct InstanceTemplate {
    pub(crate) engine: Engine,
    pub(crate) pre: InstancePre<GuestState>,
    pub(crate) setup: GuestSetup,
    /// Instances that may take further calls.
    pub(crate) idle: Arc<IdleInstances>,
}

impl InstanceTemplate {
    fn new_store(&self) -> Store<GuestState> {
        let limits = &self.setup.limits;
        let mut store = Store::new(&self.engine, GuestState::new(&self.setup));
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(limits.host_call_bytes);
        store.set_max_component_handles(limits.handles);
        store.epoch_deadline_callback(|_| {
            Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
        });
        store
    }
}

/// A call of one of a guest's exports.
pub(crate) trait Call: Send + 'static {
    /// What the export returns.
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
    /// Handed out, because as long as it lives an unfinished body can be told from a finished one.
    pub(crate) instance: Instantiated,
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
    /// Prepares `call` in an instance made from `template`. Nothing runs before the first poll.
    pub(crate) fn new<C>(template: &Arc<InstanceTemplate>, sender: GuestSender, call: C) -> Self
    where
        C: Call<Output = T>,
    {
        let budget = template.setup.limits.cpu_budget;
        let call = Box::pin(run(Arc::clone(template), sender, call));
        Self { call, spent: Duration::ZERO, budget }
    }

    /// Runs the guest until it waits, ends, or has run for one tick of the epoch clock.
    ///
    /// The processor time that this takes counts as computing; so the budget is overrun by one tick at most.
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

    /// Runs the call to its end, or fails it at `deadline`.
    pub(crate) async fn outcome(mut self, deadline: Instant) -> Ending<T> {
        let started = Instant::now();
        let ending = timeout_at(deadline, poll_fn(|cx| self.poll(cx))).await;
        ending.unwrap_or_else(|_| Err(Fault::NotReturned(started.elapsed())))
    }
}

/// Processor time of this thread: on a busy machine a guest is not charged for the time that others run.
#[cfg(target_os = "linux")]
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// An approximation: the time that passes while the guest has the thread.
#[cfg(not(target_os = "linux"))]
fn processor_time() -> Duration {
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed()
}

async fn run<C: Call>(template: Arc<InstanceTemplate>, sender: GuestSender, call: C) -> Ending<C::Output> {
    let (mut store, reused) = match template.idle.take() {
        Some(Instantiated { store, instance, calls, .. }) => (store, Some((instance, calls))),
        None => (template.new_store(), None),
    };
    store.data_mut().begin_call(sender, template.setup.limits.requests);
    // At every tick a running guest yields to the other exchanges of its thread, and `Guest::poll` checks its budget.
    // Not at the first, which may come at once: a call that takes less than a tick is never interrupted.
    store.set_epoch_deadline(2);
    let outcome = async {
        let (instance, calls) = match reused {
            Some(reused) => reused,
            None => (template.pre.instantiate_async(&mut store).await?, 0),
        };
        let value = call.run(&mut store, instance).await?;
        Ok((value, instance, calls + 1))
    };
    match outcome.await {
        Ok((value, instance, calls)) => {
            let home = Arc::downgrade(&template.idle);
            Ok(Returned { value, instance: Instantiated { store, instance, calls, home } })
        }
        Err(error) => {
            let denied = store.data().memory.denied().then_some(template.setup.limits.memory_bytes);
            Err(Fault::of_call(&error, denied))
        }
    }
}
