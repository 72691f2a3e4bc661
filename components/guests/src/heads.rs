//! Guests whose response heads are odd, wrong or too large.

use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

use crate::answer::{finish, head, response, send, settle, write_all};

/// Declares ten bytes and writes five.
pub fn length_too_long(request: IncomingRequest, out: ResponseOutparam) {
    let body = head(out, 200, &[("content-length", "10")]);
    write_all(&body, b"12345");
    settle(&request);
    let refused = OutgoingBody::finish(body, None).is_err();
    println!("finish was refused: {refused}");
}

/// Declares five bytes and writes ten.
pub fn length_too_short(request: IncomingRequest, out: ResponseOutparam) {
    let body = head(out, 200, &[("content-length", "5")]);
    let stream = body.write().expect("the only writer");
    stream.write(b"12345").expect("room");
    settle(&request);
    let refused = stream.write(b"67890").is_err();
    println!("writing was refused: {refused}");
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

/// Declares ten bytes and has no body (valid only for `HEAD`).
pub fn length_without_body(_request: IncomingRequest, out: ResponseOutparam) {
    ResponseOutparam::set(out, Ok(response(200, &[("content-length", "10")])));
}

/// Five hundred headers.
pub fn many_headers(_request: IncomingRequest, out: ResponseOutparam) {
    let fields = Fields::new();
    for n in 0..500 {
        fields.append(&format!("x-header-{n}"), b"a value of some length").expect("room");
    }
    let response = OutgoingResponse::new(fields);
    let body = response.body().expect("the first body");
    ResponseOutparam::set(out, Ok(response));
    finish(body);
}

/// Adds headers until it is stopped.
pub fn endless_headers(_request: IncomingRequest, _out: ResponseOutparam) {
    let fields = Fields::new();
    for n in 0_u64.. {
        let _ = fields.append(&format!("x-header-{n}"), b"a value of some length");
    }
}

/// Tries headers that describe the connection, and lists the refused ones.
pub fn forbidden_headers(_request: IncomingRequest, out: ResponseOutparam) {
    let names = ["connection", "keep-alive", "transfer-encoding", "upgrade", "host", "te st", "x-fine"];
    let refused = |name: &&str| Fields::new().append(name, b"x").is_err();
    let split = Fields::new().append("x-split", b"a\r\nset-cookie: b").is_err();
    let refused = names.into_iter().filter(refused).collect::<Vec<_>>().join(" ");
    send(out, 200, &format!("{refused} split:{split}\n"));
}

/// Tries invalid statuses, and lists the refused ones.
pub fn invalid_status(_request: IncomingRequest, out: ResponseOutparam) {
    let response = OutgoingResponse::new(Fields::new());
    let refused = [0, 99, 1000, u16::MAX].map(|status| response.set_status_code(status).is_err());
    send(out, 200, &format!("{refused:?}\n"));
}

/// Answers with an informational status.
pub fn status_101(_request: IncomingRequest, out: ResponseOutparam) {
    send(out, 101, "switched?\n");
}

/// Answers with a status that has no body, and writes a body.
pub fn status_204(_request: IncomingRequest, out: ResponseOutparam) {
    send(out, 204, "a body that must not be\n");
}

/// Never writes the body.
pub fn no_body(_request: IncomingRequest, out: ResponseOutparam) {
    ResponseOutparam::set(out, Ok(response(202, &[("x-kind", "no-body")])));
}
