//! Flags, environment and file of `h8s-host`.

pub(crate) mod flags;
pub(crate) mod guest_flags;
pub(crate) mod host;
pub(crate) mod table;
