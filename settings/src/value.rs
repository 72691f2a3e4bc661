//! Types of settings: durations, sizes and secrets, read with an error text that names the remedy.

mod duration;
mod secret;
mod size;

pub use duration::duration;
pub use secret::{EmptySecret, Secret};
pub use size::size;
