//! ALPN protocols offered to a backend over TLS.

use std::sync::Arc;

use h8s_settings::tls::client_config;
use rustls::{ClientConfig, RootCertStore};

/// The protocols to offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AlpnOffer {
    Http1,
    Http2,
    Either,
}

/// One TLS configuration per offer. A backend's certificate must lead to the given roots.
#[derive(Clone, Debug)]
pub(crate) struct AlpnConfigs {
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
    either: Arc<ClientConfig>,
}

impl AlpnConfigs {
    pub(crate) fn new(roots: RootCertStore) -> Self {
        Self {
            http1: client_config(roots.clone(), &[b"http/1.1"]),
            http2: client_config(roots.clone(), &[b"h2"]),
            either: client_config(roots, &[b"h2", b"http/1.1"]),
        }
    }

    pub(crate) fn config(&self, offer: AlpnOffer) -> &Arc<ClientConfig> {
        match offer {
            AlpnOffer::Http1 => &self.http1,
            AlpnOffer::Http2 => &self.http2,
            AlpnOffer::Either => &self.either,
        }
    }
}
