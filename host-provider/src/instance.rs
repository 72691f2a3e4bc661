//! One instance of a component: its store, its limits, and the call that it runs.
//!
//! - [`guest`]: a call of an export, in a fresh instance or an idle one
//! - [`guest_state`]: what the host keeps for an instance
//! - [`idle`]: instances kept for further calls
//! - [`configuration`]: settings and secrets, through `wasi:config`
//! - [`output`]: what a guest prints, into the log
//! - [`fault`]: what can go wrong in a guest

pub(crate) mod configuration;
pub(crate) mod fault;
pub(crate) mod guest;
pub(crate) mod guest_state;
pub(crate) mod idle;
pub(crate) mod output;

pub(crate) use self::guest::{Call, Ending, Guest, InstanceTemplate, Returned};
pub(crate) use self::guest_state::{GuestSetup, GuestState};
pub(crate) use self::idle::{IdleInstances, Instantiated};
