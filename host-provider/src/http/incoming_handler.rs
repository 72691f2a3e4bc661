//! `wasi:http/incoming-handler`, as guests export it: one request, streams both ways.

use bytes::Bytes;
use h8s_nats::ExchangeContext;
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::sync::oneshot;
use wasmtime::Store;
use wasmtime::component::Instance;
use wasmtime_wasi_http::p2::bindings::ProxyIndices;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::{Error, WasiHttpView};

use crate::instance::{Call, GuestState};

/// What a guest sets through `response-outparam`.
pub(crate) type Answer = Result<Response<HyperOutgoingBody>, ErrorCode>;

/// One request, for `handle`.
pub(crate) struct Handle<B> {
    proxy: ProxyIndices,
    request: Request<B>,
    answer: oneshot::Sender<Answer>,
}

impl<B> Handle<B> {
    /// `request` has an authority or a `Host`. The answer arrives while the call still runs.
    pub(crate) fn new(proxy: ProxyIndices, request: Request<B>) -> (Self, oneshot::Receiver<Answer>) {
        let (answer, answered) = oneshot::channel();
        (Self { proxy, request, answer }, answered)
    }
}

impl<B> Call for Handle<B>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Output = ();

    async fn run(self, store: &mut Store<GuestState>, instance: Instance) -> wasmtime::Result<()> {
        let Self { proxy, request, answer } = self;
        let is_secure =
            request.extensions().get::<ExchangeContext>().is_some_and(|context| context.is_secure);
        let scheme = if is_secure { Scheme::Https } else { Scheme::Http };
        let request =
            request.map(|body| body.map_err(|error| Error::InternalError(Some(error.into().to_string()))));
        let request = store.data_mut().http().new_incoming_request(scheme, request)?;
        let answer = store.data_mut().http().new_response_outparam(answer)?;
        let proxy = proxy.load(&mut *store, &instance)?;
        proxy.wasi_http_incoming_handler().call_handle(store, request, answer).await
    }
}
