//! tonic's server as a separate process, which echoes messages.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use h8s_benches::runtime;
use http::{Request, Response};
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::server::Grpc;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Status, Streaming};
use tower_service::Service;

use super::bytes_codec::BytesCodec;

/// The argument that selects the server role.
pub(crate) const ROLE: &str = "--grpc-server";

/// Echoes one message.
pub(super) const CALL: &str = "/bench.Echo/Call";
/// Echoes a stream of messages.
pub(super) const CONVERSATION: &str = "/bench.Echo/Conversation";

/// Never returns.
pub(crate) fn run() {
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        println!("listening on {}", listener.local_addr().expect("a listener has an address"));
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        Server::builder().serve_with_incoming(Echo, incoming).await.expect("it serves");
    });
}

#[derive(Clone, Copy, Debug)]
struct Echo;

impl Service<Request<Body>> for Echo {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = Grpc::new(BytesCodec);
            Ok(match request.uri().path() {
                CALL => grpc.unary(Back, request).await,
                CONVERSATION => grpc.streaming(Back, request).await,
                _ => Status::unimplemented("there is no such call").into_http(),
            })
        })
    }
}

/// Echoes the received messages.
#[derive(Clone, Copy, Debug)]
struct Back;

impl Service<tonic::Request<Bytes>> for Back {
    type Response = tonic::Response<Bytes>;
    type Error = Status;
    type Future = Ready<Result<Self::Response, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        ready(Ok(tonic::Response::new(request.into_inner())))
    }
}

impl Service<tonic::Request<Streaming<Bytes>>> for Back {
    type Response = tonic::Response<Streaming<Bytes>>;
    type Error = Status;
    type Future = Ready<Result<Self::Response, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: tonic::Request<Streaming<Bytes>>) -> Self::Future {
        ready(Ok(tonic::Response::new(request.into_inner())))
    }
}
