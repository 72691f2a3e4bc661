//! What the host keeps for one instance, in its store.

use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::engine::limits::{Limits, MemoryMeter};
use crate::instance::configuration::Configuration;
use crate::instance::output::{Channel, GuestLog, GuestOutput};
use crate::outgoing::Outgoing;
use crate::outgoing::handler::Hooks;
use crate::outgoing::upload::Life;
use crate::push::guest_sender::GuestSender;

/// Random bytes that a guest may request in one call; the host holds them meanwhile.
const RANDOM_BYTES: u64 = 1 << 20;

/// Streams and pollables that an instance may keep from one call to the next: guests open standard input, output and
/// error when they first need them, each with a pollable, and leave them open.
const STREAMS_KEPT: usize = 6;

/// What every instance of a component is given.
pub(crate) struct GuestSetup {
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) configuration: Configuration,
    /// `None`: no request may be sent.
    pub(crate) outgoing: Option<Arc<Outgoing>>,
    pub(crate) limits: Limits,
    pub(crate) log: Arc<GuestLog>,
}

/// The host's side of one instance.
pub(crate) struct GuestState {
    // First, so that it is dropped before the bodies of requests in the table.
    _life: Life,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    pub(super) memory: MemoryMeter,
    hooks: Hooks,
    pub(crate) configuration: Configuration,
    pub(crate) sender: GuestSender,
}

impl GuestState {
    pub(super) fn new(setup: &GuestSetup) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(setup.limits.resources);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(setup.limits.head_bytes);
        // Nothing is inherited: no arguments, no files, no sockets, no input.
        let wasi = WasiCtx::builder()
            .envs(&setup.environment)
            .stdout(GuestOutput::new(Arc::clone(&setup.log), Channel::Output))
            .stderr(GuestOutput::new(Arc::clone(&setup.log), Channel::Error))
            .max_random_size(RANDOM_BYTES)
            .build();
        let life = Life::default();
        let hooks = Hooks::new(setup.outgoing.as_ref(), life.end());
        Self {
            _life: life,
            wasi,
            http,
            table,
            memory: MemoryMeter::new(&setup.limits),
            hooks,
            configuration: setup.configuration.clone(),
            sender: GuestSender::unconnected(),
        }
    }

    /// Prepares the state for a call, which may send `requests` requests.
    pub(super) fn begin_call(&mut self, sender: GuestSender, requests: usize) {
        self.hooks.begin_call(requests);
        self.sender = sender;
    }

    /// Whether the last call left no request, body, header list or other resource open. One more at each call would add
    /// up, or keep its exchange from ending. (No stream of a body outlives the body.)
    pub(super) fn is_settled(&mut self) -> bool {
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
