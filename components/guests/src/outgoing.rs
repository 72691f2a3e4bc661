//! Guests that send requests, to the URL in the header `x-to`.

use wasip2::clocks::monotonic_clock;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingRequest, IncomingResponse, Method, OutgoingBody,
    OutgoingRequest, RequestOptions, ResponseOutparam, Scheme,
};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

use crate::answer::{finish, head, send, write_to};

/// Sends a request without a body, and answers with the status and the body of its response.
pub fn fetch(request: IncomingRequest, out: ResponseOutparam) {
    match prepared(&request, Fields::new()).and_then(|outgoing| answer_to(&request, outgoing)) {
        Ok(response) => relay_response(&response, out),
        Err(error) => send(out, 502, &format!("{error}\n")),
    }
}

/// Streams the body of the request to the destination, and the response back.
pub fn relay(request: IncomingRequest, out: ResponseOutparam) {
    let sent = prepared(&request, Fields::new()).and_then(|outgoing| {
        outgoing.set_method(&Method::Post).expect("a method");
        let upload = outgoing.body().expect("the first body");
        let future = outgoing_handler::handle(outgoing, None).map_err(|code| format!("{code:?}"))?;
        let body = request.consume().expect("the first reader");
        let copied =
            copy(&body.stream().expect("the only reader"), &upload.write().expect("the only writer"));
        copied.map_err(|error| format!("not copied: {error}"))?;
        OutgoingBody::finish(upload, None).map_err(|code| format!("{code:?}"))?;
        wait(&future)
    });
    match sent {
        Ok(response) => relay_response(&response, out),
        Err(error) => send(out, 502, &format!("{error}\n")),
    }
}

/// Sends a request, and never reads the body of the response.
pub fn never_read(request: IncomingRequest, _out: ResponseOutparam) {
    let outgoing = prepared(&request, Fields::new()).expect("an address");
    let response = answer_to(&request, outgoing).expect("an answer");
    let _body = response.consume().expect("the first reader");
    println!("has a response with status {}", response.status());
    monotonic_clock::subscribe_duration(365 * 24 * 3600 * 1_000_000_000).block();
}

/// Sends ten thousand requests at once, and counts the answered ones and the errors.
pub fn ten_thousand_calls(request: IncomingRequest, out: ResponseOutparam) {
    let calls: Vec<_> = (0..10_000)
        .map(|_| outgoing_handler::handle(prepared(&request, Fields::new()).expect("an address"), None))
        .collect();
    let (mut answered, mut limited, mut other) = (0, 0, 0);
    for call in calls {
        match call.map_err(|code| format!("{code:?}")).and_then(|future| wait(&future)) {
            Ok(_) => answered += 1,
            Err(error) if error.contains("ConnectionLimitReached") => limited += 1,
            Err(_) => other += 1,
        }
    }
    send(out, 200, &format!("answered {answered} limited {limited} other {other}\n"));
}

/// Tries to name another destination in a header.
pub fn forge_host(request: IncomingRequest, out: ResponseOutparam) {
    let headers = Fields::new();
    let refused = headers.append("host", b"bank.example").is_err();
    match prepared(&request, headers).and_then(|outgoing| answer_to(&request, outgoing)) {
        Ok(response) => send(out, 200, &format!("refused {refused} answered {}\n", response.status())),
        Err(error) => send(out, 502, &format!("{error}\n")),
    }
}

fn header(request: &IncomingRequest, name: &str) -> Option<String> {
    String::from_utf8(request.headers().get(name).into_iter().next()?).ok()
}

/// A request to `x-to`, or the name of the part that is refused.
fn prepared(request: &IncomingRequest, headers: Fields) -> Result<OutgoingRequest, String> {
    let to = header(request, "x-to").ok_or("no x-to")?;
    let (scheme, rest) = to.split_once("://").ok_or("no scheme")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    let outgoing = OutgoingRequest::new(headers);
    if header(request, "x-method").as_deref() == Some("CONNECT") {
        outgoing.set_method(&Method::Connect).map_err(|()| "method refused")?;
    }
    outgoing.set_scheme(Some(&scheme)).map_err(|()| "scheme refused")?;
    outgoing.set_authority(Some(authority)).map_err(|()| "authority refused")?;
    outgoing.set_path_with_query(Some(path)).map_err(|()| "path refused")?;
    Ok(outgoing)
}

/// The response, within the timeouts in `x-first-byte-ms` and `x-between-bytes-ms`.
fn answer_to(request: &IncomingRequest, outgoing: OutgoingRequest) -> Result<IncomingResponse, String> {
    let nanos = |name| header(request, name)?.parse::<u64>().ok().map(|millis| millis * 1_000_000);
    let options = RequestOptions::new();
    options.set_first_byte_timeout(nanos("x-first-byte-ms")).expect("a timeout");
    options.set_between_bytes_timeout(nanos("x-between-bytes-ms")).expect("a timeout");
    let future = outgoing_handler::handle(outgoing, Some(options)).map_err(|code| format!("{code:?}"))?;
    wait(&future)
}

fn wait(future: &FutureIncomingResponse) -> Result<IncomingResponse, String> {
    future.subscribe().block();
    let response: Result<_, ErrorCode> = future.get().expect("it is ready").expect("taken once");
    response.map_err(|code| format!("{code:?}"))
}

/// Streams a response back: a line with the status, the body, and the error if it ended early.
fn relay_response(response: &IncomingResponse, out: ResponseOutparam) {
    let body = head(out, 200, &[]);
    let writer = body.write().expect("the only writer");
    write_to(&writer, format!("answered {}\n", response.status()).as_bytes());
    let incoming = response.consume().expect("the first reader");
    let reader = incoming.stream().expect("the only reader");
    if let Err(error) = copy(&reader, &writer) {
        write_to(&writer, format!("\nbroke off: {error}\n").as_bytes());
    }
    drop(writer);
    finish(body);
}

fn copy(from: &InputStream, to: &OutputStream) -> Result<(), String> {
    loop {
        match from.blocking_read(64 * 1024) {
            Ok(bytes) => write_to(to, &bytes),
            Err(StreamError::Closed) => return Ok(()),
            Err(StreamError::LastOperationFailed(error)) => {
                let code = wasip2::http::types::http_error_code(&error);
                return Err(code.map_or_else(|| error.to_debug_string(), |code| format!("{code:?}")));
            }
        }
    }
}
