//! A trivial responder: the NATS client and a loop. It responds to the naive gateway, and to h8sd in the plain dialect,
//! which needs nothing more.

use async_nats::HeaderMap;
use bytes::Bytes;
use futures_util::StreamExt as _;
use h8s_benches::runtime;

use crate::page;

/// The argument that selects the responder role; the NATS URL and the subject follow.
pub(crate) const ROLE: &str = "--responder";
/// The header with the status of a reply (PROTOCOL.md §4).
pub(crate) const STATUS: &str = "Status-Code";
/// Other members of the group would share the requests.
const QUEUE: &str = "h8s";

/// Never returns.
pub(crate) fn run(nats_url: &str, subject: &str) {
    let page = Bytes::from(page::body());
    let mut headers = HeaderMap::new();
    headers.insert(STATUS, "200");
    headers.insert("Content-Type", page::TYPE);
    runtime().block_on(async {
        let nats = async_nats::connect(nats_url).await.expect("the bus can be connected to");
        let requests = nats.queue_subscribe(subject.to_owned(), QUEUE.to_owned()).await;
        let mut requests = requests.expect("it can be subscribed to");
        while let Some(request) = requests.next().await {
            let Some(reply) = request.reply else { continue };
            let sent = nats.publish_with_headers(reply, headers.clone(), page.clone()).await;
            sent.expect("the bus is there");
        }
    });
}
