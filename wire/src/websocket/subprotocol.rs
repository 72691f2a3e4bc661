//! WebSocket subprotocol negotiation: `sec-websocket-protocol` (RFC 6455 §11.3.4).

use http::header::{self, HeaderMap};

/// Whether the client offers this subprotocol.
pub fn is_offered(protocol: &str, headers: &HeaderMap) -> bool {
    offered(headers).any(|offered| offered == protocol)
}

/// The subprotocols that the client offers, in order of preference, over all fields.
pub fn offered(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lists = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).into_iter();
    let names = lists.filter_map(|list| list.to_str().ok()).flat_map(|list| list.split(','));
    names.map(|name| name.trim_matches([' ', '\t'])).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn offers_are_lists_over_several_fields() {
        let mut headers = HeaderMap::new();
        for list in ["chat, superchat", "", " v2 ,"] {
            headers.append(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(list));
        }
        assert_eq!(offered(&headers).collect::<Vec<_>>(), ["chat", "superchat", "v2"]);
        assert!(is_offered("v2", &headers) && !is_offered("Chat", &headers) && !is_offered("", &headers));
    }
}
