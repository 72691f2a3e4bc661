//! Limits on what clients may use, and what happens to connections that exceed them.

pub(crate) mod activity;
pub(crate) mod deadline;
pub(crate) mod flags;
pub(crate) mod h2_streams;
pub(crate) mod in_flight;
pub(crate) mod limits;
pub(crate) mod per_address;
pub(crate) mod rapid_reset;
