#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| h8s_wire_fuzz::checks::connections(bytes));
