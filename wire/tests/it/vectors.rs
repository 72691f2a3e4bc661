//! The golden vectors in `wire/vectors` against this implementation.
//!
//! A vector that does not match fails, and so does a frame kind or an error without a vector, a vector without a
//! reason, or a list that no test reads.

mod connections;
mod frames;
mod interest;
mod plain;
mod push;
mod subjects;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

/// One file, which records the lists that were read.
struct Vectors {
    lists: Value,
    read: RefCell<BTreeSet<String>>,
}

impl Vectors {
    fn of(file: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        Self { lists: serde_json::from_str(&text).unwrap(), read: RefCell::default() }
    }

    /// Runs `check` on every vector of one list. A failure shows the vector's reason.
    fn each(&self, list: &str, check: impl Fn(&Value)) {
        let vectors = self.lists[list].as_array().unwrap_or_else(|| panic!("no list {list}"));
        assert!(!vectors.is_empty(), "{list} is empty");
        for vector in vectors {
            let why = text(vector, "why");
            assert!(!why.is_empty());
            println!("{list}: {why}");
            check(vector);
        }
        self.read.borrow_mut().insert(list.to_owned());
    }

    /// Checks that all lists were read: a typing error in a name would skip a list silently.
    fn all_read(&self) {
        let lists = self.lists.as_object().unwrap().iter().filter(|(_, list)| list.is_array());
        let lists: BTreeSet<String> = lists.map(|(name, _)| name.clone()).collect();
        assert_eq!(*self.read.borrow(), lists);
    }
}

fn text<'a>(vector: &'a Value, key: &str) -> &'a str {
    vector[key].as_str().unwrap_or_else(|| panic!("no text {key} in {vector}"))
}

fn flag(vector: &Value, key: &str) -> bool {
    vector[key].as_bool().unwrap_or_else(|| panic!("no flag {key} in {vector}"))
}

fn number(vector: &Value, key: &str) -> usize {
    usize::try_from(vector[key].as_u64().unwrap_or_else(|| panic!("no number {key} in {vector}"))).unwrap()
}

fn texts<'a>(vector: &'a Value, key: &str) -> Vec<&'a str> {
    let list = vector[key].as_array().unwrap_or_else(|| panic!("no list {key} in {vector}"));
    list.iter().map(|text| text.as_str().unwrap()).collect()
}

/// A list of name and value.
fn pairs<'a>(vector: &'a Value, key: &str) -> Vec<(&'a str, &'a str)> {
    let list = vector[key].as_array().unwrap_or_else(|| panic!("no list {key} in {vector}"));
    list.iter().map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap())).collect()
}

/// Decodes hexadecimal digits, ignoring spaces.
fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|byte| *byte != b' ').collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
