//! Whom to believe: the roots of Mozilla's programme, and those of a file that the caller names.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

use super::TransferError;

/// What all connections of a call share.
///
/// # Errors
/// The file can't be read, or has no certificate in PEM form.
pub fn config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, TransferError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = ca_file {
        add_file(&mut roots, path)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TransferError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), TransferError> {
    let bad = |why: String| TransferError::Tls(format!("{} has no certificates: {why}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|error| bad(error.to_string()))?;
        // Certificates that the system keeps and nobody can use are common; the others count.
        count += usize::from(roots.add(certificate).is_ok());
    }
    if count == 0 {
        return Err(bad("none is in PEM form".to_owned()));
    }
    Ok(())
}
