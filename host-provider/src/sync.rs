//! The sync primitives of code whose interleavings are model-checked: std's and tokio's here, the model's there.

pub(crate) use std::sync::atomic::{AtomicUsize, Ordering};
pub(crate) use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use tokio::sync::{OwnedSemaphorePermit, Semaphore};
