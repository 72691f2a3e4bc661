//! The checks of `wire/tests/it/checks.rs`, which the property tests run too.

#[path = "../../tests/it/checks.rs"]
pub mod checks;
