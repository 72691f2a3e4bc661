//! Integration tests: real sockets, port 0, no sleeps.
