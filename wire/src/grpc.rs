//! Detects gRPC calls. Gateways and responders must agree on them.

use http::{HeaderMap, header};

const CONTENT_TYPE: &[u8] = b"application/grpc";

/// Whether these are the headers of a gRPC call or of its response
/// (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>). `application/grpc-web` is a different protocol.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes()) else { return false };
    let (name, rest) = value.split_at(value.len().min(CONTENT_TYPE.len()));
    name.eq_ignore_ascii_case(CONTENT_TYPE) && matches!(rest.first(), None | Some(b'+' | b';' | b' ' | b'\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_detected_by_content_type() {
        let is =
            |value: &str| is_grpc(&HeaderMap::from_iter([(header::CONTENT_TYPE, value.parse().unwrap())]));

        for call in [
            "application/grpc",
            "application/grpc+proto",
            "Application/gRPC;charset=x",
            "application/grpc ;a",
        ] {
            assert!(is(call), "{call}");
        }
        for other in ["application/grpc-web", "application/grpcx", "application/grp", "", "text/plain"] {
            assert!(!is(other), "{other}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }
}
