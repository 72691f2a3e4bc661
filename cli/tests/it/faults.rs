//! Whole programs under load that are restarted, killed or sent invalid messages: what may be lost, and what never is.

mod bad_bus;
mod broken_messages;
mod killed;
mod load;
mod restarted;
mod work;
