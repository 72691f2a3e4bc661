pub(crate) mod attacked;
mod connections;
mod limits;
mod t5_t6_framing;
mod t7_http2_floods;
mod t8_slow_clients;
