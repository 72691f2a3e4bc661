//! Helpers for responses.

use wasip2::clocks::monotonic_clock;
use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};
use wasip2::io::streams::OutputStream;

pub fn ok(_request: IncomingRequest, out: ResponseOutparam) {
    send(out, 200, "ok\n");
}

/// Sends a complete response.
pub fn send(out: ResponseOutparam, status: u16, text: &str) {
    let body = head(out, status, &[]);
    write_all(&body, text.as_bytes());
    finish(body);
}

/// Sends the head, and returns the body for writing.
pub fn head(out: ResponseOutparam, status: u16, headers: &[(&str, &str)]) -> OutgoingBody {
    let response = response(status, headers);
    let body = response.body().expect("the first body");
    ResponseOutparam::set(out, Ok(response));
    body
}

pub fn response(status: u16, headers: &[(&str, &str)]) -> OutgoingResponse {
    let fields = Fields::new();
    for (name, value) in headers {
        fields.append(name, value.as_bytes()).expect("an allowed header");
    }
    let response = OutgoingResponse::new(fields);
    response.set_status_code(status).expect("a status");
    response
}

/// Writes all of `bytes`, with back-pressure.
pub fn write_all(body: &OutgoingBody, bytes: &[u8]) {
    let stream = body.write().expect("the only writer");
    write_to(&stream, bytes);
}

pub fn write_to(stream: &OutputStream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let room = stream.check_write().expect("an open stream") as usize;
        if room == 0 {
            stream.subscribe().block();
            continue;
        }
        let (now, rest) = bytes.split_at(room.min(bytes.len()));
        stream.write(now).expect("an open stream");
        bytes = rest;
    }
}

/// With `?late` in the request: waits until the written data is on its way, so that it is too late for the host to send an
/// error response.
pub fn settle(request: &IncomingRequest) {
    if request.path_with_query().is_some_and(|path| path.ends_with("?late")) {
        monotonic_clock::subscribe_duration(20_000_000).block();
    }
}

pub fn finish(body: OutgoingBody) {
    OutgoingBody::finish(body, None).expect("as many bytes as promised");
}
