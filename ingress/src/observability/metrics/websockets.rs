//! What the gateway counts about WebSockets.

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
    /// Messages of the responders that own connections.
    pub(crate) sent: Counter,
    /// Messages pushed or broadcast: one for each connection.
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
        registry.register("websockets", "WebSockets open now", metrics.open.clone());
        registry.register(
            "websocket_messages",
            "Messages from clients, and of their responders to them",
            messages,
        );
        registry.register(
            "websocket_pushes",
            "Messages pushed or broadcast to connections, one for each",
            metrics.pushes.clone(),
        );
        registry.register(
            "websocket_slow",
            "Connections closed, or pushes dropped, because a client did not keep up",
            slow,
        );
        registry.register("websocket_closes", "WebSockets ended, by how", metrics.closes.clone());
        metrics
    }

    pub(crate) fn closed(&self, ending: &Ending) {
        self.closes.get_or_create(&[("class", ending.class())]).inc();
    }
}
