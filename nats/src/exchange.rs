//! The engine of the native dialect. Gateways and responders both use it.

pub(crate) mod ack_delay;
pub(crate) mod body_writer;
pub(crate) mod control_queue;
pub(crate) mod endpoint;
pub(crate) mod failure;
pub(crate) mod flow_control;
pub(crate) mod handle;
pub(crate) mod inline;
pub(crate) mod mailbox;
pub(crate) mod registry;
pub(crate) mod response_timeout;
pub(crate) mod retransmit_buffer;
