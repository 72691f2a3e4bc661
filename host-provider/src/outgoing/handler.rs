//! `wasi:http/outgoing-handler`, as guests import it; and how this host does HTTP for them otherwise.

use std::sync::Arc;

use http::{HeaderName, Request, Response};
use wasmtime_wasi_http::{DEFAULT_FORBIDDEN_HEADERS, Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::outgoing::{Outgoing, Sender};
use crate::outgoing::upload::Ended;

/// The largest piece of body that a guest may write in one call: half of what fits in one frame.
const BODY_PIECE_BYTES: usize = 64 * 1024;

/// Pieces that may wait between guest and exchange. wasmtime adds one: 320 KiB at most for each body.
const BODY_PIECES: usize = 4;

/// The same for bodies after the first [`WIDE_BODIES`] of a call: 8 KiB at most. They work as well, only slower; and all
/// that an instance can have the host hold stays below what its own memory may be.
const NARROW_PIECE_BYTES: usize = 4 * 1024;
const NARROW_PIECES: usize = 1;
const WIDE_BODIES: usize = 32;

/// One instance's.
pub(crate) struct Hooks {
    /// `None`: all requests are denied.
    outgoing: Option<(Arc<Outgoing>, Sender)>,
    /// What the call under way may still send, and how many bodies it has begun.
    requests_left: usize,
    bodies: usize,
}

type Sent = Result<(Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>), Error>;

impl Hooks {
    pub(crate) fn new(outgoing: Option<&Arc<Outgoing>>, end: Ended) -> Self {
        let outgoing = outgoing.map(|outgoing| (Arc::clone(outgoing), Sender::new(end)));
        Self { outgoing, requests_left: 0, bodies: 0 }
    }

    /// Every call begins anew: `requests` may be sent.
    pub(crate) fn begin_call(&mut self, requests: usize) {
        self.requests_left = requests;
        self.bodies = 0;
    }
}

impl WasiHttpHooks for Hooks {
    /// Headers of the connection are the gateway's affair, or the client's, whichever way they travel.
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        DEFAULT_FORBIDDEN_HEADERS.contains(name)
    }

    /// The client sets it, from the destination that was allowed.
    fn set_host_header(&mut self) -> bool {
        false
    }

    /// The future is a task of its own, which ends with the instance.
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
            // The body drives its connection; there is nothing else to keep going.
            let rest: Box<dyn Future<Output = Result<(), Error>> + Send> =
                Box::new(std::future::ready(Ok(())));
            Ok((response, rest))
        })
    }

    /// Asked once for each body, and before [its pieces](Self::p2_outgoing_body_chunk_size).
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
        // given as many bodies as there can be resources
        let limits = crate::Limits::default();
        let mut hooks = Hooks::new(None, Life::default().end());
        hooks.begin_call(limits.requests);
        // when
        let of_one = |_| (hooks.p2_outgoing_body_buffer_chunks() + 1) * hooks.p2_outgoing_body_chunk_size();
        let bytes: Vec<usize> = (0..limits.resources).map(of_one).collect();
        // then
        assert!(bytes[0] >= 256 << 10 && *bytes.last().unwrap() > 0);
        assert!(bytes.iter().sum::<usize>() < limits.memory_bytes);
        // And the next call begins anew.
        hooks.begin_call(limits.requests);
        assert_eq!(hooks.p2_outgoing_body_buffer_chunks(), BODY_PIECES);
    }
}
