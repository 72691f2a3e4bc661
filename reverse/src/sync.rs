//! The primitives of hand-written synchronisation, from one place, so that a loom model can replace them.

pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::{AtomicBool, Ordering};
pub(crate) use std::task::{Wake, Waker};

pub(crate) use futures_util::task::AtomicWaker;
