mod cache;
mod load;
pub(crate) mod swap;
mod watch;
