//! The client's end of a connection.

pub mod http2_client;
pub mod http_client;
pub mod raw_client;
pub mod websocket_client;
