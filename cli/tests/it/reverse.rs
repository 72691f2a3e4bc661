//! Local services behind the reverse daemon: clients over sockets, gateway, NATS, daemon and backend, all of them real.

mod bodies;
mod endings;
mod events;
mod forgery;
mod grpc;
mod heads;
mod httpbin;
mod large;
mod mappings;
mod mistakes;
mod sharing;
mod smuggling;
mod tenants;
mod undrained;
mod websockets;

use h8s_test_support::raw_origin::{RawOrigin, RawRequest, ServingOrigin};

/// A response with this body, over a connection that stays.
fn ok(body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A backend that says which method and target it was asked for.
async fn telling_origin() -> ServingOrigin {
    RawOrigin::bind().await.serve(told)
}

fn told(request: &RawRequest) -> Vec<u8> {
    ok(format!("{} {}", request.head.method, request.head.target))
}
