//! `wasi:http/outgoing-handler`, as guests import it; and how this host does HTTP for them otherwise.

use std::sync::Arc;

use http::{HeaderName, Request, Response};
use tokio::sync::Semaphore;
use wasmtime_wasi_http::{DEFAULT_FORBIDDEN_HEADERS, Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::outgoing::{Outgoing, PER_INSTANCE};

/// The largest piece of body that a guest may write in one call: half of what fits in one frame.
const BODY_PIECE_BYTES: usize = 64 * 1024;

/// Pieces that may wait between guest and exchange. wasmtime adds one: 320 KiB at most for each body.
const BODY_PIECES: usize = 4;

/// One instance's.
pub(crate) struct Hooks {
    /// And the requests that this instance may still send. `None`: all are denied.
    outgoing: Option<(Arc<Outgoing>, Arc<Semaphore>)>,
}

type Sent = Result<(Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>), Error>;

impl Hooks {
    pub(crate) fn new(outgoing: Option<&Arc<Outgoing>>) -> Self {
        let with_count = |outgoing| (Arc::clone(outgoing), Arc::new(Semaphore::new(PER_INSTANCE)));
        Self { outgoing: outgoing.map(with_count) }
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
        let Some((outgoing, own)) = self.outgoing.clone() else {
            return Box::new(std::future::ready(Err(Error::HttpRequestDenied)));
        };
        Box::new(async move {
            let response = outgoing.send(own, request, options).await?;
            // The body drives its connection; there is nothing else to keep going.
            let rest: Box<dyn Future<Output = Result<(), Error>> + Send> =
                Box::new(std::future::ready(Ok(())));
            Ok((response, rest))
        })
    }

    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        BODY_PIECES
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_PIECE_BYTES
    }
}
