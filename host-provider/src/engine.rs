//! The wasmtime engine that every component of a process shares: its settings, its pool, its clock.
//!
//! Every setting is explained where it is set. The limits of a component are in [`limits`].

pub(crate) mod admission;
pub(crate) mod cache;
pub(crate) mod limits;
pub(crate) mod memory_swap;
pub(crate) mod slots;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use wasmtime::{Config, Enabled, Engine, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::Limits;
use crate::engine::memory_swap::Swap;
use crate::engine::slots::Slots;

/// How often a running guest is interrupted. Fine enough that other exchanges on the same thread wait 10 ms at most for a
/// guest that computes, coarse enough to cost nothing measurable.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Ticks between two checks of whether swap was turned on: 10 s.
const TICKS_PER_SWAP_CHECK: u32 = 1000;

/// Linear memories in one component. Nearly all have one; a few composed ones have more.
pub(crate) const MEMORIES_PER_COMPONENT: u32 = 4;

/// Tables in one component: its own, and those of adapters.
const TABLES_PER_COMPONENT: u32 = 8;

/// Core instances in one component. A Rust component has about five; an interpreter with its libraries fifty.
const CORE_INSTANCES_PER_COMPONENT: u32 = 100;

/// Stack of one guest, in bytes. Deeper recursion traps.
const GUEST_STACK_BYTES: usize = 512 * 1024;

/// Stack of one guest together with the host functions that it calls, in bytes.
const FIBER_STACK_BYTES: usize = 2 * 1024 * 1024;

/// The address range of a 32-bit memory. With all of it reserved, compiled code needs no bounds checks.
const WHOLE_MEMORY_BYTES: u64 = 4 << 30;

/// Bytes of a memory that stay mapped for the next instance, which avoids page faults.
const MEMORY_KEPT_BYTES: usize = 2 * 1024 * 1024;

/// The same for tables.
const TABLE_KEPT_BYTES: usize = 512 * 1024;

/// Free slots that keep their last component's memory mapped: the next instance of it has no page faults.
const WARM_SLOTS: u32 = 100;

/// Additional such slots per component, so that a hundred components that alternate need not map theirs each time.
const WARM_PER_COMPONENT: u32 = 2;

/// The size of an engine.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Concurrent instances, over all components. Default 1,000, which reserves (but does not use) about 16 TiB of address
    /// space.
    pub instances: u32,
    /// Number of components. Default 1.
    pub components: u32,
    /// The largest memory that any component may have, in bytes. Default 128 MiB.
    pub memory_bytes: usize,
    /// The largest table that any component may have, in elements. Default 20,000.
    pub table_elements: usize,
}

impl Default for EngineConfig {
    fn default() -> Self {
        let Limits { memory_bytes, table_elements, .. } = Limits::default();
        Self { instances: 1000, components: 1, memory_bytes, table_elements }
    }
}

/// How instances get their memory. The first that the machine allows is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// From a pool, each memory with 4 GiB of address space: the fastest.
    Pool,
    /// From a pool with only as much address space as the memory limit: code checks bounds.
    SmallPool,
    /// Mapped and unmapped for each instance: about four times the cost of an instance.
    OnDemand,
}

/// The engine could not be created.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the WebAssembly engine: {0:#}")]
pub struct EngineError(wasmtime::Error);

/// The engine of a process. Cheap to clone; its clock stops with the last clone.
#[derive(Clone)]
pub struct HostEngine {
    engine: Engine,
    slots: Arc<Slots>,
    config: EngineConfig,
    allocation: Allocation,
}

impl HostEngine {
    /// Creates the engine and starts its clock.
    ///
    /// # Errors
    ///
    /// [`EngineError`] if even the most modest settings are refused, or no thread can be started.
    pub fn new(config: EngineConfig) -> Result<Self, EngineError> {
        let swap = Swap::of_this_process();
        let (engine, allocation) = first_allowed(&config, &swap)?;
        start_clock(engine.weak(), allocation != Allocation::OnDemand && matches!(swap, Swap::Off(_)))
            .map_err(|error| EngineError(error.into()))?;
        let slots = Slots::new(config.instances as usize);
        Ok(Self { engine, slots, config, allocation })
    }

    pub(crate) fn wasmtime(&self) -> &Engine {
        &self.engine
    }

    /// One per instance: wasmtime's pool fails when it is exhausted, instead of waiting.
    pub(crate) fn slots(&self) -> &Arc<Slots> {
        &self.slots
    }

    /// The configuration that the engine was created with.
    pub fn config(&self) -> &EngineConfig {
        &self.config
    }

    /// How instances get their memory.
    pub fn allocation(&self) -> Allocation {
        self.allocation
    }
}

fn first_allowed(config: &EngineConfig, swap: &Swap) -> Result<(Engine, Allocation), EngineError> {
    for allocation in [Allocation::Pool, Allocation::SmallPool] {
        match Engine::new(&settings(config, allocation, swap)) {
            Ok(engine) => {
                log_choice(config, allocation, swap);
                return Ok((engine, allocation));
            }
            Err(error) => tracing::warn!(
                instances = config.instances,
                cause = %format_args!("{error:#}"),
                "cannot reserve the address space for {allocation:?}; instances will cost more",
            ),
        }
    }
    let engine = Engine::new(&settings(config, Allocation::OnDemand, swap)).map_err(EngineError)?;
    log_choice(config, Allocation::OnDemand, swap);
    Ok((engine, Allocation::OnDemand))
}

