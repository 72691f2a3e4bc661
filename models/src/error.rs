//! What nats' `error` has for its mailbox.

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
