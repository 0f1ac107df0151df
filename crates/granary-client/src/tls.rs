//! Which servers are believed to be who they say they are.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// How TLS is spoken: servers show a certificate that was issued by one in this file, or by one that this machine trusts.
/// Where it is not `needed` nobody is trusted.
pub(crate) fn config(needed: bool, ca_file: Option<&Path>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        _ if !needed => {}
        Some(file) => add(&mut roots, file)
            .map_err(|why| format!("{} holds no certificate to trust as PEM: {why}", file.display()))?,
        None => {
            // Those that cannot be read are not trusted; a server that needs them is refused by name.
            let (_, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn add(roots: &mut RootCertStore, file: &Path) -> Result<(), String> {
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| error.to_string())? {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    match roots.is_empty() {
        true => Err("there is none in it".to_owned()),
        false => Ok(()),
    }
}
