//! An embedded core-NATS broker for one machine.
