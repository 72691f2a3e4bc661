//! `wasi:http/outgoing-handler`, as guests import it; and the other settings of `wasi:http` in this host.

use std::sync::Arc;

use http::{HeaderName, Request, Response};
use wasmtime_wasi_http::{DEFAULT_FORBIDDEN_HEADERS, Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::outgoing::upload::Ended;
use crate::outgoing::{Outgoing, Sender};

/// The largest piece of a body that a guest may write in one call: half the size of a frame.
const BODY_PIECE_BYTES: usize = 64 * 1024;

/// Pieces queued between guest and exchange. wasmtime adds one: 320 KiB at most for each body.
const BODY_PIECES: usize = 4;

/// The same for bodies after the first [`WIDE_BODIES`] of a call: 8 KiB at most. They are only slower; and the memory that
/// an instance can occupy in the host stays below its own limit.
const NARROW_PIECE_BYTES: usize = 4 * 1024;
const NARROW_PIECES: usize = 1;
const WIDE_BODIES: usize = 32;

/// The hooks of one instance.
pub(crate) struct Hooks {
    /// `None`: all requests are denied.
    outgoing: Option<(Arc<Outgoing>, Sender)>,
    /// Requests that the current call may still send, and bodies that it has begun.
    requests_left: usize,
    bodies: usize,
}

type Sent = Result<(Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>), Error>;

impl Hooks {
    pub(crate) fn new(outgoing: Option<&Arc<Outgoing>>, end: Ended) -> Self {
        let outgoing = outgoing.map(|outgoing| (Arc::clone(outgoing), Sender::new(end)));
        Self { outgoing, requests_left: 0, bodies: 0 }
    }

    /// Resets the counts for a call, which may send `requests` requests.
    pub(crate) fn begin_call(&mut self, requests: usize) {
        self.requests_left = requests;
        self.bodies = 0;
    }
}

impl WasiHttpHooks for Hooks {
    /// Fields that describe the connection are set by the gateway and the client, in both directions.
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        DEFAULT_FORBIDDEN_HEADERS.contains(name)
    }

    /// The client sets it, from the allowed destination.
    fn set_host_header(&mut self) -> bool {
        false
    }

    /// The future runs as a task, which ends with the instance.
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _sent: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let Some((outgoing, sender)) = self.outgoing.clone() else {
            return Box::new(std::future::ready(Err(Error::HttpRequestDenied)));
        };
        let Some(left) = self.requests_left.checked_sub(1) else {
            return Box::new(std::future::ready(Err(Error::ConnectionLimitReached)));
        };
        self.requests_left = left;
        Box::new(async move {
            let response = outgoing.send(sender, request, options).await?;
            // The body drives its connection; no other work remains.
            let rest: Box<dyn Future<Output = Result<(), Error>> + Send> =
                Box::new(std::future::ready(Ok(())));
            Ok((response, rest))
        })
    }

    /// Called once for each body, before [the size of its pieces](Self::p2_outgoing_body_chunk_size).
    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        self.bodies = self.bodies.saturating_add(1);
        if self.bodies > WIDE_BODIES { NARROW_PIECES } else { BODY_PIECES }
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        if self.bodies > WIDE_BODIES { NARROW_PIECE_BYTES } else { BODY_PIECE_BYTES }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outgoing::upload::Life;

    #[test]
    fn t12_all_bodies_of_an_instance_together_are_less_than_its_memory() {
        // given as many bodies as resources are allowed
        let limits = crate::Limits::default();
        let mut hooks = Hooks::new(None, Life::default().end());
        hooks.begin_call(limits.requests);
        // when
        let of_one = |_| (hooks.p2_outgoing_body_buffer_chunks() + 1) * hooks.p2_outgoing_body_chunk_size();
        let bytes: Vec<usize> = (0..limits.resources).map(of_one).collect();
        // then
        assert!(bytes[0] >= 256 << 10 && *bytes.last().unwrap() > 0);
        assert!(bytes.iter().sum::<usize>() < limits.memory_bytes);
        // and the next call starts from zero
        hooks.begin_call(limits.requests);
        assert_eq!(hooks.p2_outgoing_body_buffer_chunks(), BODY_PIECES);
    }
}
