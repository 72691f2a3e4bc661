//! Real servers, clients and guests for the tests. A dev-dependency only.
//!
//! A helper panics where its test cannot continue, with what it expected. Every wait has a deadline. Dropping a value
//! ends what it started; if the test is failing, its output is printed.
//!
//! | purpose | item |
//! |---|---|
//! | NATS | [`NatsServer`], [`Bus`] and [`over_both_buses!`] |
//! | a faulty network | [`FaultProxy`](fault_proxy::FaultProxy) |
//! | well-formed HTTP | [`http_client`] |
//! | HTTP as bytes | [`RawClient`](raw_client::RawClient), [`RawOrigin`](raw_origin::RawOrigin) |
//! | how often each request was executed | [`ExecutionLog`](execution_log::ExecutionLog) |
//! | ambiguous requests | [`ambiguous::requests`] |
//! | HTTP/2 as frames | [`Http2Client`](http2_client::Http2Client) |
//! | WebSockets, valid and invalid | [`WebSocketClient`](websocket_client::WebSocketClient) |
//! | the workspace's programs | [`Process`] |
//! | third-party clients and servers | [`python::python`] |
//! | pages in a browser | [`browser::browser`] |
//! | waiting | [`within`], [`soon`], [`eventually`] |
//! | components | [`guests::guest`] |
//! | tests without a network | [`Tool`] and [`needs!`] |
//!
//! # What is fetched
//!
//! Tests use the `nats-server`, Node.js and Chromium of the machine. What the machine lacks, and the Python packages of
//! [`python::python`], is fetched once into `target/test-tools`, with one line on standard error for each. With the
//! environment variable `H8S_TEST_OFFLINE=1` nothing is fetched, and a test that needs a missing tool prints
//! `NOT RUN (H8S_TEST_OFFLINE)` and returns; see [`Tool`].
//!
//! # Rooms
//!
//! `servers` (NATS, processes, Python, browser) start what `tools` finds or fetches. `clients` and `origin` are the two
//! ends of an HTTP connection, `fault_proxy` stands between a NATS client and its server.

pub mod ambiguous;
mod clients;
pub mod deadline;
pub mod fault_proxy;
pub mod guests;
mod origin;
mod servers;
mod tools;

pub use clients::{http_client, http2_client, raw_client, websocket_client};
pub use deadline::{eventually, soon, within};
pub use origin::{execution_log, raw_origin};
pub use servers::bus::Bus;
pub use servers::nats_server::NatsServer;
pub use servers::process::Process;
pub use servers::{browser, bus, nats_server, process, python};
pub use tools::Tool;
