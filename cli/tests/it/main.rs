//! Whole chains: clients over sockets, gateway, NATS, host and components, as processes of their own; and the
//! workspace as a whole.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod apart;
mod browser;
mod denied;
mod deploy;
mod dev;
mod directories;
mod faults;
mod least_rights;
mod links;
mod mistakes;
mod monitored;
mod nats_users;
mod outages;
mod permissions;
mod plain;
mod plain_websocket;
mod programs;
mod put_online;
mod readme;
mod rebuilds;
mod reverse;
mod t12_spoofed_claims;
mod t14_rights;
mod t15_forged_control;
mod t18_exactly_once;
mod t1_long_addresses;
mod t21_bad_guests;
mod t2_subject_injection;
mod t3_header_injection;
mod t4_reserved_headers;
mod threads;
mod websockets;
mod workspace;
