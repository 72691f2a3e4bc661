//! How long a body is awaited before its head leaves without it.

use std::time::Duration;

use bytes::Bytes;
use h8s_wire::MAX_INLINE_BYTES;
use http_body::Body;

use crate::error::BoxError;
use crate::exchange::body_writer::Outgoing;

/// How long a short declared body may take to arrive before its head goes ahead: a client on a good connection
/// sends both at once.
const INLINE_WAIT: Duration = Duration::from_millis(20);

/// Reads the first bytes of a request body, for its `HEAD`.
///
/// One declared within the inline limit is awaited briefly; a larger or open-ended one never delays the head.
pub(crate) async fn of_request<B>(body: &mut Outgoing<B>)
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let is_short = body.upper_bound().is_some_and(|upper| upper <= MAX_INLINE_BYTES as u64);
    if is_short {
        let _ = tokio::time::timeout(INLINE_WAIT, body.fill(MAX_INLINE_BYTES + 1)).await;
    } else {
        body.fill_ready(MAX_INLINE_BYTES).await;
    }
}

/// The same of a response body: what is there at once, or after everybody else on this thread had a turn. A head
/// is never held back for a slow body.
pub(crate) async fn of_response<B>(body: &mut Outgoing<B>)
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    body.fill_ready(MAX_INLINE_BYTES + 1).await;
    if !body.is_whole() && body.ready_bytes() <= MAX_INLINE_BYTES {
        tokio::task::yield_now().await;
        body.fill_ready(MAX_INLINE_BYTES + 1).await;
    }
}
