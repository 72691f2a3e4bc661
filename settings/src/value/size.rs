//! Sizes: `parse-size`, with error texts that name the remedy.

use parse_size::{Error, parse_size};

const EXAMPLE: &str = "write bytes, or a number and a unit, such as 10485760, 64KiB or 10M";

/// Parses a number of bytes: `10485760`, `64KiB`, `10MiB`, `1GiB` (powers of 1024), `10M`, `10MB` (powers of 1000).
/// Case is ignored; a space before the unit is allowed.
///
/// # Errors
/// A sentence that names the problem and the remedy: no number, negative, unknown unit, too large.
pub fn size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err(format!("an empty size; {EXAMPLE}"));
    }
    if text.starts_with('-') {
        return Err(format!("a size cannot be negative; {EXAMPLE}"));
    }
    parse_size(text).map_err(|error| match error {
        Error::PosOverflow => "more than 2^64 bytes; give a smaller size".to_owned(),
        _ => match unit(text) {
            Some(unit) => format!("{unit:?} is not a unit of size; {EXAMPLE}"),
            None => format!("not a number of bytes; {EXAMPLE}"),
        },
    })
}

/// The letters behind a number.
fn unit(text: &str) -> Option<&str> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
    (unit.len() < text.len() && unit.starts_with(char::is_alphabetic)).then_some(unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_read_in_both_systems() {
        for (text, bytes) in [
            ("10485760", 10_485_760),
            ("10MiB", 10_485_760),
            ("10Mi", 10_485_760),
            ("64KiB", 65_536),
            ("1GiB", 1 << 30),
            ("2TiB", 2 << 40),
            ("10MB", 10_000_000),
            ("10M", 10_000_000),
            ("64k", 64_000),
            ("1kb", 1_000),
            ("1.5KiB", 1_536),
            (" 3 gb ", 3_000_000_000),
            ("7B", 7),
            ("0", 0),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn an_error_names_the_problem_and_the_remedy() {
        for (text, expected) in [
            ("", "empty"),
            ("-1", "negative"),
            ("MiB", "not a number of bytes"),
            ("1,5MiB", "not a number of bytes"),
            ("10 apples", "\"apples\" is not a unit"),
            ("18446744073709551616", "more than 2^64"),
            ("99999999999TiB", "more than 2^64"),
        ] {
            let sentence = size(text).unwrap_err();
            assert!(sentence.contains(expected), "{text:?}: {sentence}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*|[0-9]{1,25} ?[kmgtKMGT]?i?[bB]?") {
            let _ = size(&text);
        }
    }
}
