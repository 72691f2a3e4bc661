//! Counters of limits hit.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::Label;

/// A limit on one client, or on all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// The system refused a socket.
    Accept,
    ConnectionsPerAddress,
    /// `--handshake-timeout`.
    Handshake,
    /// `--header-timeout`.
    Header,
    /// A head's size, and its number of fields.
    Headers,
    /// `--idle-timeout`.
    Idle,
    /// `--body-timeout`.
    Body,
    /// `--max-body-size`.
    BodySize,
    /// `--write-timeout`.
    Write,
    Exchanges,
    ExchangesPerConnection,
    /// A connection closed for too many stream resets.
    Resets,
    /// Abuse detected by h2, which closes with `ENHANCE_YOUR_CALM`.
    Flood,
    /// `--abuse-pause`.
    Pause,
    WebSockets,
}

impl Limit {
    /// In the order of the variants.
    const LABELS: [&'static str; 15] = [
        "accept",
        "connections_per_address",
        "handshake",
        "header",
        "headers",
        "idle",
        "body",
        "body_size",
        "write",
        "exchanges",
        "exchanges_per_connection",
        "resets",
        "flood",
        "pause",
        "websockets",
    ];
}

/// One counter for each limit.
#[derive(Debug)]
pub(crate) struct Limited([Counter; Limit::LABELS.len()]);

impl Limited {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let limited = Family::<Label, Counter>::default();
        let counters = Limit::LABELS.map(|label| limited.get_or_create_owned(&[("limit", label)]));
        registry.register("limited", "Limits hit, by limit", limited);
        Self(counters)
    }

    pub(crate) fn hit(&self, limit: Limit) {
        self.0[limit as usize].inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_those_of_the_variants() {
        let label = |limit: Limit| Limit::LABELS[limit as usize];

        assert_eq!((label(Limit::Accept), label(Limit::WebSockets)), ("accept", "websockets"));
        assert_eq!((label(Limit::Write), label(Limit::Resets)), ("write", "resets"));
    }
}
