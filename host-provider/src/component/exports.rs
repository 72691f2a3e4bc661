//! The exports of a component that this host calls.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{ComponentNamedList, InstancePre, Lift, Lower};
use wasmtime_wasi_http::p2::bindings::ProxyIndices;

use crate::bindings::{h8s, original};
use crate::instance::GuestState;

/// The exports, looked up once.
pub(crate) struct Exports {
    /// `wasi:http/incoming-handler`.
    pub(crate) http: Option<ProxyIndices>,
    pub(crate) request_reply: Option<RequestReply>,
    pub(crate) receiver: Option<Receiver>,
    pub(crate) lifecycle: Option<h8s::exported::lifecycle::GuestIndices>,
}

/// `request-reply`, of one package or the other.
#[derive(Clone)]
pub(crate) enum RequestReply {
    Ours(h8s::exported::request_reply::GuestIndices),
    Original(original::exported::request_reply::GuestIndices),
}

/// `receiver`, of one package or the other.
#[derive(Clone)]
pub(crate) enum Receiver {
    Ours(h8s::exported::receiver::GuestIndices),
    Original(original::exported::receiver::GuestIndices),
}

/// A component must export one of these; for errors.
pub(crate) const NEEDED: &str =
    "wasi:http/incoming-handler@0.2, h8s:provider/request-reply@0.1 or h8s:provider/receiver@0.1";

/// Matches any version of WASI 0.2: look-ups accept compatible versions.
const HTTP: &str = "wasi:http/incoming-handler@0.2.0";
const REQUEST_REPLY: &str = "h8s:provider/request-reply@0.1.0";
const RECEIVER: &str = "h8s:provider/receiver@0.1.0";
const LIFECYCLE: &str = "h8s:provider/lifecycle@0.1.0";
const ORIGINAL_REQUEST_REPLY: &str = "mattilsynet:h8s-provider/request-reply@0.1.0";
const ORIGINAL_RECEIVER: &str = "mattilsynet:h8s-provider/receiver@0.1.0";

const HANDLE_MESSAGE: &str = "handle-message";

impl Exports {
    /// Looks up all exports.
    ///
    /// # Errors
    ///
    /// An export of a known name has another type.
    pub(crate) fn of(pre: &InstancePre<GuestState>) -> wasmtime::Result<Self> {
        Ok(Self {
            http: found(pre, HTTP, || ProxyIndices::new(pre))?,
            request_reply: match found(pre, REQUEST_REPLY, || request_reply(pre))? {
                None => found(pre, ORIGINAL_REQUEST_REPLY, || original_request_reply(pre))?,
                ours => ours,
            },
            receiver: match found(pre, RECEIVER, || receiver(pre))? {
                None => found(pre, ORIGINAL_RECEIVER, || original_receiver(pre))?,
                ours => ours,
            },
            lifecycle: found(pre, LIFECYCLE, || lifecycle(pre))?,
        })
    }

    /// Whether it answers HTTP requests.
    pub(crate) fn has_http(&self) -> bool {
        self.http.is_some() || self.request_reply.is_some()
    }
}

fn found<T>(
    pre: &InstancePre<GuestState>,
    name: &str,
    look_up: impl FnOnce() -> wasmtime::Result<T>,
) -> wasmtime::Result<Option<T>> {
    match pre.component().get_export_index(None, name) {
        Some(_) => look_up().map(Some),
        None => Ok(None),
    }
}

fn request_reply(pre: &InstancePre<GuestState>) -> wasmtime::Result<RequestReply> {
    use h8s::exported::request_reply::{GuestIndices, Msg};
    check::<(&Msg,), (Result<Msg, String>,)>(pre, REQUEST_REPLY, HANDLE_MESSAGE)?;
    GuestIndices::new(pre).map(RequestReply::Ours)
}

fn original_request_reply(pre: &InstancePre<GuestState>) -> wasmtime::Result<RequestReply> {
    use original::exported::request_reply::{GuestIndices, Msg};
    check::<(&Msg,), (Result<Msg, String>,)>(pre, ORIGINAL_REQUEST_REPLY, HANDLE_MESSAGE)?;
    GuestIndices::new(pre).map(RequestReply::Original)
}

fn receiver(pre: &InstancePre<GuestState>) -> wasmtime::Result<Receiver> {
    use h8s::exported::receiver::{Frame, GuestIndices, Origin};
    check::<(&Origin, &Frame), (Result<(), String>,)>(pre, RECEIVER, HANDLE_MESSAGE)?;
    GuestIndices::new(pre).map(Receiver::Ours)
}

fn original_receiver(pre: &InstancePre<GuestState>) -> wasmtime::Result<Receiver> {
    use original::exported::receiver::{GuestIndices, Msg};
    check::<(&Msg,), (Result<String, String>,)>(pre, ORIGINAL_RECEIVER, HANDLE_MESSAGE)?;
    GuestIndices::new(pre).map(Receiver::Original)
}

fn lifecycle(pre: &InstancePre<GuestState>) -> wasmtime::Result<h8s::exported::lifecycle::GuestIndices> {
    use h8s::exported::lifecycle::{Acceptance, Connection, GuestIndices, Origin, Refusal};
    check::<(&Connection,), (Result<Acceptance, Refusal>,)>(pre, LIFECYCLE, "on-open")?;
    check::<(&Origin, u16, &str), ()>(pre, LIFECYCLE, "on-close")?;
    GuestIndices::new(pre)
}

/// Checks a function's parameters and result. wasmtime would only check them in an instance, at the first request.
fn check<P, R>(pre: &InstancePre<GuestState>, interface: &str, name: &str) -> wasmtime::Result<()>
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift,
{
    let component = pre.component();
    let found =
        component.get_export(None, interface).and_then(|(_, at)| component.get_export(Some(&at), name));
    match found {
        Some((ComponentItem::ComponentFunc(function), _)) => {
            function.typecheck::<P, R>(&pre.instance_type()).map_err(|error| {
                error
                    .context(format!("{interface}: {name} has unexpected parameters or an unexpected result"))
            })
        }
        _ => Err(wasmtime::Error::msg(format!("{interface}: function {name} is missing"))),
    }
}
