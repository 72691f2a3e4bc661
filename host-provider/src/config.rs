//! Flags, environment and `--config` file of `h8s-host`.

pub(crate) mod flags;
pub(crate) mod guest_flags;
pub(crate) mod host;
mod table;
