//! Local services behind the reverse daemon: clients over sockets, gateway, NATS, daemon and backend, all real.

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

/// A response with this body on a persistent connection.
fn ok(body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A backend that answers with the method and target of the request.
async fn echoing_origin() -> ServingOrigin {
    RawOrigin::bind().await.serve(request_line)
}

fn request_line(request: &RawRequest) -> Vec<u8> {
    ok(format!("{} {}", request.head.method, request.head.target))
}
