//! Requests, and the one correct response to each.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use h8s_test_support::execution_log::Job;
use h8s_test_support::http_client::{RequestBody, empty, full};
use http::Request;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;

/// One request, and the complete response body.
pub(crate) struct Work {
    pub(crate) request: Request<RequestBody>,
    pub(crate) answer: Vec<u8>,
}

/// Makes the work of a number, the same at each call.
pub(crate) type Plan = fn(u64) -> Work;

/// The pause between pieces.
const PAUSE: Duration = Duration::from_millis(50);

/// For an [`ExecutionLog`](h8s_test_support::execution_log::ExecutionLog) behind a daemon. The number is the job's id.
pub(crate) fn jobs(number: u64) -> Work {
    let quick = Job::new(number);
    let slow = Job { wait: Duration::from_millis(100 + number * 7 % 400), ..quick };
    let stream = Job { pieces: 6, pause: PAUSE, ..quick };
    match number % 5 {
        0 => work(quick, empty(), b""),
        1 => work(slow, empty(), b""),
        2 => work(stream, empty(), b""),
        3 => work(Job { pieces: 1, ..slow }, full(body(number)), &body(number)),
        _ => work(quick, upload(number), &body(number)),
    }
}

fn work(job: Job, body: RequestBody, sent: &[u8]) -> Work {
    let method = if sent.is_empty() { "GET" } else { "POST" };
    let request = Request::builder().method(method).uri(job.target()).body(body).unwrap();
    Work { request, answer: job.answer(sent) }
}

/// Jobs, and what a component answers at `/echo`.
pub(crate) fn jobs_and_echoes(number: u64) -> Work {
    if number.is_multiple_of(2) { jobs(number) } else { components(5 * number + 3) }
}

/// For a host that serves [`COMPONENTS`].
pub(crate) fn components(number: u64) -> Work {
    let get = |path: &str, answer: &str| Work {
        request: Request::get(path).body(empty()).unwrap(),
        answer: answer.into(),
    };
    let post = |path: &str, body, answer| Work { request: Request::post(path).body(body).unwrap(), answer };
    match number % 5 {
        0 => get("/ok", "ok\n"),
        1 => get("/slow-stream", "data: 0\n\ndata: 1\n\ndata: 2\n\ndata: 3\n\ndata: 4\n\n"),
        // The response follows the last byte: after 300 ms.
        2 => post("/read-first", upload(number), format!("{}\n", body(number).len()).into()),
        3 => post("/echo", full(body(number)), body(number)),
        _ => post("/echo", upload(number), body(number)),
    }
}

/// The components that answer [`components`].
pub(crate) const COMPONENTS: &[(&str, &str)] = &[("/*", "guests"), ("/echo", "echo")];

/// Up to 100 KiB, which may exceed what is sent with a head.
fn body(number: u64) -> Vec<u8> {
    let bytes = 1 + number * 7919 % (100 * 1024);
    (0..bytes).map(|at| (at.wrapping_mul(number + 11) >> 3) as u8).collect()
}

/// [`body`] in six pieces with pauses.
fn upload(number: u64) -> RequestBody {
    let body = Bytes::from(body(number));
    let pieces = stream::unfold(body, |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(PAUSE).await;
        let piece = rest.split_to(rest.len().min(20 * 1024));
        Some((Ok(Frame::data(piece)), rest))
    });
    StreamBody::new(pieces).boxed_unsync()
}
