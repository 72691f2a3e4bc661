//! Durations: `humantime`, with a limit and with error texts that name the remedy.

use std::time::Duration;

use humantime::{DurationError, parse_duration};

/// The longest duration of a setting: ten years. A longer one is a typing error, and adding it to a clock could
/// overflow. "Never" is a setting left out.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

const EXAMPLE: &str = "write a number and a unit (ms, s, m, h, d), such as 250ms, 5s or 1h30m";

/// Parses `250ms`, `5s`, `2m`, `1h30m`, `1h 30min`, `1.5s`, `7d`: numbers with units, added up. At most ten years.
///
/// # Errors
/// A sentence that names the problem and the remedy: no unit, no number, negative, unknown unit, too long.
pub fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if text.starts_with('-') {
        return Err(format!("a duration cannot be negative; {EXAMPLE}"));
    }
    // Months to humantime, and minutes to an operator in a hurry.
    if text.contains('M') {
        return Err(format!("\"M\" is not a unit of time; {EXAMPLE}"));
    }
    match parse_duration(text) {
        Ok(duration) if duration <= LONGEST => Ok(duration),
        Ok(_) => Err(too_long()),
        Err(error) => Err(describe(&error)),
    }
}

fn describe(error: &DurationError) -> String {
    match error {
        DurationError::Empty => format!("an empty duration; {EXAMPLE}"),
        DurationError::UnknownUnit { unit, value, .. } if unit.is_empty() => {
            format!("the unit is missing; write {value}s for seconds or {value}ms for milliseconds")
        }
        DurationError::UnknownUnit { unit, .. } => format!("{unit:?} is not a unit of time; {EXAMPLE}"),
        DurationError::NumberOverflow => too_long(),
        _ => format!("not a duration; {EXAMPLE}"),
    }
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
            ("1h 30min", 5_400_000),
            ("1d1ms", 86_400_001),
            ("0s", 0),
            ("5 s", 5_000),
            ("5sec", 5_000),
            ("1.5s", 1_500),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn an_error_names_the_problem_and_the_remedy() {
        for (text, expected) in [
            ("", "empty"),
            ("   ", "empty"),
            ("5", "write 5s for seconds or 5ms"),
            ("-5s", "negative"),
            ("1,5s", "not a duration"),
            ("s", "not a duration"),
            ("1h30", "unit is missing; write 30s"),
            ("5M", "\"M\" is not a unit"),
            ("5 apples", "\"apples\" is not a unit"),
            ("11000000d", "longer than ten years"),
            ("99999999999999999999h", "longer than ten years"),
            ("18446744073709551615h", "longer than ten years"),
            ("18446744073709551615ms18446744073709551615ms", "longer than ten years"),
        ] {
            let sentence = duration(text).unwrap_err();
            assert!(sentence.contains(expected), "{text:?}: {sentence}");
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
