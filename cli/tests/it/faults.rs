//! Whole programs that are restarted, killed and lied to while clients go on asking: what may be lost, and what never.

mod bad_bus;
mod broken_messages;
mod killed;
mod load;
mod restarted;
mod work;
