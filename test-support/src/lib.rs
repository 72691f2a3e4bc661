//! Real servers, clients and guests for the tests. A dev-dependency only.
//!
//! Everything here panics where a test could not go on anyway, and says what was expected; nothing is skipped, and
//! nothing waits for ever. What has been started is ended when its value is dropped, and what it wrote is printed if
//! the test is failing.
//!
//! | for | there is |
//! |---|---|
//! | NATS | [`NatsServer`], [`Bus`] and [`over_both_buses!`] |
//! | a bad network | [`FaultProxy`](fault_proxy::FaultProxy) |
//! | HTTP as it should be | [`http_client`] |
//! | HTTP as bytes | [`RawClient`](raw_client::RawClient), [`RawOrigin`](raw_origin::RawOrigin) |
//! | what was done, and how often | [`Ledger`](ledger::Ledger) |
//! | requests with two meanings | [`ambiguous::requests`] |
//! | HTTP/2 as frames | [`Http2Client`](http2_client::Http2Client) |
//! | WebSockets, right and wrong | [`WebSocketClient`](websocket_client::WebSocketClient) |
//! | our own programs | [`Process`] |
//! | clients and servers that are not ours | [`python::python`] |
//! | pages, as people see them | [`browser::browser`] |
//! | waiting | [`within`], [`soon`], [`eventually`] |
//! | components | [`guests::guest`] |

pub mod ambiguous;
pub mod browser;
pub mod bus;
pub mod deadline;
pub mod fault_proxy;
pub mod guests;
pub mod http2_client;
pub mod http_client;
pub mod ledger;
pub mod nats_server;
pub mod process;
pub mod python;
pub mod raw_client;
pub mod raw_origin;
mod reservation;
mod test_tools;
pub mod websocket_client;

pub use bus::Bus;
pub use deadline::{eventually, soon, within};
pub use nats_server::NatsServer;
pub use process::Process;
