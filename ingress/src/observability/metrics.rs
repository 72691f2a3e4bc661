//! What the gateway counts. Every label has a small fixed set of values: no path, host or header of a client is ever
//! one (T20). Handles are made once, so that a request costs a few atomic additions.

use std::time::Duration;

use http::StatusCode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

mod bus;
mod limited;
mod websockets;

use bus::BusMetrics;
pub(crate) use limited::{Limit, Limited};
pub(crate) use websockets::WebSocketMetrics;

use crate::BusState;

type Label = [(&'static str, &'static str); 1];

const STATUS_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// From half a millisecond, which an answer over a local NATS takes, to the longest usual `--request-timeout`.
const HEAD_SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// What became of a new configuration or certificate.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reloads {
    Taken,
    Refused,
}

/// The gateway's metrics, as `/metrics` shows them.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) connections: Gauge,
    pub(crate) connections_total: Counter,
    pub(crate) in_flight: Gauge,
    pub(crate) request_bytes: Counter,
    pub(crate) response_bytes: Counter,
    pub(crate) cut_by_upstream: Counter,
    pub(crate) cut_by_client: Counter,
    pub(crate) cut_by_gateway: Counter,
    pub(crate) limited: Limited,
    pub(crate) websockets: WebSocketMetrics,
    pub(crate) lost_lines: Counter,
    reloads: [Counter; 2],
    responses: [Counter; STATUS_CLASSES.len()],
    rescued: Family<Label, Counter>,
    head_seconds: Histogram,
    bus: BusMetrics,
    registry: Registry,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("h8s_ingress");
        let responses = Family::<Label, Counter>::default();
        let cut = Family::<Label, Counter>::default();
        let reloads = Family::<Label, Counter>::default();
        let metrics = Self {
            connections: Gauge::default(),
            connections_total: Counter::default(),
            in_flight: Gauge::default(),
            request_bytes: Counter::default(),
            response_bytes: Counter::default(),
            cut_by_upstream: cut.get_or_create_owned(&[("by", "upstream")]),
            cut_by_client: cut.get_or_create_owned(&[("by", "client")]),
            cut_by_gateway: cut.get_or_create_owned(&[("by", "gateway")]),
            limited: Limited::register(&mut registry),
            websockets: WebSocketMetrics::register(&mut registry),
            lost_lines: Counter::default(),
            reloads: ["taken", "refused"].map(|result| reloads.get_or_create_owned(&[("result", result)])),
            responses: STATUS_CLASSES.map(|class| responses.get_or_create_owned(&[("status", class)])),
            rescued: Family::default(),
            head_seconds: Histogram::new(HEAD_SECONDS),
            bus: BusMetrics::register(&mut registry),
            registry: Registry::default(),
        };
        metrics.register(&mut registry, responses, cut);
        registry.register(
            "reloads",
            "Configurations and certificates read again, by what became of them",
            reloads,
        );
        Self { registry, ..metrics }
    }

    fn register(
        &self,
        registry: &mut Registry,
        responses: Family<Label, Counter>,
        cut: Family<Label, Counter>,
    ) {
        registry.register("connections", "Client connections open now", self.connections.clone());
        registry.register(
            "accepted_connections",
            "Client connections accepted",
            self.connections_total.clone(),
        );
        registry.register("exchanges_in_flight", "Exchanges not yet ended", self.in_flight.clone());
        registry.register(
            "access_log_lost",
            "Lines of the access log that nobody took in time",
            self.lost_lines.clone(),
        );
        registry.register("responses", "Response heads sent, by class of status", responses);
        registry.register("cut", "Exchanges that ended early, by who left", cut);
        registry.register(
            "rescued",
            "Refusals and failures answered by the gateway itself",
            self.rescued.clone(),
        );
        registry.register_with_unit(
            "request_body",
            "Body bytes taken from clients",
            Unit::Bytes,
            self.request_bytes.clone(),
        );
        registry.register_with_unit(
            "response_body",
            "Body bytes sent to clients",
            Unit::Bytes,
            self.response_bytes.clone(),
        );
        registry.register_with_unit(
            "response_head",
            "Time from request head to response head",
            Unit::Seconds,
            self.head_seconds.clone(),
        );
    }

    /// A response head goes out, this long after its request's.
    pub(crate) fn answered(&self, status: StatusCode, after: Duration) {
        let class = usize::from(status.as_u16() / 100).clamp(1, STATUS_CLASSES.len());
        self.responses[class - 1].inc();
        self.head_seconds.observe(after.as_secs_f64());
    }

    /// A configuration or a certificate was read again.
    pub(crate) fn reloads(&self, result: Reloads) {
        self.reloads[result as usize].inc();
    }

    /// The gateway answers by itself. `reason` is one of `rescue`'s few words.
    pub(crate) fn rescued(&self, reason: &'static str) {
        self.rescued.get_or_create(&[("reason", reason)]).inc();
    }

    /// The OpenMetrics text. `bus` is how things are there now.
    pub(crate) fn render(&self, bus: &BusState) -> Result<String, std::fmt::Error> {
        self.bus.set(bus);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
