//! Whom a backend's certificate must come from, and which protocol TLS agrees upon.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::dial::Offer;

/// Why there are no roots.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The file is missing, or holds no PEM certificate.
    #[error("{} holds no certificate in PEM: {source}", path.display())]
    Pem {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// The file's certificates cannot be roots.
    #[error("the certificates in {} cannot be roots: {source}", path.display())]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// The system has none, and no file was named.
    #[error("the system has no root certificates; name a file with --backend-ca")]
    None,
}

/// The roots that a backend's certificate must lead to, in a configuration for each offer.
#[derive(Clone, Debug)]
pub(crate) struct Roots {
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
    either: Arc<ClientConfig>,
}

impl Roots {
    /// The certificates in `file`, or else the system's.
    pub(crate) fn load(file: Option<&Path>) -> Result<Self, RootsError> {
        let store = match file {
            Some(path) => from_file(path)?,
            None => of_the_system()?,
        };
        Ok(Self::new(&store))
    }

    fn new(store: &RootCertStore) -> Self {
        let offering = |protocols: &[&[u8]]| {
            // Named, because with two providers compiled in rustls would panic rather than choose.
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let mut config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .expect("ring has the default versions' cipher suites")
                .with_root_certificates(store.clone())
                .with_no_client_auth();
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            Arc::new(config)
        };
        Self {
            http1: offering(&[b"http/1.1"]),
            http2: offering(&[b"h2"]),
            either: offering(&[b"h2", b"http/1.1"]),
        }
    }

    pub(crate) fn config(&self, offer: Offer) -> &Arc<ClientConfig> {
        match offer {
            Offer::Http1 => &self.http1,
            Offer::Http2 => &self.http2,
            Offer::Either => &self.either,
        }
    }
}

fn from_file(path: &Path) -> Result<RootCertStore, RootsError> {
    let pem = |source| RootsError::Pem { path: path.to_owned(), source };
    let certificates: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(pem)?;
    if certificates.is_empty() {
        return Err(pem(rustls::pki_types::pem::Error::NoItemsFound));
    }
    let mut store = RootCertStore::empty();
    for certificate in certificates {
        store.add(certificate).map_err(|source| RootsError::Unusable { path: path.to_owned(), source })?;
    }
    Ok(store)
}

fn of_the_system() -> Result<RootCertStore, RootsError> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if store.is_empty() { Err(RootsError::None) } else { Ok(store) }
}
