//! TLS of clients: the root certificates, and a configuration that trusts them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Why there are no root certificates.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The file is missing, or has no PEM certificate.
    #[error("{} holds no certificate in PEM: {source}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// The error of the PEM reader.
        source: rustls::pki_types::pem::Error,
    },
    /// The file's certificates cannot be roots.
    #[error("the certificates in {} cannot be roots: {source}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// The error of the TLS library.
        source: rustls::Error,
    },
    /// The system has none, and no file is configured.
    #[error("the system has no root certificates; name a file with {flag}")]
    None {
        /// The flag that names a file.
        flag: &'static str,
    },
}

/// The root certificates in `file` (PEM), or else the system's. `flag` is the one that names a file.
///
/// # Errors
/// [`RootsError::Pem`], [`RootsError::Unusable`] for the file; [`RootsError::None`] if the system has none.
pub fn roots(file: Option<&Path>, flag: &'static str) -> Result<RootCertStore, RootsError> {
    match file {
        Some(path) => from_file(path),
        None => from_system(flag),
    }
}

/// A client that trusts `roots` and offers these ALPN protocols, the preferred one first.
pub fn client_config(roots: RootCertStore, protocols: &[&[u8]]) -> Arc<ClientConfig> {
    // Named, because rustls panics rather than choose between two compiled-in providers.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the default versions' cipher suites")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
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

fn from_system(flag: &'static str) -> Result<RootCertStore, RootsError> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if store.is_empty() { Err(RootsError::None { flag }) } else { Ok(store) }
}
