//! One file per threat of docs/threats.md that only the whole chain can test.

mod t12_spoofed_claims;
mod t14_rights;
mod t15_forged_control;
mod t18_exactly_once;
mod t1_long_addresses;
mod t21_bad_guests;
mod t2_subject_injection;
mod t3_header_injection;
mod t4_reserved_headers;

pub(crate) use t15_forged_control::Attacker;
