//! Connections: the pool, its limits, and TLS.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime, TimeoutType};
use granary_store::{Result, StoreError};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::failure::{unavailable, with_causes};
use crate::session::Session;
use crate::{Inner, PostgresOptions};

/// How long a connection may take to come up, unless the URL says so with `connect_timeout`.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// How long a call waits for a connection of the pool.
const POOL_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long sent bytes may stay unacknowledged, unless the URL says so with `tcp_user_timeout`.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(10);

/// How this node connects: what the URL says, and TLS unless that turns it off.
pub(crate) fn way(options: &PostgresOptions) -> Result<(Config, Option<MakeRustlsConnect>)> {
    let config = config(&options.url)?;
    let tls = match config.get_ssl_mode() {
        SslMode::Disable => None,
        // Where the connection may also be plain, as it may unless the URL says otherwise, a certificate proves nothing:
        // whoever is in between would turn TLS off.
        SslMode::Prefer if options.root_certificate.is_none() => Some(unchecked_tls()?),
        _ => Some(tls(options.root_certificate.as_deref())?),
    };
    Ok((config, tls))
}

/// The pool of connections. Nothing is connected yet.
pub(crate) fn pool(config: Config, tls: Option<MakeRustlsConnect>, connections: usize) -> Result<Pool> {
    let of_pool = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let manager = match tls {
        None => Manager::from_config(config, tokio_postgres::NoTls, of_pool),
        Some(tls) => Manager::from_config(config, tls, of_pool),
    };
    Pool::builder(manager)
        .max_size(connections.max(2))
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(POOL_WAIT_MAX))
        .create_timeout(Some(CONNECT_TIME_MAX * 2))
        .recycle_timeout(Some(POOL_WAIT_MAX))
        .build()
        .map_err(|error| StoreError::Unavailable(error.to_string()))
}

fn config(url: &str) -> Result<Config> {
    // The message of the parser quotes names of parameters, and not the URL, which holds a password.
    let mut config = Config::from_str(url).map_err(|error| {
        let why = with_causes(&error);
        StoreError::Unavailable(format!("the URL of the database cannot be read: {why}"))
    })?;
    if config.get_dbname().is_none() {
        config.dbname("granary");
    }
    if config.get_application_name().is_none() {
        config.application_name("granary");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIME_MAX);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(UNACKNOWLEDGED_MAX);
    }
    if !url.contains("keepalives_idle") {
        config.keepalives_idle(Duration::from_secs(10));
        config.keepalives_interval(Duration::from_secs(5));
        config.keepalives_retries(3);
    }
    Ok(config)
}

/// Encrypts, and takes any certificate.
fn unchecked_tls() -> Result<MakeRustlsConnect> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(AnyCertificate(Arc::clone(&provider)));
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Unavailable(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// Takes any certificate of a server that holds its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Encrypts, and checks the certificate of the server against this one, or against those of the machine.
fn tls(root_certificate: Option<&Path>) -> Result<MakeRustlsConnect> {
    let wrong = |what: String| StoreError::Unavailable(what);
    let mut roots = rustls::RootCertStore::empty();
    match root_certificate {
        Some(path) => {
            // Not in the words of the reader, which quote the line that it stands at: the file may be that of a key.
            let unreadable = |error| {
                let why = match error {
                    pem::Error::Io(error) => error.to_string(),
                    _ => "it holds none as PEM; copy the file again, whole and with its line breaks".into(),
                };
                wrong(format!("cannot read certificates from {}: {why}", path.display()))
            };
            for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
                let certificate = certificate.map_err(unreadable)?;
                roots
                    .add(certificate)
                    .map_err(|error| wrong(format!("{}: {error}", path.display())))?;
            }
        }
        None => {
            // Those that cannot be read are not trusted; a server that needs them is refused by name.
            let (_, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

impl Inner {
    /// A connection of the pool.
    pub(crate) async fn session(&self) -> Result<Session> {
        let client = self.pool.get().await.map_err(|error| match error {
            PoolError::Timeout(TimeoutType::Wait) => StoreError::Unavailable(format!(
                "no connection to PostgreSQL came free within {} s: it does not answer, or is slow, or \
                 --postgres-connections are too few",
                POOL_WAIT_MAX.as_secs()
            )),
            PoolError::Timeout(_) => StoreError::Unavailable("PostgreSQL did not answer in time".into()),
            PoolError::Backend(error) => unavailable(&error),
            error => StoreError::Unavailable(format!("PostgreSQL: {error}")),
        })?;
        Ok(Session::new(client, self.statements))
    }
}
