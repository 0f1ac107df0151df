//! Clients that take answers as they are.

/// A client that could speak TLS, for others of the same build do.
pub fn http() -> reqwest::ClientBuilder {
    // Whoever is second finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
}
