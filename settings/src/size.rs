//! Byte counts as people write them.

const EXAMPLE: &str = "write bytes, or a number and a unit, such as 10485760, 64KiB or 10MiB";

/// Reads a byte count: `10485760`, `64KiB`, `10MiB`, `1GiB` (powers of 1024), `10MB` (powers of 1000). Case does
/// not matter, and a space before the unit is allowed.
///
/// # Errors
/// A sentence that says what is wrong and how to write it: no number, negative, fractional, unknown unit, too large.
pub fn size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err(format!("an empty size; {EXAMPLE}"));
    }
    if text.starts_with('-') {
        return Err(format!("a size cannot be negative; {EXAMPLE}"));
    }
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    if number.is_empty() || unit.starts_with(['.', ',', '_']) {
        return Err(format!("not a whole number of bytes; {EXAMPLE}"));
    }
    let factor = factor(unit.trim_start())?;
    let number: Option<u64> = number.parse().ok();
    number
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| "more than 2^64 bytes; give a smaller size".to_owned())
}

fn factor(unit: &str) -> Result<u64, String> {
    Ok(match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(format!("{unit:?} is not a unit of size; {EXAMPLE}")),
    })
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
            ("64KiB", 65_536),
            ("1GiB", 1 << 30),
            ("2TiB", 2 << 40),
            ("10MB", 10_000_000),
            ("1kb", 1_000),
            (" 3 gb ", 3_000_000_000),
            ("7B", 7),
            ("0", 0),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_a_remedy() {
        for (text, said) in [
            ("", "empty"),
            ("-1", "negative"),
            ("MiB", "not a whole number"),
            ("1.5MiB", "not a whole number"),
            ("10M", "\"M\" is not a unit"),
            ("10 apples", "\"apples\" is not a unit"),
            ("18446744073709551616", "more than 2^64"),
            ("99999999999TiB", "more than 2^64"),
        ] {
            let sentence = size(text).unwrap_err();
            assert!(sentence.contains(said), "{text:?}: {sentence}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*|[0-9]{1,25} ?[kmgtKMGT]?i?[bB]?") {
            let _ = size(&text);
        }
    }
}
