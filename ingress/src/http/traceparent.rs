//! `traceparent`, which links the traces of one request (W3C Trace Context, level 1).
//!
//! A valid one is forwarded unchanged: the gateway records no spans, and a parent span that was never recorded would split
//! the trace. Without a valid one the gateway starts an unsampled trace; each tracer makes its own sampling decision.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::http::hex;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// `00-` trace id `-` parent id `-` flags.
const BYTES: usize = 55;
const TRACE_ID: std::ops::Range<usize> = 3..35;
const PARENT_ID: std::ops::Range<usize> = 36..52;
const FLAGS: std::ops::Range<usize> = 53..55;

/// Ensures a valid `traceparent`.
pub(crate) fn keep_or_begin(headers: &mut HeaderMap) {
    if id(headers).is_some() {
        return;
    }
    // It belongs to another trace, or none.
    headers.remove(TRACESTATE);
    let mut value = *b"00-................................-................-00";
    hex::fill_random(&mut value[TRACE_ID]);
    hex::fill_random(&mut value[PARENT_ID]);
    let value = HeaderValue::from_bytes(&value).expect("hexadecimal digits are visible ASCII");
    headers.insert(TRACEPARENT, value);
}

/// The trace id of the one valid `traceparent`.
pub(crate) fn id(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let value = values.next()?.to_str().ok().filter(|value| is_valid(value.as_bytes()))?;
    values.next().is_none().then(|| &value[TRACE_ID])
}

/// Later versions may have more to say behind another dash (§3.2.4 there).
fn is_valid(value: &[u8]) -> bool {
    let Some((known, rest)) = value.split_at_checked(BYTES) else { return false };
    let is_known_version = &known[..2] == b"00" && rest.is_empty();
    let is_later_version = is_hex(&known[..2])
        && !matches!(&known[..2], b"00" | b"ff")
        && (rest.is_empty() || rest.starts_with(b"-"));
    (is_known_version || is_later_version)
        && [2, 35, 52].iter().all(|at| known[*at] == b'-')
        && is_id(&known[TRACE_ID])
        && is_id(&known[PARENT_ID])
        && is_hex(&known[FLAGS])
}

fn is_id(digits: &[u8]) -> bool {
    is_hex(digits) && digits.iter().any(|digit| *digit != b'0')
}

fn is_hex(digits: &[u8]) -> bool {
    digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn kept(values: &[&str]) -> (String, Vec<String>, bool) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TRACEPARENT, value.parse().unwrap());
        }
        headers.insert(TRACESTATE, HeaderValue::from_static("a=1"));
        keep_or_begin(&mut headers);
        let all = headers.get_all(TRACEPARENT).iter().map(|value| value.to_str().unwrap().to_owned());
        (id(&headers).unwrap().to_owned(), all.collect(), headers.contains_key(TRACESTATE))
    }

    #[test]
    fn a_valid_one_is_kept_with_its_state() {
        for valid in
            [VALID, &VALID.replacen("00", "01", 1), &format!("{}-more", VALID.replacen("00", "cc", 1))]
        {
            let (id, headers, has_state) = kept(&[valid]);

            assert_eq!((id.as_str(), headers, has_state), (&VALID[TRACE_ID], vec![valid.to_owned()], true));
        }
    }

    #[test]
    fn without_a_valid_one_a_trace_begins() {
        let zero_trace = VALID.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32));
        let zero_parent = VALID.replace("b7ad6b7169203331", &"0".repeat(16));
        for invalid in [
            &[][..],
            &[VALID, VALID],
            &[""],
            &["nonsense"],
            &[&VALID[..54]],
            &[&VALID.to_uppercase()],
            &[&format!("{VALID}-more")],
            &[&VALID.replacen("00", "ff", 1)],
            &[&VALID.replace('-', "_")],
            &[&zero_trace],
            &[&zero_parent],
        ] {
            let (id, headers, has_state) = kept(invalid);

            assert_eq!((headers.len(), has_state), (1, false), "{invalid:?}");
            assert!(id != VALID[TRACE_ID] && headers[0].ends_with("-00"), "{headers:?}");
        }
    }
}
