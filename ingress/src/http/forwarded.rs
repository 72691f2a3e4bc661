//! What responders learn about the client: `X-Forwarded-For`, `-Proto`, `-Host`, `X-Request-Id` and `traceparent`.
//!
//! An untrusted client's own claims are removed before this runs (`header_policy`), so its peer address counts. A trusted
//! proxy's claims are kept, and its address is appended (T12). None of these fields is used for routing: `Host` is.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

use crate::http::header_policy::Sender;
use crate::http::{hex, traceparent};

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// Header fields added here, at most.
const ADDED: usize = 5;
const HTTPS: &str = "https";
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Proxies whose `X-Forwarded-*` and `X-Request-Id` are trusted. Default: none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    /// Whether this address is a trusted proxy's.
    pub fn contains(&self, address: IpAddr) -> bool {
        // A dual-stack listener sees IPv4 clients as IPv6 ones.
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Comma-separated networks or addresses: `10.0.0.0/8, ::1`.
impl FromStr for TrustedProxies {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(network)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    address.or_else(|_| text.parse::<IpNet>()).map_err(|_| {
        format!("{text:?} is not a valid network; write 10.0.0.0/8, 2001:db8::/32 or a single address")
    })
}

/// The client of a request, as far as the gateway knows.
#[derive(Debug)]
pub(crate) struct Described {
    pub(crate) client: IpAddr,
    /// The client's connection uses TLS: to the gateway, or as a trusted proxy reports.
    pub(crate) is_secure: bool,
    pub(crate) request_id: HeaderValue,
}

/// The peer of a client connection, with the header values that it adds to each request, made once.
#[derive(Debug)]
pub(crate) struct Peer {
    /// IPv4 clients of a dual-stack listener are written as IPv4.
    address: IpAddr,
    text: HeaderValue,
    scheme: HeaderValue,
    pub(crate) sender: Sender,
    trusted: TrustedProxies,
}

impl Peer {
    pub(crate) fn new(address: IpAddr, is_tls: bool, trusted: TrustedProxies) -> Self {
        let address = address.to_canonical();
        let sender = if trusted.contains(address) { Sender::TrustedProxy } else { Sender::Stranger };
        Self {
            address,
            text: HeaderValue::from_str(&address.to_string()).expect("an address is visible ASCII"),
            scheme: HeaderValue::from_static(if is_tls { HTTPS } else { "http" }),
            sender,
            trusted,
        }
    }

    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    /// Describes the client in `headers` and returns the description. `host` is the requested host.
    pub(crate) fn describe(&self, headers: &mut HeaderMap, host: HeaderValue) -> Described {
        headers.reserve(ADDED);
        traceparent::keep_or_begin(headers);
        if self.sender == Sender::Stranger {
            let request_id = new_request_id();
            headers.insert(FOR, self.text.clone());
            headers.insert(PROTO, self.scheme.clone());
            headers.insert(HOST, host);
            headers.insert(REQUEST_ID, request_id.clone());
            return Described { client: self.address, is_secure: self.scheme == HTTPS, request_id };
        }
        let is_secure = headers.entry(PROTO).or_insert_with(|| self.scheme.clone()) == HTTPS;
        headers.entry(HOST).or_insert(host);
        let request_id = headers.entry(REQUEST_ID).or_insert_with(new_request_id).clone();
        Described { client: self.extend_chain(headers), is_secure, request_id }
    }

    /// Appends this proxy to `X-Forwarded-For`. The client is the last address in it that is not a proxy of ours:
    /// addresses before it are the client's own claims.
    fn extend_chain(&self, headers: &mut HeaderMap) -> IpAddr {
        let claimed: Vec<&str> =
            headers.get_all(FOR).iter().filter_map(|value| value.to_str().ok()).collect();
        let mut chain = claimed.join(", ");
        let client = chain
            .rsplit(',')
            .map_while(|hop| hop.trim().parse::<IpAddr>().ok())
            .map(|hop| hop.to_canonical())
            .find(|hop| !self.trusted.contains(*hop))
            .unwrap_or(self.address);
        if !chain.is_empty() {
            chain.push_str(", ");
        }
        chain.push_str(&self.address.to_string());
        let chain = HeaderValue::from_maybe_shared(bytes::Bytes::from(chain));
        headers.insert(FOR, chain.unwrap_or_else(|_| self.text.clone()));
        client
    }
}

/// 128 random bits in hexadecimal: enough to find one request in many gateways' logs.
fn new_request_id() -> HeaderValue {
    let mut text = [0; 32];
    hex::fill_random(&mut text);
    HeaderValue::from_bytes(&text).expect("hexadecimal digits are visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies() -> TrustedProxies {
        "10.0.0.0/8, 2001:db8::/32,127.0.0.1".parse().unwrap()
    }

    fn describe(peer: &str, claims: &[(HeaderName, &'static str)]) -> (HeaderMap, IpAddr) {
        let mut headers: HeaderMap =
            claims.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        let peer = Peer::new(peer.parse().unwrap(), true, proxies());
        crate::http::header_policy::strip_request(&mut headers, peer.sender);
        let described = peer.describe(&mut headers, HeaderValue::from_static("example.com"));
        (headers, described.client)
    }

    #[test]
    fn networks_and_addresses_are_read() {
        let proxies = proxies();

        assert!(
            ["10.1.2.3", "2001:db8::9", "127.0.0.1"].iter().all(|a| proxies.contains(a.parse().unwrap()))
        );
        assert!(["11.1.2.3", "::1", "127.0.0.2"].iter().all(|a| !proxies.contains(a.parse().unwrap())));
    }

    #[test]
    fn what_is_no_network_is_refused_with_a_remedy() {
        let sentence = "10.0.0.0/33".parse::<TrustedProxies>().unwrap_err();
        assert!(sentence.contains("10.0.0.0/33") && sentence.contains("10.0.0.0/8"), "{sentence}");
    }

    #[test]
    fn a_dual_stack_listener_knows_its_proxies() {
        assert!(proxies().contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!proxies().contains("::ffff:11.1.2.3".parse().unwrap()));
    }

    #[test]
    fn a_strangers_claims_are_replaced_by_the_truth() {
        let (headers, client) = describe(
            "::ffff:192.0.2.7",
            &[(FOR, "6.6.6.6"), (PROTO, "http"), (HOST, "evil"), (REQUEST_ID, "x")],
        );

        assert_eq!(client, "192.0.2.7".parse::<IpAddr>().unwrap());
        assert_eq!(
            (&headers[FOR], &headers[PROTO], &headers[HOST]),
            (&"192.0.2.7".parse().unwrap(), &"https".parse().unwrap(), &"example.com".parse().unwrap())
        );
        assert_eq!(headers[REQUEST_ID].len(), 32);
        // A trace begins, too.
        assert_eq!(headers.len(), 5);
    }

    #[test]
    fn a_trusted_proxys_claims_are_kept_and_extended() {
        let (headers, client) = describe(
            "10.0.0.1",
            &[
                (FOR, "6.6.6.6, 192.0.2.7"),
                (FOR, "10.9.9.9"),
                (PROTO, "http"),
                (HOST, "a.example"),
                (REQUEST_ID, "x"),
            ],
        );

        assert_eq!(client, "192.0.2.7".parse::<IpAddr>().unwrap());
        assert_eq!(headers[FOR], "6.6.6.6, 192.0.2.7, 10.9.9.9, 10.0.0.1");
        assert_eq!(
            (&headers[PROTO], &headers[HOST], &headers[REQUEST_ID]),
            (&"http".parse().unwrap(), &"a.example".parse().unwrap(), &"x".parse().unwrap())
        );
        assert_eq!(headers.get_all(FOR).iter().count(), 1);
    }

    #[test]
    fn a_trusted_proxy_that_claims_nothing_is_the_client() {
        let (headers, client) = describe("10.0.0.1", &[]);

        assert_eq!(client, "10.0.0.1".parse::<IpAddr>().unwrap());
        assert_eq!(
            (&headers[FOR], &headers[PROTO]),
            (&"10.0.0.1".parse().unwrap(), &"https".parse().unwrap())
        );
    }

    #[test]
    fn a_chain_that_is_no_chain_is_passed_on_but_not_believed() {
        let (headers, client) = describe("10.0.0.1", &[(FOR, "1.2.3.4, unknown")]);

        assert_eq!(client, "10.0.0.1".parse::<IpAddr>().unwrap());
        assert_eq!(headers[FOR], "1.2.3.4, unknown, 10.0.0.1");
    }
}
