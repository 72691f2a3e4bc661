//! Common field names that the `http` crate does not predefine: it would copy each of them to the heap.

use http::HeaderName;

/// The predefined name with these bytes.
pub(super) fn lookup(name: &[u8]) -> Option<HeaderName> {
    macro_rules! of {
        ($($text:literal)*) => {
            match name {
                $(text if text == $text.as_bytes() => {
                    const NAME: HeaderName = HeaderName::from_static($text);
                    Some(NAME)
                })*
                _ => None,
            }
        };
    }
    match name.first()? {
        b'k' => of!("keep-alive"),
        b'p' => of!("priority"),
        b's' => of!(
            "sec-ch-ua" "sec-ch-ua-mobile" "sec-ch-ua-platform" "sec-fetch-dest" "sec-fetch-mode" "sec-fetch-site"
            "sec-fetch-user" "sec-gpc"
        ),
        b't' => of!("traceparent" "tracestate"),
        b'x' => of!(
            "x-forwarded-for" "x-forwarded-host" "x-forwarded-proto" "x-request-id" "x-requested-with"
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_common_name_is_found_and_others_are_not() {
        for name in
            ["keep-alive", "priority", "sec-fetch-site", "traceparent", "x-forwarded-for", "x-request-id"]
        {
            assert_eq!(lookup(name.as_bytes()).unwrap().as_str(), name);
        }
        for name in ["", "x", "x-forwarded", "x-request-idx", "X-Request-Id", "host"] {
            assert_eq!(lookup(name.as_bytes()), None, "{name}");
        }
    }
}
