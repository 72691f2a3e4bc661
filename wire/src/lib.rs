//! What h8s puts on NATS: subjects, heads and frames. Pure: no I/O, no clock.
