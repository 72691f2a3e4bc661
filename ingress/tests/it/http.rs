mod admission;
mod bodies;
mod cut;
pub(crate) mod error_responses;
mod expect;
mod forwarded;
mod grpc;
mod leaving;
mod trailers;
