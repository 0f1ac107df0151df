//! The certificate that a server shows, and its key. Nothing here writes a key down or shows it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The certificate that a server shows, with its key.
pub struct Tls {
    certificates: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<ServerConfig>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Tls")
            .field("certificates", &self.certificates)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// Why a certificate cannot be shown. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds something else.
    #[error(
        "{} does not hold {what} as PEM: {why}; name the file of the certificate with --tls-cert, and that of its key with \
         --tls-key",
        file.display()
    )]
    File {
        /// The file.
        file: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// What was found.
        why: String,
    },
    /// The two do not belong together, or are of a kind that is not known.
    #[error(
        "the certificate in {} cannot be shown with the key in {}: {why}; give the key that this certificate was made for",
        certificates.display(),
        key.display()
    )]
    Pair {
        /// The file of the certificate.
        certificates: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// Why not.
        why: String,
    },
}

impl Tls {
    /// The certificate in one file, those that it was issued by behind it, and its key in the other.
    pub fn read(certificates: PathBuf, key: PathBuf) -> Result<Self, TlsError> {
        let current = RwLock::new(Arc::new(config(&certificates, &key)?));
        Ok(Self {
            certificates,
            key,
            current,
        })
    }

    /// Reads both files again: connections from then on are shown what is in them now. Where that cannot be shown, the
    /// log says so, and the server goes on with what it has.
    pub fn read_again(&self) {
        match config(&self.certificates, &self.key) {
            Ok(config) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                tracing::info!(file = %self.certificates.display(), "the certificate was read again");
            }
            Err(error) => tracing::error!(%error, "the server goes on with the certificate that it has"),
        }
    }

    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn config(certificates: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let of_file = |file: &Path, what: &'static str, error: pem::Error| TlsError::File {
        file: file.to_owned(),
        what,
        why: no_pem(&error),
    };
    let no_certificate = |error| of_file(certificates, "a certificate", error);
    let chain = CertificateDer::pem_file_iter(certificates)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(no_certificate)?;
    if chain.is_empty() {
        return Err(no_certificate(pem::Error::NoItemsFound));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| of_file(key, "a private key", error))?;
    let pair = |error: rustls::Error| TlsError::Pair {
        certificates: certificates.to_owned(),
        key: key.to_owned(),
        why: match error {
            rustls::Error::InconsistentKeys(_) => "the key is not that of the certificate".to_owned(),
            error => error.to_string(),
        },
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(pair)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(pair)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Why a file is not what it should be, in words of ours: those of the reader quote the line that it stands at, and where
/// line breaks were lost that line is the key.
fn no_pem(error: &pem::Error) -> String {
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

    /// Stands in for the secret part of a key.
    const SECRET: &str = "MC4CAQAwBQYDK2VwBCIEIHeron0HeronHeron1HeronHeron2HeronHeron3Heron";

    #[test]
    fn no_part_of_a_key_is_in_a_message() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("the.pem");
        let lines = ["-----BEGIN PRIVATE KEY-----", SECRET, "-----END PRIVATE KEY-----"];
        let uneven = format!("{SECRET}=A");
        let wrong = [
            lines.join(" "),
            lines.join(" ") + "\n",
            lines.join("\\n"),
            lines.join("\\n") + "\\n",
            lines.concat(),
            lines[..2].join("\n"),
            [lines[0], &uneven, lines[2]].join("\n"),
            SECRET.to_owned(),
        ];
        // Four characters of it, as text or as the list of its bytes.
        let parts = SECRET.as_bytes().windows(4).map(|part| {
            let text = String::from_utf8(part.to_owned()).unwrap();
            [text, format!("{part:?}").trim_matches(['[', ']']).to_owned()]
        });
        let parts: Vec<String> = parts.flatten().collect();
        for text in wrong {
            fs::write(&file, &text).unwrap();
            let of_key = PrivateKeyDer::from_pem_file(&file).unwrap_err();
            let messages = [
                no_pem(&of_key),
                // The two were taken for one another.
                config(&file, &file).unwrap_err().to_string(),
            ];
            for message in messages {
                let leaked = parts.iter().find(|part| message.contains(part.as_str()));
                assert_eq!(leaked, None, "{message}");
            }
        }
    }
}
