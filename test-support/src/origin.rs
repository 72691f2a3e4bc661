//! Backends: the server's end of an HTTP connection.

pub mod execution_log;
pub mod raw_origin;
