//! Alternating certificates, and clients that trust all of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;

/// The number of certificates: each differs from the previous one.
const COUNT: usize = 3;

/// The files of the current certificate.
pub(crate) struct Certificates {
    directory: TempDir,
    made: Vec<CertifiedKey<KeyPair>>,
}

impl Certificates {
    /// Creates the files with the first certificate.
    pub(crate) fn make() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let made = || generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        let certificates = Self { directory, made: (0..COUNT).map(|_| made()).collect() };
        certificates.install(0);
        certificates
    }

    /// Replaces the files with the next certificate, like a renewal.
    pub(crate) fn install(&self, number: usize) {
        let CertifiedKey { cert, signing_key } = &self.made[number % COUNT];
        replace(&self.chain(), cert.pem().as_bytes());
        replace(&self.key(), signing_key.serialize_pem().as_bytes());
    }

    pub(crate) fn chain(&self) -> PathBuf {
        self.directory.path().join("certificate.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.directory.path().join("key.pem")
    }

    /// The client configuration.
    pub(crate) fn trusted(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        for CertifiedKey { cert, .. } in &self.made {
            roots.add(cert.der().clone()).expect("it is a certificate");
        }
        Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
    }
}

/// Replaces a file atomically.
pub(crate) fn replace(path: &Path, contents: &[u8]) {
    let new = path.with_extension("new");
    fs::write(&new, contents).and_then(|()| fs::rename(&new, path)).expect("it can be written");
}
