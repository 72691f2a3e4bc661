pub(crate) mod protocols;
mod shutdown;
