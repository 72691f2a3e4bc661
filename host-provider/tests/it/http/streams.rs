//! Streams in both directions at once, at the speed of the slower end; and what happens when an end leaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::{Stream, poll, stream};
use h8s_host::{ComponentService, Limits};
use http::{Method, Request, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::mpsc;
use tower_service::Service;

use crate::fixture::{assert_unharmed, call, get, guests, request, serve, shared, text, within};
use crate::log;

const PIECE: usize = 64 * 1024;

type Piece = Result<Frame<Bytes>, std::io::Error>;

fn post<S>(path: &str, pieces: S) -> Request<StreamBody<S>>
where
    S: Stream<Item = Piece>,
{
    let uri = format!("http://localhost{path}");
    let request = Request::builder().method(Method::POST).uri(uri).header("content-type", "x/y");
    request.body(StreamBody::new(pieces)).unwrap()
}

/// Piece `n` of a body whose bytes encode their position.
fn piece(n: usize) -> Bytes {
    (0..PIECE).map(|at| ((n * PIECE + at) / 7 % 251) as u8).collect()
}

/// A body of `count` pieces that counts how many were taken.
fn counted(count: usize, taken: Arc<AtomicUsize>) -> impl Stream<Item = Piece> + Send + 'static {
    stream::iter((0..count).map(move |n| {
        taken.fetch_add(1, Ordering::Relaxed);
        Ok(Frame::data(piece(n)))
    }))
}

#[tokio::test]
async fn echo_gives_back_every_byte_of_many_megabytes() {
    // given a body of 16 MiB, and an instance that may have 4
    let count = 256;
    let service = serve("echo", Limits { memory_bytes: 4 << 20, ..Limits::default() }).await;
    let taken = shared(AtomicUsize::new(0));
    // when
    let response = call(&service, post("/", counted(count, Arc::clone(&taken)))).await.unwrap();
    // then
    assert_eq!(response.headers()["content-type"], "x/y");
    let body = within(response.into_body().collect()).await.unwrap().to_bytes();
    let expected: Vec<u8> = (0..count).flat_map(piece).collect();
    assert!(body == expected, "{} bytes", body.len());
    within(service.idle()).await;
}

#[tokio::test]
async fn a_reader_that_stops_stops_the_writer() {
    // given a client that sends 64 MiB and reads none of the echo
    let service = serve("echo", Limits::default()).await;
    let taken = shared(AtomicUsize::new(0));
    let mut response = call(&service, post("/", counted(1024, Arc::clone(&taken)))).await.unwrap();
    // when it reads one frame, and after that none for many turns
    response.body_mut().frame().await.unwrap().unwrap();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    // then only as much as the buffers hold has been read
    let held = taken.load(Ordering::Relaxed);
    assert!((1..24).contains(&held), "{held} pieces of 64 KiB");
}

#[tokio::test]
async fn both_directions_run_at_once() {
    // given a client that sends the next piece only when it has the last one back
    let service = serve("echo", Limits::default()).await;
    let (sender, receiver) = mpsc::channel::<Bytes>(1);
    let pieces = stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|piece| (Ok::<_, std::io::Error>(Frame::data(piece)), receiver))
    });
    let mut body = call(&service, post("/", pieces)).await.unwrap().into_body();
    // when, then
    for n in 0..20 {
        let sent = Bytes::from(format!("ping {n}"));
        sender.send(sent.clone()).await.unwrap();
        let back = within(body.frame()).await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(back, sent);
    }
    drop(sender);
    assert!(within(body.frame()).await.is_none());
}

#[tokio::test]
async fn a_guest_may_read_all_before_it_answers() {
    let service = guests().await;
    let body = counted(100, shared(AtomicUsize::new(0)));
    let response = call(&service, post("/read-first", body)).await.unwrap();
    assert_eq!(text(response.into_body()).await.unwrap(), format!("{}\n", 100 * PIECE));
}

#[tokio::test]
async fn a_guest_may_answer_before_it_reads() {
    // given a guest that reads a request only after its answer is complete
    let service = guests().await;
    let body = counted(100, shared(AtomicUsize::new(0)));
    // when
    let response = call(&service, post("/answer-first", body)).await.unwrap();
    assert_eq!(text(response.into_body()).await.unwrap(), "answered first\n");
    // then it still gets all of it
    log::line(&[&log::of(&service), &format!("then read {} bytes", 100 * PIECE)]).await;
}

#[tokio::test]
async fn pieces_come_when_they_are_written() {
    // given a stream with pauses
    let service = guests().await;
    let mut body = get(&service, "/slow-stream").await.into_body();
    // when, then every piece is a frame of its own, and the guest is still at work after the first
    for n in 0..5 {
        let frame = within(body.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), format!("data: {n}\n\n"));
        assert_eq!(service.running(), 1);
    }
    assert!(within(body.frame()).await.is_none());
    within(service.idle()).await;
}

async fn read(service: &ComponentService, bytes: usize) -> h8s_host::ComponentBody {
    let mut body = get(service, "/endless-stream").await.into_body();
    let mut length = 0;
    while length < bytes {
        length += within(body.frame()).await.unwrap().unwrap().into_data().unwrap().len();
    }
    body
}

#[tokio::test]
async fn a_client_that_leaves_frees_the_instance_at_once() {
    // given an endless response of which a client has read 3 MiB
    let service = guests().await;
    let body = read(&service, 3 << 20).await;
    log::line(&[&log::of(&service), "\"message\":\"3 MiB\""]).await;
    assert_eq!(service.running(), 1);
    // when it leaves
    drop(body);
    // then nothing runs any more, without any wait
    assert_eq!(service.running(), 0);
    assert!(log::lines(&[&log::of(&service), "component failed"]).is_empty());
    assert_unharmed(&service).await;
}

#[tokio::test]
async fn a_guest_runs_ahead_of_its_reader_by_a_bounded_amount() {
    // given an endless response
    let service = guests().await;
    // when a little of it is read
    let _body = read(&service, 1).await;
    // then the guest has not written a megabyte
    assert!(log::lines(&[&log::of(&service), "MiB"]).is_empty());
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_frees_the_instance_at_once() {
    // given a request that is never answered
    let service = guests().await;
    let mut answer = service.clone().call(request(Method::GET, "/never-answer"));
    assert!(poll!(&mut answer).is_pending());
    assert_eq!(service.running(), 1);
    // when it is given up
    drop(answer);
    // then
    assert_eq!(service.running(), 0);
    assert_unharmed(&service).await;
}

#[tokio::test]
async fn hello_answers_people_and_programs() {
    let service = serve("hello", Limits::default()).await;
    let page = get(&service, "/hello&you").await;
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    assert!(text(page.into_body()).await.unwrap().contains("<code>/hello&amp;you</code>"));
    let api = get(&service, "/hello/api?you=here").await;
    assert_eq!(api.status(), StatusCode::OK);
    assert_eq!(
        text(api.into_body()).await.unwrap(),
        "{\"headers\":0,\"method\":\"GET\",\"path\":\"/hello/api\",\"query\":\"you=here\"}\n"
    );
}
