//! HTTP requests at a component: `wasi:http`, and `request-reply`.

pub(crate) mod body;
pub(crate) mod incoming_handler;
pub(crate) mod msg;
pub(crate) mod request_body;
pub(crate) mod request_reply;
pub(crate) mod request_run;
