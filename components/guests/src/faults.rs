//! Guests that fail before the response head.

use std::hint::black_box;

use wasip2::clocks::monotonic_clock;
use wasip2::http::types::{ErrorCode, Fields, IncomingRequest, ResponseOutparam};

pub fn trap(_request: IncomingRequest, _out: ResponseOutparam) {
    panic!("trapping as asked");
}

pub fn spin(_request: IncomingRequest, _out: ResponseOutparam) {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns + 1);
    }
}

pub fn recurse(_request: IncomingRequest, out: ResponseOutparam) {
    #[expect(unconditional_recursion, reason = "its purpose")]
    fn deeper(depth: u64) -> u64 {
        black_box(deeper(depth + 1)) + depth
    }
    crate::answer::send(out, 200, &deeper(0).to_string());
}

pub fn allocate(_request: IncomingRequest, _out: ResponseOutparam) {
    let mut kept = Vec::new();
    loop {
        kept.push(black_box(vec![1_u8; 1 << 20]));
    }
}

/// Requests the largest possible memory in one instruction, and continues without it.
pub fn grow(_request: IncomingRequest, out: ResponseOutparam) {
    const PAGES_OF_4_GIB: usize = 65_536;
    let refused = std::arch::wasm32::memory_grow::<0>(PAGES_OF_4_GIB - 1) == usize::MAX;
    crate::answer::send(out, 200, &format!("refused: {refused}\n"));
}

/// Waits for a year inside a host call, where no epoch interrupts it.
pub fn never_answer(_request: IncomingRequest, _out: ResponseOutparam) {
    monotonic_clock::subscribe_duration(365 * 24 * 3600 * 1_000_000_000).block();
}

pub fn no_response(_request: IncomingRequest, _out: ResponseOutparam) {}

pub fn exit(_request: IncomingRequest, _out: ResponseOutparam) {
    std::process::exit(1);
}

pub fn error_code(_request: IncomingRequest, out: ResponseOutparam) {
    ResponseOutparam::set(out, Err(ErrorCode::InternalError(Some("guest-secret".into()))));
}

pub fn flood_host_calls(_request: IncomingRequest, _out: ResponseOutparam) {
    loop {
        black_box(monotonic_clock::now());
    }
}

/// One call that passes more bytes than the host accepts.
pub fn huge_host_call(_request: IncomingRequest, out: ResponseOutparam) {
    let value = vec![b'x'; 48 << 20];
    let refused = Fields::new().append("x-huge", &value).is_err();
    crate::answer::send(out, 200, &format!("refused: {refused}\n"));
}

pub fn open_resources(_request: IncomingRequest, _out: ResponseOutparam) {
    let mut open = Vec::new();
    loop {
        open.push(Fields::new());
    }
}

/// Requests a gigabyte of random bytes in one call.
pub fn random(_request: IncomingRequest, out: ResponseOutparam) {
    let bytes = wasip2::random::random::get_random_bytes(1 << 30);
    crate::answer::send(out, 200, &format!("{}\n", bytes.len()));
}
