//! Measures encoding and decoding of heads in both dialects, and of a full `DATA` frame.
//!
//! Decoding includes a clone of the message's `Bytes`, i.e. one reference count.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkGroup, Criterion};
use h8s_benches::{CpuTime, criterion, heads};
use h8s_wire::{
    Frame, HeadKind, HttpSubject, RequestHead, ResponseHead, encode_head,
    plain::{RequestSubjects, decode_request, decode_response, encode_request, encode_response},
};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, header};

/// The window that a gateway grants with a request.
const LIMIT: u64 = 1024 * 1024;

/// The inline bytes of the response.
const BODY: [u8; 1024] = [b'x'; 1024];

/// Subjects of typical length.
const SUBJECTS: RequestSubjects<'_> = RequestSubjects {
    publish: "h8s.http.GET.example.app._.shop.items.42",
    reply: "h8s.inbox.gw.000102030405060708090a0b0c0d0e0f.101112131415161718191a1b1c1d1e1f",
    close: "h8s.inbox.r.example.app._.closed.101112131415161718191a1b1c1d1e1f",
};

fn main() {
    let mut criterion = criterion(CpuTime);
    native(&mut criterion);
    plain(&mut criterion);
    data(&mut criterion);
    criterion.final_summary();
}

fn native(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("codec/native");
    let request = |head| HeadKind::Request(Box::new(request_head(head)));
    head(&mut group, "bare request", &request(heads::bare()), &[]);
    head(&mut group, "browser's request", &request(heads::browser()), &[]);
    head(&mut group, "response with 1 KiB", &HeadKind::Response(response_head(heads::answer())), &BODY);
    group.finish();
}

fn head(group: &mut BenchmarkGroup<'_, CpuTime>, name: &str, head: &HeadKind, body: &[u8]) {
    let encode = || encode_head(black_box(head), true, LIMIT, black_box(body)).expect("the head fits");
    group.bench_function(format!("{name}/encode"), |b| b.iter(encode));
    let message = encode();
    group.bench_function(format!("{name}/decode"), |b| b.iter(|| decoded(&message)));
}

fn decoded(message: &Bytes) -> Frame {
    Frame::decode(black_box(message).clone()).expect("it is a frame")
}

fn data(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("codec/data");
    let frame = Frame::Data { sequence: 7, bytes: vec![b'x'; 64 * 1024].into() };
    let encode = || black_box(&frame).encode().expect("the frame fits");
    group.bench_function("64 KiB/encode", |b| b.iter(encode));
    let message = encode();
    // Nothing is copied, whatever the size.
    group.bench_function("64 KiB/decode", |b| b.iter(|| decoded(&message)));
    group.finish();
}

/// The same heads as NATS headers. This excludes the header block that a NATS client builds, and the
/// native dialect's NATS message.
fn plain(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("codec/plain");
    plain_request(&mut group, "bare request", &request_head(heads::bare()));
    plain_request(&mut group, "browser's request", &request_head(heads::browser()));
    plain_response(&mut group, "response with 1 KiB", &response_head(heads::answer()));
    group.finish();
}

fn plain_request(group: &mut BenchmarkGroup<'_, CpuTime>, name: &str, head: &RequestHead) {
    let encode = |block: &mut Block| {
        encode_request(black_box(head), SUBJECTS, |name, value| block.push(name, value))
            .expect("all of it is text");
    };
    group.bench_function(format!("{name}/encode"), |b| b.iter(|| Block::of(encode)));
    let block = Block::of(encode);
    let subject = HttpSubject {
        method: head.method.clone(),
        host: heads::HOST.parse().expect("it is a host"),
        path: head.target.path().to_owned(),
    };
    group.bench_function(format!("{name}/decode"), |b| {
        b.iter(|| decode_request(black_box(&subject), block.fields()).expect("it is a request"));
    });
}

fn plain_response(group: &mut BenchmarkGroup<'_, CpuTime>, name: &str, head: &ResponseHead) {
    let encode = |block: &mut Block| {
        encode_response(black_box(head), false, |name, value| block.push(name, value))
            .expect("all of it is text");
    };
    group.bench_function(format!("{name}/encode"), |b| b.iter(|| Block::of(encode)));
    let block = Block::of(encode);
    group.bench_function(format!("{name}/decode"), |b| {
        b.iter(|| decode_response(block.fields(), BODY.len(), true).expect("it is a response"));
    });
}

/// NATS headers in one buffer: the minimum work of a client.
struct Block {
    text: String,
    /// The end offsets of names and values.
    ends: Vec<(usize, usize)>,
}

impl Block {
    fn of(encode: impl FnOnce(&mut Self)) -> Self {
        let mut block = Self { text: String::with_capacity(512), ends: Vec::with_capacity(32) };
        encode(&mut block);
        block
    }

    fn push(&mut self, name: &str, value: &str) {
        self.text.push_str(name);
        let name_end = self.text.len();
        self.text.push_str(value);
        self.ends.push((name_end, self.text.len()));
    }

    fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut start = 0;
        self.ends.iter().map(move |&(name_end, end)| {
            let name = &self.text[start..name_end];
            start = end;
            (name, &self.text[name_end..end])
        })
    }
}

/// As a gateway builds it.
fn request_head(request: Request<()>) -> RequestHead {
    let (parts, ()) = request.into_parts();
    let mut headers = parts.headers;
    headers.remove(header::HOST);
    RequestHead {
        method: parts.method,
        scheme: Scheme::HTTP,
        authority: Authority::from_static(heads::HOST),
        target: PathAndQuery::from_static(heads::TARGET),
        headers,
        protocol: None,
        connection: None,
        client: Some([192, 0, 2, 7].into()),
        timeout: Some(std::time::Duration::from_secs(30)),
    }
}

fn response_head(response: Response<()>) -> ResponseHead {
    ResponseHead { status: response.status(), headers: response.headers().clone(), ..ResponseHead::default() }
}
