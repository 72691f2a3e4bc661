//! The gateway's own counters of reached limits.

use std::collections::BTreeMap;

use h8s_benches::programs::Gateway;
use h8s_test_support::http_client::get;

/// The counters of interest, by name and labels.
pub(crate) struct Limited(BTreeMap<String, u64>);

/// Limits by name, and refusals by reason.
const COUNTERS: [&str; 4] = [
    "h8s_ingress_limited_total",
    "h8s_ingress_rescued_total",
    "h8s_ingress_cut_total",
    "h8s_ingress_reloads_total",
];

impl Limited {
    pub(crate) async fn of(gateway: &Gateway) -> Self {
        let (_, _, text) = get(&format!("{}/metrics", gateway.operators)).await;
        let text = String::from_utf8_lossy(&text).into_owned();
        let lines = text.lines().filter(|line| COUNTERS.iter().any(|name| line.starts_with(name)));
        let pairs = lines.filter_map(|line| line.rsplit_once(' '));
        Self(pairs.filter_map(|(name, count)| Some((name.to_owned(), count.parse().ok()?))).collect())
    }

    /// The increased counters: `limited{limit="header"} +1250`.
    pub(crate) fn since(&self, before: &Self) -> String {
        let grown = self.0.iter().filter_map(|(name, count)| {
            let more = count - before.0.get(name).copied().unwrap_or_default();
            let name = name.trim_start_matches("h8s_ingress_").replace("_total", "");
            (more > 0).then(|| format!("{name} +{more}"))
        });
        grown.collect::<Vec<_>>().join(", ")
    }
}
