//! Which servers are believed to be who they say they are.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
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
    for certificate in CertificateDer::pem_file_iter(file).map_err(no_pem)? {
        let certificate = certificate.map_err(no_pem)?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    match roots.is_empty() {
        true => Err("there is none in it".to_owned()),
        false => Ok(()),
    }
}

/// Why a file holds no certificates, in words of ours: those of the reader quote the line that it stands at, and the file
/// may be one that is nobody's business, such as that of a key.
fn no_pem(error: pem::Error) -> String {
    let words = match error {
        pem::Error::Io(error) => return error.to_string(),
        pem::Error::NoItemsFound => "there is none in it",
        pem::Error::MissingSectionEnd { .. } | pem::Error::IllegalSectionStart { .. } => {
            "its BEGIN or its END is not on a line of its own; copy the file again, whole and with its line breaks"
        }
        pem::Error::Base64Decode(_) => {
            "what is between BEGIN and END is no base64; copy the file again, whole"
        }
        pem::Error::SectionTooLarge => "it is too long",
        _ => "it cannot be read as such",
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_no_certificate_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.pem");
        let secret = "MC4CAQAwBQYDK2VwBCIEIHeron";
        let lines = ["-----BEGIN PRIVATE KEY-----", secret, "-----END PRIVATE KEY-----"];
        let bytes = format!("{:?}", &secret.as_bytes()[..4]);
        for between in [" ", "\\n", ""] {
            fs::write(&file, lines.join(between) + between).unwrap();
            let message = config(true, Some(&file)).unwrap_err();
            assert!(!message.contains("MC4C"), "{message}");
            assert!(!message.contains(bytes.trim_matches(['[', ']'])), "{message}");
            assert!(message.contains("line breaks"), "{message}");
        }
    }
}
