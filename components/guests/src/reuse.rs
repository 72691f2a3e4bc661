//! State that a reused instance keeps between calls.

use std::cell::RefCell;
use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};

use wasip2::clocks::monotonic_clock;
use wasip2::http::types::{Fields, IncomingRequest, ResponseOutparam};

use crate::answer::{finish, head, send, write_all};

fn next_call() -> u32 {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    CALLS.fetch_add(1, Ordering::Relaxed) + 1
}

/// Answers with the number of this call in its instance.
pub fn count(_request: IncomingRequest, out: ResponseOutparam) {
    println!("counting");
    send(out, 200, &format!("call {}\n", next_call()));
}

/// The same, and continues for a while after its response.
pub fn count_and_stay(_request: IncomingRequest, out: ResponseOutparam) {
    let body = head(out, 200, &[]);
    write_all(&body, format!("call {}\n", next_call()).as_bytes());
    finish(body);
    monotonic_clock::subscribe_duration(500_000_000).block();
}

/// Computes for 20 ms.
pub fn compute(_request: IncomingRequest, out: ResponseOutparam) {
    let end = monotonic_clock::now() + 20_000_000;
    let mut turns = 0_u64;
    while turns % 10_000 != 0 || monotonic_clock::now() < end {
        turns = black_box(turns + 1);
    }
    send(out, 200, &format!("call {}\n", next_call()));
}

/// Allocates 4 MiB more in every call.
pub fn hoard_memory(_request: IncomingRequest, out: ResponseOutparam) {
    thread_local!(static HOARD: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) });
    HOARD.with_borrow_mut(|hoard| hoard.push(black_box(vec![1; 4 << 20])));
    send(out, 200, &format!("call {}\n", next_call()));
}

/// Leaves the request and an empty header list open in every call.
pub fn hoard_resources(request: IncomingRequest, out: ResponseOutparam) {
    std::mem::forget(Fields::new());
    std::mem::forget(request);
    send(out, 200, &format!("call {}\n", next_call()));
}
