//! Asks a backend for a WebSocket, on a connection of its own.

use std::pin::pin;
use std::time::Duration;

use h8s_wire::reserved::strip_hop_by_hop;
use http::{HeaderMap, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::task::AbortOnDropHandle;

use super::stream::Stream;
use crate::body::ReverseBody;
use crate::http1;

/// What a backend answers.
pub(crate) enum Answer<T> {
    /// 101: the connection is no longer HTTP. Whether it is a WebSocket is to be checked.
    Switched(HeaderMap, Stream<T>),
    /// Anything else.
    Response(Response<ReverseBody>),
}

/// Sends the request and waits for the head of the answer.
///
/// `patience`: how long nothing may come of the rest of an answer that is no 101.
///
/// # Errors
/// The connection ended, or what came is not HTTP.
///
/// # Cancel safety
/// The connection is dropped.
pub(crate) async fn ask<T>(io: T, request: Request<()>, patience: Duration) -> hyper::Result<Answer<T>>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::builder().handshake(TokioIo::new(io)).await?;
    let mut connection = Box::pin(connection.without_shutdown());
    let mut answered = pin!(sender.send_request(request.map(|()| ReverseBody::default())));
    let mut switched = None;
    let response = loop {
        tokio::select! {
            biased;
            response = &mut answered => break response?,
            // With a 101 it may be through before anybody has looked at the response, and so it may with a refusal behind
            // which the backend resets the connection.
            done = &mut connection, if switched.is_none() => switched = Some(done),
        }
    };
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let is_over = switched.is_some();
        let rest = async move {
            if !is_over {
                // Who reads the body hears how it ended.
                let _ = connection.await;
            }
        };
        return Ok(Answer::Response(driven(response, rest, patience)));
    }
    let parts = match switched {
        Some(parts) => parts?,
        None => connection.await?,
    };
    let stream = Stream::new(parts.read_buf, parts.io.into_inner());
    Ok(Answer::Switched(response.into_parts().0.headers, stream))
}

/// A task drives the connection while the body is read, and ends with it.
fn driven(
    response: Response<Incoming>,
    rest: impl Future<Output = ()> + Send + 'static,
    patience: Duration,
) -> Response<ReverseBody> {
    let task = AbortOnDropHandle::new(tokio::spawn(rest));
    let (mut head, incoming) = response.into_parts();
    strip_hop_by_hop(&mut head.headers);
    Response::from_parts(head, ReverseBody::driven_by(incoming, task, patience))
}
