//! What happens to a request: from its head to the last byte of its response.

pub(crate) mod admission;
pub(crate) mod error_response;
pub(crate) mod forwarded;
pub(crate) mod grpc;
pub(crate) mod header_policy;
pub(crate) mod hex;
pub(crate) mod host_filter;
pub(crate) mod request_body;
pub(crate) mod response_body;
pub(crate) mod service;
pub(crate) mod traceparent;
