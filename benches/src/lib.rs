//! Criterion benches of the pieces on the hot path.
