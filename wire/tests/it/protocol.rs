//! `PROTOCOL.md` says what the code does, where that can be checked.

use h8s_wire::{
    AbortCode, Kind, MAX_DATA_BYTES, MAX_FRAME_BYTES, MAX_HEAD_BYTES, MAX_INLINE_BYTES, MAX_PATH_TOKENS,
    MAX_SUBJECT_BYTES, PREFIX, RefusedCode, Sync, VERSION, frame_cost,
};

const PROTOCOL: &str = include_str!("../../PROTOCOL.md");

/// The table row that names this has this number, written with commas.
fn row_says(name: &str, number: usize) {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    let number = groups.join(",");
    let row = PROTOCOL.lines().find(|line| line.starts_with('|') && line.contains(name));
    let row = row.unwrap_or_else(|| panic!("no row with {name}"));
    assert!(row.contains(&format!("| {number}")), "{number} in: {row}");
}

#[test]
fn the_limits_are_those_of_the_code() {
    row_says("`MAX_FRAME_BYTES`", MAX_FRAME_BYTES);
    row_says("`MAX_INLINE_BYTES`", MAX_INLINE_BYTES);
    row_says("`MAX_HEAD_BYTES`", MAX_HEAD_BYTES);
    row_says("`MAX_DATA_BYTES`", MAX_DATA_BYTES);
    row_says("`Sync::MAX_ENTRIES`", Sync::MAX_ENTRIES);
    row_says("subject |", MAX_SUBJECT_BYTES);
    row_says("path tokens", MAX_PATH_TOKENS);
    assert!(PROTOCOL.contains(&format!("Version {VERSION} of the native dialect")));
    assert!(PROTOCOL.contains(&format!("`{PREFIX}` unless configured")));
}

#[test]
fn every_kind_and_code_is_in_its_table() {
    for kind in Kind::ALL {
        let row = format!("| {} | `{}` |", kind as u8, format!("{kind:?}").to_uppercase());
        assert!(PROTOCOL.contains(&row), "{row}");
    }
    let named = |number: u64| !matches!(AbortCode::of(number), AbortCode::Other(_));
    for number in (0..100).filter(|number| named(*number)) {
        let row = format!("| {number} | {} |", AbortCode::of(number));
        assert!(PROTOCOL.contains(&row), "{row}");
    }
    for number in [1, 2] {
        assert!(PROTOCOL.contains(&format!("{number} {}", RefusedCode::of(number))));
    }
}

#[test]
fn the_example_of_credit_adds_up() {
    let frame = frame_cost(65_536);
    assert_eq!((frame, 15 * frame, 16 * frame), (65_792, 986_880, 1_052_672));
    let limit = 8 * frame + 1_048_576;
    assert_eq!((8 * frame, limit), (526_336, 1_574_912));
    // In all 23 fit, so eight more than the first fifteen.
    assert_eq!(limit / frame, 23);
    for number in ["65,792", "986,880", "1,052,672", "526,336", "1,574,912"] {
        assert!(PROTOCOL.contains(number), "{number}");
    }
}

#[test]
fn the_sections_that_code_refers_to_are_there() {
    for (number, title) in [
        (1, "Principles"),
        (2, "Subjects"),
        (3, "Interest"),
        (4, "Plain dialect"),
        (5, "Native dialect"),
        (6, "WebSockets and connections"),
        (7, "Versions and extension"),
    ] {
        assert!(PROTOCOL.contains(&format!("\n## {number}. {title}\n")), "{number}");
    }
}
