//! Metrics of NATS.

use std::sync::atomic::Ordering;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::BusState;

/// Copied from the upstream at each scrape.
#[derive(Debug, Default)]
pub(crate) struct BusMetrics {
    connected: Gauge,
    disturbances: Counter,
    credit_stalls: Counter,
    interests: Gauge,
}

impl BusMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("nats_connected", "1 while connected to NATS, else 0", metrics.connected.clone());
        registry.register(
            "nats_disturbances",
            "Events that may have lost NATS messages: reconnects and slow-consumer overflows",
            metrics.disturbances.clone(),
        );
        registry.register(
            "credit_stalls",
            "Times a request body waited for credit from its responder",
            metrics.credit_stalls.clone(),
        );
        registry.register("interests", "Interests currently announced", metrics.interests.clone());
        metrics
    }

    pub(super) fn set(&self, bus: &BusState) {
        self.connected.set(i64::from(bus.is_connected));
        self.disturbances.inner().store(bus.disturbances, Ordering::Relaxed);
        self.credit_stalls.inner().store(bus.credit_stalls, Ordering::Relaxed);
        self.interests.set(i64::try_from(bus.interests).unwrap_or(i64::MAX));
    }
}
