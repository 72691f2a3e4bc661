//! Metrics of WebSockets.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Label;
use crate::websocket::Ending;

#[derive(Debug)]
pub(crate) struct WebSocketMetrics {
    pub(crate) open: Gauge,
    /// Whole messages from clients.
    pub(crate) received: Counter,
    /// Messages from the connections' responders.
    pub(crate) sent: Counter,
    /// Messages pushed or broadcast, once per connection.
    pub(crate) pushes: Counter,
    pub(crate) slow_closed: Counter,
    pub(crate) slow_dropped: Counter,
    closes: Family<Label, Counter>,
}

impl WebSocketMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let (messages, slow) = (Family::<Label, Counter>::default(), Family::<Label, Counter>::default());
        let metrics = Self {
            open: Gauge::default(),
            received: messages.get_or_create_owned(&[("direction", "received")]),
            sent: messages.get_or_create_owned(&[("direction", "sent")]),
            pushes: Counter::default(),
            slow_closed: slow.get_or_create_owned(&[("action", "closed")]),
            slow_dropped: slow.get_or_create_owned(&[("action", "dropped")]),
            closes: Family::default(),
        };
        registry.register("websockets", "Open WebSockets", metrics.open.clone());
        registry.register(
            "websocket_messages",
            "WebSocket messages between clients and their responders, by direction",
            messages,
        );
        registry.register(
            "websocket_pushes",
            "Messages pushed or broadcast, counted once per connection",
            metrics.pushes.clone(),
        );
        registry.register(
            "websocket_slow",
            "Connections closed or pushes dropped because a client was slow, by action",
            slow,
        );
        registry.register("websocket_closes", "WebSockets closed, by class", metrics.closes.clone());
        metrics
    }

    pub(crate) fn closed(&self, ending: &Ending) {
        self.closes.get_or_create(&[("class", ending.class())]).inc();
    }
}
