//! WebSockets, as clients see them (RFC 6455, RFC 8441).

mod codec;
