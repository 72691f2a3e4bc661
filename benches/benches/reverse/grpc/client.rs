//! tonic's client with concurrent calls.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt as _};
use http::uri::PathAndQuery;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::bytes_codec::BytesCodec;
use super::server::{CALL, CONVERSATION};

/// The bytes of a small message.
const MESSAGE: &[u8] = b"a message of thirty-two letters.";

/// Connections to one address.
pub(super) struct Client(Vec<Grpc<Channel>>);

impl Client {
    pub(super) async fn connect(address: SocketAddr, connections: usize) -> Self {
        let mut clients = Vec::with_capacity(connections);
        for _ in 0..connections {
            let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("it is a URL");
            let channel = endpoint.tcp_nodelay(true).connect().await;
            clients.push(Grpc::new(channel.expect("the server accepts")));
        }
        Self(clients)
    }

    pub(super) async fn is_answered(&self) -> bool {
        call(&mut self.0[0].clone()).await.is_ok()
    }

    /// Makes concurrent calls for this duration. Returns the time of each.
    pub(super) async fn round(&self, concurrency: usize, time: Duration) -> Vec<Duration> {
        let end = Instant::now() + time;
        let mut all = JoinSet::new();
        for client in self.0.iter().cycle().take(concurrency) {
            let mut client = client.clone();
            all.spawn(async move {
                let mut times = Vec::new();
                while Instant::now() < end {
                    let begin = Instant::now();
                    let answer = call(&mut client).await.expect("calls are answered");
                    assert_eq!(answer, MESSAGE);
                    times.push(begin.elapsed());
                }
                times
            });
        }
        all.join_all().await.concat()
    }

    /// Echoes numbered messages and checks their order. At most `under_way` are in flight: each one that returns
    /// releases the next.
    pub(super) async fn conversation(&self, messages: u64, under_way: usize) {
        let mut client = self.0[0].clone();
        client.ready().await.expect("it is connected");
        let places = Arc::new(Semaphore::new(under_way));
        let request = Request::new(numbers(messages, Arc::clone(&places)));
        let path = PathAndQuery::from_static(CONVERSATION);
        let answer = client.streaming(request, path, BytesCodec).await.expect("it is accepted");
        let mut answers = answer.into_inner();
        for number in 0..messages {
            let message =
                answers.message().await.expect("the stream continues").expect("there is another message");
            assert_eq!(*message, number.to_be_bytes(), "in order");
            places.add_permits(1);
        }
        assert!(answers.message().await.expect("it ends well").is_none(), "nothing more");
    }
}

fn numbers(messages: u64, places: Arc<Semaphore>) -> impl Stream<Item = Bytes> + Send {
    stream::iter(0..messages).then(move |number| {
        let places = Arc::clone(&places);
        async move {
            places.acquire().await.expect("the semaphore is never closed").forget();
            Bytes::copy_from_slice(&number.to_be_bytes())
        }
    })
}

async fn call(client: &mut Grpc<Channel>) -> Result<Bytes, Status> {
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let request = Request::new(Bytes::from_static(MESSAGE));
    let answer = client.unary(request, PathAndQuery::from_static(CALL), BytesCodec).await?;
    Ok(answer.into_inner())
}
