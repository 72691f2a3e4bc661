//! Sends the opening handshake to a backend on a new connection.

use std::pin::pin;
use std::time::Duration;

use h8s_wire::reserved::strip_hop_by_hop;
use http::{HeaderMap, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::task::AbortOnDropHandle;

use super::stream::Stream;
use crate::backend::http1;
use crate::forward::response_body::ReverseBody;

/// The response of a backend.
pub(crate) enum UpgradeResponse<T> {
    /// 101: the connection is no longer HTTP. Check its fields.
    Switched(HeaderMap, Stream<T>),
    /// Any other response.
    Response(Response<ReverseBody>),
}

/// Sends the request and waits for the head of the response. `idle_timeout` limits silence in the body of a response other
/// than 101.
///
/// # Errors
/// The connection ended, or the response is not HTTP.
///
/// # Cancel safety
/// The connection is dropped.
pub(crate) async fn request_upgrade<T>(
    io: T,
    request: Request<()>,
    idle_timeout: Duration,
) -> hyper::Result<UpgradeResponse<T>>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::builder().handshake(TokioIo::new(io)).await?;
    let mut connection = Box::pin(connection.without_shutdown());
    let mut receiving = pin!(sender.send_request(request.map(|()| ReverseBody::default())));
    let mut switched = None;
    let response = loop {
        tokio::select! {
            biased;
            response = &mut receiving => break response?,
            // May end before the response is read: after a 101, and after a refusal if the backend resets the connection.
            done = &mut connection, if switched.is_none() => switched = Some(done),
        }
    };
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let is_ended = switched.is_some();
        let rest = async move {
            if !is_ended {
                // The reader of the body gets its error.
                let _ = connection.await;
            }
        };
        return Ok(UpgradeResponse::Response(driven(response, rest, idle_timeout)));
    }
    let parts = match switched {
        Some(parts) => parts?,
        None => connection.await?,
    };
    let stream = Stream::new(parts.read_buf, parts.io.into_inner());
    Ok(UpgradeResponse::Switched(response.into_parts().0.headers, stream))
}

/// A task drives the connection, and ends with the body.
fn driven(
    response: Response<Incoming>,
    rest: impl Future<Output = ()> + Send + 'static,
    idle_timeout: Duration,
) -> Response<ReverseBody> {
    let task = AbortOnDropHandle::new(tokio::spawn(rest));
    let (mut head, incoming) = response.into_parts();
    strip_hop_by_hop(&mut head.headers);
    Response::from_parts(head, ReverseBody::driven_by(incoming, task, idle_timeout))
}
