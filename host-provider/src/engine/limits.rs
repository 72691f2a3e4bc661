//! The limits of one component, and of one instance of it.

use std::time::Duration;

use wasmtime::ResourceLimiter;

/// The limits of one component. The defaults suit a web application and protect the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one instance, over all its memories, in bytes. Default 128 MiB.
    pub memory_bytes: usize,
    /// Elements of one table. Default 20,000, twice what large debug builds of managed languages need.
    pub table_elements: usize,
    /// Bytes that a guest may pass to the host in one call. Default 2 MiB.
    pub host_call_bytes: usize,
    /// Calls of `sender` in one call of the component. More fail. Default 10,000: one to each client of a full gateway.
    pub sends: usize,
    /// Bytes of messages sent through `sender` in one call of the component. More fail. Default 64 MiB.
    pub sent_bytes: usize,
    /// Outgoing requests in one call of the component. More fail (`connection-limit-reached`). Default 1,000.
    pub requests: usize,
    /// Component-model handles open at a time in one instance. Default 10,000.
    pub handles: usize,
    /// Host resources (streams, header lists, timers …) open at a time in one instance. Default 10,000.
    pub resources: usize,
    /// Header fields of one request, response or trailer section, in bytes in memory. Default 128 KiB.
    pub head_bytes: usize,
    /// Wall-clock time until the response head, counted from the arrival of the request, or from the last piece of its body
    /// that the guest read; and again for work after the response is complete. Also for one message of a WebSocket.
    /// Default 30 s.
    pub timeout: Duration,
    /// Processor time of one exchange, or one message; waiting does not count. Default 10 s.
    pub cpu_budget: Duration,
    /// Concurrent exchanges and messages. Default 256.
    pub concurrency: usize,
    /// Exchanges that may wait for one of those to end. More are refused as busy. Messages always wait, which slows down
    /// their clients. Default 256.
    pub queue: usize,
    /// Calls that one instance serves in sequence before it is dropped: requests, and messages of WebSockets. More than one
    /// is faster, but data that a call leaves in memory is visible to the next. Default 1.
    pub reuse: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 128 << 20,
            table_elements: 20_000,
            host_call_bytes: 2 << 20,
            sends: 10_000,
            sent_bytes: 64 << 20,
            requests: 1_000,
            handles: 10_000,
            resources: 10_000,
            head_bytes: 128 << 10,
            timeout: Duration::from_secs(30),
            cpu_budget: Duration::from_secs(10),
            concurrency: 256,
            queue: 256,
            reuse: 1,
        }
    }
}

/// Core instances, memories and tables of one store: the pool allows no more than this either.
const PARTS: usize = 1000;

/// Counts one instance's memory. A guest that is denied more may continue without it; if it traps, the log names the
/// limit.
#[derive(Debug)]
pub(crate) struct MemoryMeter {
    limit_bytes: usize,
    table_elements: usize,
    used_bytes: usize,
    last_growth_bytes: usize,
    denied: bool,
}

impl MemoryMeter {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            limit_bytes: limits.memory_bytes,
            table_elements: limits.table_elements,
            used_bytes: 0,
            last_growth_bytes: 0,
            denied: false,
        }
    }

    /// Whether a request for memory was denied.
    pub(crate) fn denied(&self) -> bool {
        self.denied
    }
}

impl ResourceLimiter for MemoryMeter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let growth = desired.saturating_sub(current);
        if self.used_bytes.saturating_add(growth) > self.limit_bytes {
            self.denied = true;
            self.last_growth_bytes = 0;
            return Ok(false);
        }
        self.used_bytes += growth;
        self.last_growth_bytes = growth;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.used_bytes = self.used_bytes.saturating_sub(std::mem::take(&mut self.last_growth_bytes));
        self.denied = true;
        Ok(())
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= self.table_elements)
    }

    fn instances(&self) -> usize {
        PARTS
    }

    fn tables(&self) -> usize {
        PARTS
    }

    fn memories(&self) -> usize {
        PARTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(limit_bytes: usize) -> MemoryMeter {
        MemoryMeter::new(&Limits { memory_bytes: limit_bytes, ..Limits::default() })
    }

    #[test]
    fn several_memories_share_one_limit() {
        let mut meter = meter(100);
        assert!(meter.memory_growing(0, 60, None).unwrap());
        assert!(!meter.memory_growing(0, 50, None).unwrap());
        assert!(meter.denied());
        assert!(meter.memory_growing(60, 100, None).unwrap());
    }

    #[test]
    fn a_growth_that_fails_is_not_counted() {
        let mut meter = meter(100);
        assert!(meter.memory_growing(0, 60, None).unwrap());
        meter.memory_grow_failed(wasmtime::Error::msg("no")).unwrap();
        assert!(meter.memory_growing(0, 100, None).unwrap());
    }

    #[test]
    fn a_failed_growth_after_a_denial_is_not_subtracted_twice() {
        let mut meter = meter(100);
        assert!(meter.memory_growing(0, 60, None).unwrap());
        assert!(!meter.memory_growing(60, 120, None).unwrap());
        assert_eq!(meter.used_bytes, 60);
    }
}
