//! Measures the chain through the reverse daemon. Gateway, NATS server, daemon and backend are separate processes on
//! loopback.
//!
//! Compared figures are measured in the same run; see `README.md`.

mod backend;
mod grpc;
mod native;
mod requests;
mod setup;
mod slow;
mod streams;

use h8s_benches::runtime;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let first = arguments.next();
    match first.as_deref() {
        Some(backend::ROLE) => return backend::run(),
        Some(native::ROLE) => {
            return native::run(&arguments.next().expect("the NATS URL follows the role"));
        }
        Some(grpc::ROLE) => return grpc::run(),
        _ => {}
    }
    let chosen = |name: &str| first.as_deref().is_none_or(|filter| name.contains(filter));
    let runtime = runtime();
    if chosen("requests") {
        runtime.block_on(requests::measure());
    }
    if chosen("streams") {
        runtime.block_on(streams::measure());
    }
    if chosen("slow") {
        runtime.block_on(slow::measure());
    }
    if chosen("grpc") {
        runtime.block_on(grpc::measure());
    }
}