fn log_choice(config: &EngineConfig, allocation: Allocation, swap: &Swap) {
    let (reset, because) = match (allocation, swap) {
        (Allocation::OnDemand, _) => ("unmap", "there is no pool"),
        (_, Swap::Off(why)) => ("scan for resident pages", why.as_str()),
        (_, Swap::Possible(why)) => ("decommit in batches", why.as_str()),
    };
    tracing::info!(?allocation, instances = config.instances, reset, because, "WebAssembly engine");
}

fn settings(config: &EngineConfig, allocation: Allocation, swap: &Swap) -> Config {
    let mut settings = Config::new();
    settings
        // Guests yield, and can be stopped, wherever they loop. Two to three times cheaper than fuel.
        .epoch_interruption(true)
        // The machinery for WASI 0.3 slows every call, and nothing here uses it yet.
        .concurrency_support(false)
        // Memories start as copy-on-write images of their data: nothing is copied before a guest writes.
        .memory_init_cow(true)
        // Components are compiled at start-up, where all processors are free.
        .parallel_compilation(true)
        // A trap's backtrace names functions; reading DWARF for line numbers would let a guest that traps
        // at every request spend the host's time.
        .wasm_backtrace_details(wasmtime::WasmBacktraceDetails::Disable)
        .max_wasm_stack(GUEST_STACK_BYTES)
        .async_stack_size(FIBER_STACK_BYTES);
    match allocation {
        Allocation::Pool => settings.memory_reservation(WHOLE_MEMORY_BYTES),
        // No guard region either: at this size it would be most of the reservation.
        Allocation::SmallPool => settings.memory_reservation(config.memory_bytes as u64).memory_guard_size(0),
        Allocation::OnDemand => return settings,
    };
    settings.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(config, swap)));
    settings
}

fn pool(config: &EngineConfig, swap: &Swap) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool
        // One of each per instance; as many memories and tables as the most demanding component may have, so that
        // the pool cannot run out while there is a slot.
        .total_component_instances(config.instances)
        .total_stacks(config.instances)
        .total_core_instances(config.instances.saturating_mul(CORE_INSTANCES_PER_COMPONENT))
        .total_memories(config.instances.saturating_mul(MEMORIES_PER_COMPONENT))
        .total_tables(config.instances.saturating_mul(TABLES_PER_COMPONENT))
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_memories_per_component(MEMORIES_PER_COMPONENT)
        .max_tables_per_component(TABLES_PER_COMPONENT)
        .max_memory_size(config.memory_bytes)
        .table_elements(config.table_elements)
        .max_unused_warm_slots(
            WARM_SLOTS.saturating_add(config.components.saturating_mul(WARM_PER_COMPONENT)),
        );
    match swap {
        // Resets exactly the pages that an instance touched and keeps them mapped for the next. Only safe where
        // no touched page can have been swapped out: the scan would not see it.
        Swap::Off(_) => pool
            .pagemap_scan(Enabled::Auto)
            .linear_memory_keep_resident(MEMORY_KEPT_BYTES)
            .table_keep_resident(TABLE_KEPT_BYTES),
        // Gives the pages back to the system, for several instances in one go.
        Swap::Possible(_) => pool.decommit_batch_size(16),
    };
    pool
}

/// One thread ticks for all guests, until the engine is dropped.
///
/// It wakes 100 times a second also while no guest runs. Parking it then would cost every call a check; the wake-ups cost
/// next to nothing.
fn start_clock(engine: EngineWeak, needs_swap_off: bool) -> std::io::Result<()> {
    thread::Builder::new().name("h8s-epoch".into()).spawn(move || run_clock(&engine, needs_swap_off))?;
    Ok(())
}

fn run_clock(engine: &EngineWeak, mut needs_swap_off: bool) {
    for tick in 1_u32.. {
        thread::sleep(TICK);
        match engine.upgrade() {
            Some(engine) => engine.increment_epoch(),
            None => return,
        }
        if needs_swap_off && tick % TICKS_PER_SWAP_CHECK == 0 && swap_turned_on() {
            needs_swap_off = false;
        }
    }
}

fn swap_turned_on() -> bool {
    let Swap::Possible(why) = Swap::of_this_process() else { return false };
    tracing::error!(
        why,
        "swap was turned on, but this process relies on its absence to reset guest memory; restart the process now",
    );
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_allocation_creates_an_engine() {
        let config = EngineConfig { instances: 2, ..EngineConfig::default() };
        for swap in [Swap::Off("test".into()), Swap::Possible("test".into())] {
            for allocation in [Allocation::Pool, Allocation::SmallPool, Allocation::OnDemand] {
                let made = Engine::new(&settings(&config, allocation, &swap));
                assert!(made.is_ok(), "{allocation:?} {swap:?}: {:?}", made.err());
            }
        }
    }

    #[test]
    fn the_clock_ticks_until_the_engine_is_dropped() {
        let engine = Engine::new(&Config::new()).unwrap();
        let weak = engine.weak();
        let clock = thread::spawn(move || run_clock(&weak, false));
        assert!(!clock.is_finished());
        drop(engine);
        clock.join().unwrap();
    }
}
