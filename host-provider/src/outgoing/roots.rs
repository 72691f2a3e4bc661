//! Whom a certificate must come from where guests send requests, and which protocols TLS offers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

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
    #[error("the system has no root certificates for outgoing requests; name a file with --outgoing-ca")]
    None,
}

/// For the roots in `ca`, or else the system's.
pub(crate) fn client_config(ca: Option<&Path>) -> Result<Arc<ClientConfig>, RootsError> {
    let roots = match ca {
        Some(path) => from_file(path)?,
        None => of_the_system()?,
    };
    // Named, because with two providers compiled in rustls would panic rather than choose.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the default versions' cipher suites")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
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
