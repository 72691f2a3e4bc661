//! Servers and programs that run beside a test.

pub mod browser;
pub mod bus;
pub mod nats_server;
pub mod process;
pub mod python;
mod reservation;
