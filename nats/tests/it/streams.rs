//! Large bodies and slow ends: no loss, no unbounded buffer, no endless wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h8s_nats::BoxError;
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};

use crate::fixture::{
    Bus, ServiceBody, body, eventually, exchange, full, get, host, over_both_buses, request, requester,
    responder, within,
};

const MIB: usize = 1024 * 1024;

/// `total` bytes that encode their position, in pieces of `piece` bytes; `sent` counts them as they are polled.
fn pattern(total: usize, piece: usize, sent: Arc<AtomicU64>) -> ServiceBody {
    let mut position = 0;
    let pieces = futures_util::stream::poll_fn(move |_| {
        let end = (position + piece).min(total);
        let bytes: Bytes = (position..end).map(byte_at).collect();
        position = end;
        sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        std::task::Poll::Ready((!bytes.is_empty()).then(|| Ok::<_, BoxError>(Frame::data(bytes))))
    });
    body(StreamBody::new(pieces))
}

fn byte_at(position: usize) -> u8 {
    (position.wrapping_mul(31) ^ (position >> 8)) as u8
}

fn no_count() -> Arc<AtomicU64> {
    Arc::default()
}

/// Reads to the end and checks every byte. Pauses now and then when `slow`.
async fn read<B>(mut body: B, slow: bool) -> Result<usize, BoxError>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    let mut position = 0;
    while let Some(frame) = within(body.frame()).await {
        if let Ok(data) = frame.map_err(Into::into)?.into_data() {
            assert!(data.iter().enumerate().all(|(n, byte)| *byte == byte_at(position + n)), "at {position}");
            let before = position / MIB;
            position += data.len();
            if slow && position / MIB != before {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
    Ok(position)
}

async fn echo(bus: &Bus, read_all_first: bool, slow: bool) {
    let _responder = responder(&bus.url(), "/*", move |request| async move {
        if read_all_first {
            let length = read(request.into_body(), slow).await?;
            return Ok(Response::new(pattern(length, 100_000, no_count())));
        }
        Ok(Response::new(body(request.into_body())))
    })
    .await;
    let requester = requester(&bus.url()).await;
    let upload = pattern(16 * MIB + 7, 70_001, no_count());
    let response = within(requester.send(&host(), request("POST", "/", upload))).await.unwrap();
    assert_eq!(read(response.into_body(), slow).await.unwrap(), 16 * MIB + 7);
    eventually("the exchange is forgotten", async || requester.open_exchanges() == 0).await;
}

over_both_buses! {
    async fn a_handler_that_reads_all_before_answering(bus) {
        echo(&bus, true, false).await;
    }

    async fn a_handler_that_answers_before_reading(bus) {
        echo(&bus, false, false).await;
    }

    async fn both_ends_slow(bus) {
        echo(&bus, false, true).await;
        echo(&bus, true, true).await;
    }

    async fn many_streams_at_once(bus) {
        let _responder = responder(&bus.url(), "/*", |request| async move {
            Ok(Response::new(body(request.into_body())))
        })
        .await;
        let requester = requester(&bus.url()).await;
        let streams = (0..16).map(|n| {
            let requester = requester.clone();
            tokio::spawn(async move {
                let upload = pattern(2 * MIB + n, 8_192, no_count());
                let response = requester.send(&host(), request("POST", "/", upload)).await.unwrap();
                assert_eq!(read(response.into_body(), false).await.unwrap(), 2 * MIB + n);
            })
        });
        for stream in within(futures_util::future::join_all(streams)).await {
            stream.unwrap();
        }
    }

    async fn a_stalled_reader_delays_no_other_exchange_and_costs_one_window(bus) {
        // T19
        let produced = no_count();
        let counter = produced.clone();
        let _responder = responder(&bus.url(), "/*", move |request| {
            let counter = counter.clone();
            async move {
                match request.uri().path() {
                    "/endless" => Ok(Response::new(pattern(1024 * MIB, 16_384, counter))),
                    _ => Ok(Response::new(full("quick"))),
                }
            }
        })
        .await;
        let requester = requester(&bus.url()).await;

        let stalled = requester.send(&host(), get("/endless")).await.unwrap();
        eventually("a window was produced", async || produced.load(Ordering::Relaxed) >= MIB as u64 / 2).await;
        for _ in 0..100 {
            assert_eq!(exchange(&requester, get("/")).await.body(), "quick");
        }

        // One window, the bytes sent with the head, and the piece that the responder holds.
        let produced = produced.load(Ordering::Relaxed);
        assert!(produced <= 2 * MIB as u64, "{produced} bytes without a reader");
        drop(stalled);
    }

    async fn many_tiny_pieces_cost_credit_too(bus) {
        let produced = no_count();
        let counter = produced.clone();
        let _responder = responder(&bus.url(), "/*", move |_| {
            let counter = counter.clone();
            async move { Ok(Response::new(pattern(MIB, 1, counter))) }
        })
        .await;
        let requester = requester(&bus.url()).await;
        let response = requester.send(&host(), get("/")).await.unwrap();
        assert_eq!(read(response.into_body(), false).await.unwrap(), MIB);
    }
}
