//! HTTP requests at a component.
//!
//! - [`answer`]: a request to a guest's `wasi:http/incoming-handler` ([`incoming_handler`])
//! - [`request_run`]: the guest at work on it, owned by the response's [`body`]
//! - [`request_body`]: counts the progress of an upload
//! - [`request_reply`]: a request as one message ([`msg`]), for guests without `wasi:http`

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod incoming_handler;
pub(crate) mod msg;
pub(crate) mod request_body;
pub(crate) mod request_reply;
pub(crate) mod request_run;
