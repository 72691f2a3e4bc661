//! Durations as people write them.

use std::time::Duration;

/// The longest duration a setting may have, ten years. Beyond it nobody means it, and adding it to the
/// clock could overflow somewhere later; "never" is a setting left out.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

const EXAMPLE: &str = "write a number and a unit (ms, s, m, h, d), such as 250ms, 5s or 1h30m";

/// Reads `250ms`, `5s`, `2m`, `1h30m`, `7d`: whole numbers with units, added up. At most ten years.
///
/// # Errors
/// A sentence that says what is wrong and how to write it: no unit, no number, negative, fractional, too long.
pub fn duration(text: &str) -> Result<Duration, String> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(format!("an empty duration; {EXAMPLE}"));
    }
    if rest.starts_with('-') {
        return Err(format!("a duration cannot be negative; {EXAMPLE}"));
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (part, after) = part(rest)?;
        total = total.checked_add(part).filter(|sum| *sum <= LONGEST).ok_or_else(too_long)?;
        rest = after;
    }
    Ok(total)
}

/// The first number with its unit, and what follows them.
fn part(text: &str) -> Result<(Duration, &str), String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(letters);
    if number.is_empty() || (unit.is_empty() && !rest.is_empty()) {
        return Err(format!("not a duration; {EXAMPLE}"));
    }
    if unit.is_empty() {
        return Err(format!(
            "the unit is missing; write {number}s for seconds or {number}ms for milliseconds"
        ));
    }
    let number: u64 = number.parse().map_err(|_| too_long())?;
    Ok((in_unit(number, unit)?, rest))
}

fn in_unit(number: u64, unit: &str) -> Result<Duration, String> {
    let seconds = match unit {
        "ms" => return Ok(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return Err(format!("{unit:?} is not a unit of time; {EXAMPLE}")),
    };
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(too_long)
}

fn too_long() -> String {
    "longer than ten years; give a shorter duration, or leave the setting out".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_add_up() {
        for (text, millis) in [
            ("250ms", 250),
            ("5s", 5_000),
            (" 2m ", 120_000),
            ("1h30m", 5_400_000),
            ("1d1ms", 86_400_001),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_a_remedy() {
        for (text, said) in [
            ("", "empty"),
            ("   ", "empty"),
            ("5", "write 5s for seconds or 5ms"),
            ("-5s", "negative"),
            ("1.5s", "not a duration"),
            ("s", "not a duration"),
            ("1h30", "unit is missing; write 30s"),
            ("5 s", "not a duration"),
            ("5sec", "\"sec\" is not a unit"),
            ("11000000d", "longer than ten years"),
            ("99999999999999999999h", "longer than ten years"),
            ("18446744073709551615h", "longer than ten years"),
            ("18446744073709551615ms18446744073709551615ms", "longer than ten years"),
        ] {
            let sentence = duration(text).unwrap_err();
            assert!(sentence.contains(said), "{text:?}: {sentence}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_or_overflows(text in "\\PC*|[0-9]{1,25}(ms|s|m|h|d)([0-9]{1,25}(ms|s|m|h|d))*") {
            if let Ok(read) = duration(&text) {
                prop_assert!(read <= LONGEST);
            }
        }
    }
}
