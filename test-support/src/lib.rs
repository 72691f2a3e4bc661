//! Real servers, clients and guests for the tests. A dev-dependency only.

pub mod guests;
