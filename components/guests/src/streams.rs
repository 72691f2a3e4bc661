//! Guests with valid heads, and various behaviours of their bodies.

use std::hint::black_box;

use wasip2::clocks::monotonic_clock;
use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, ResponseOutparam};
use wasip2::io::streams::StreamError;

use crate::answer::{finish, head, settle, write_all, write_to};

const MILLISECOND: u64 = 1_000_000;

fn first_half(request: &IncomingRequest, out: ResponseOutparam) -> OutgoingBody {
    let body = head(out, 200, &[]);
    write_all(&body, b"the first half");
    settle(request);
    body
}

pub fn trap_after_head(request: IncomingRequest, out: ResponseOutparam) {
    let _body = first_half(&request, out);
    panic!("trapping after the head, as asked");
}

pub fn loop_after_head(request: IncomingRequest, out: ResponseOutparam) {
    let _body = first_half(&request, out);
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns + 1);
    }
}

/// Returns with the body neither finished nor dropped.
pub fn forget_body(request: IncomingRequest, out: ResponseOutparam) {
    let body = first_half(&request, out);
    std::mem::forget(body);
}

/// Drops the body unfinished, which signals a failure.
pub fn drop_body(request: IncomingRequest, out: ResponseOutparam) {
    drop(first_half(&request, out));
}

/// Completes the response, and then reads the request.
pub fn answer_first(request: IncomingRequest, out: ResponseOutparam) {
    let body = head(out, 200, &[]);
    write_all(&body, b"answered first\n");
    finish(body);
    println!("then read {} bytes", read_all(request));
}

pub fn read_first(request: IncomingRequest, out: ResponseOutparam) {
    let length = read_all(request);
    crate::answer::send(out, 200, &format!("{length}\n"));
}

fn read_all(request: IncomingRequest) -> u64 {
    let body = request.consume().expect("the first reader");
    let stream = body.stream().expect("the only stream");
    let mut length = 0;
    loop {
        match stream.blocking_read(64 * 1024) {
            Ok(bytes) => length += bytes.len() as u64,
            Err(StreamError::Closed) => return length,
            Err(StreamError::LastOperationFailed(error)) => panic!("{}", error.to_debug_string()),
        }
    }
}

/// Five pieces, 20 ms apart.
pub fn slow_stream(_request: IncomingRequest, out: ResponseOutparam) {
    let body = head(out, 200, &[("content-type", "text/event-stream")]);
    let stream = body.write().expect("the only writer");
    for count in 0..5 {
        write_to(&stream, format!("data: {count}\n\n").as_bytes());
        monotonic_clock::subscribe_duration(20 * MILLISECOND).block();
    }
    drop(stream);
    finish(body);
}

/// Writes 8 KiB pieces forever, and prints the number of megabytes written.
pub fn endless_stream(_request: IncomingRequest, out: ResponseOutparam) {
    let body = head(out, 200, &[]);
    let stream = body.write().expect("the only writer");
    let piece = [b'x'; 8 * 1024];
    for count in 1_u64.. {
        write_to(&stream, &piece);
        if count % 128 == 0 {
            println!("{} MiB", count / 128);
        }
    }
}

pub fn trailers(_request: IncomingRequest, out: ResponseOutparam) {
    let body = head(out, 200, &[("trailer", "x-sum")]);
    write_all(&body, b"with trailers\n");
    let trailers = Fields::new();
    trailers.append("x-sum", b"42").expect("an allowed trailer");
    OutgoingBody::finish(body, Some(trailers)).expect("no length was promised");
}

/// Completes the response, waits, and then does some work.
pub fn late_work(_request: IncomingRequest, out: ResponseOutparam) {
    crate::answer::send(out, 200, "answered\n");
    monotonic_clock::subscribe_duration(30 * MILLISECOND).block();
    println!("late work is done");
}

/// Completes the response, and never returns.
pub fn late_loop(_request: IncomingRequest, out: ResponseOutparam) {
    crate::answer::send(out, 200, "answered\n");
    monotonic_clock::subscribe_duration(3_600_000 * MILLISECOND).block();
}
