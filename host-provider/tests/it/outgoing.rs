pub(crate) mod requests;
mod tls;
