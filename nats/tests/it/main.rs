//! Exchanges over real servers: every test runs against the embedded broker and a real `nats-server`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]
#![allow(missing_docs, reason = "the tests' names say what they show")]

mod bad_bus;
mod connecting;
mod connections;
mod deadline;
mod early_ends;
mod exchange;
mod expect;
mod fixture;
mod frames;
mod plain;
mod queue_group;
mod slow_uploads;
mod streams;
mod watched;
mod websocket;
mod websocket_fixture;
mod websocket_plain;
mod websocket_survival;
