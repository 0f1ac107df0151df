//! Typed client of a granary server, over `granary-api`. One connection pool, one method a call.
//!
//! It has the calls that the command line and the bench make: sources and definitions; resources read, put, listed and deleted by
//! id; relationships read and listed; bulk requests; tasks with their receipts, operations and events, cancelled and tried
//! again; exports and imports; vocabularies whole, their concepts in lists; API keys; health and limits. It has none for bundles,
//! purges, contained resources, PATCH, `includes`, conditions and single concepts.
//!
//! What it promises: path parts are percent-encoded; bulk bodies are sent as a stream and rejections and receipt
//! streams are read as one, so neither needs memory by their length; an answer that is not granary's is an error and
//! never taken for one. What it does not do: retry. A caller knows whether a call may be made twice, this crate does
//! not. One exception: a server that is still starting takes nothing, so with [`ClientOptions::on_starting`] it is waited
//! for, up to [`STARTING_MAX`].
//!
//! ```no_run
//! # async fn example() -> Result<(), granary_client::Error> {
//! let client = granary_client::Client::new("http://127.0.0.1:8080")?;
//! client.put_source("airports").await?;
//! let task = client.source("airports").task("bk_2eVocVVgjAWYJ74DifXluwVtSYs").await?;
//! # Ok(()) }
//! ```

mod bulk;
mod definitions;
mod error;
mod events;
mod export;
mod health;
mod keys;
mod records;
mod reply;
mod sources;
mod tasks;
mod terminology;
mod tls;

use std::path::{Path, PathBuf};
use std::time::Duration;

use granary_core::access::ApiKey;
use granary_core::meta::Triple;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder};
use url::Host;

pub use bulk::{BulkBody, BulkReply, Rejection, RejectionSummary};
pub use definitions::DefinitionKind;
pub use error::Error;
pub use events::TaskEvent;
pub use granary_api as api;
pub use tasks::TaskOperation;
pub use terminology::ConceptsReply;
pub use url::Url;

/// How long to try to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a server that is starting is waited for.
pub const STARTING_MAX: Duration = Duration::from_secs(30);

/// How a server is spoken to.
#[derive(Clone, Debug, Default)]
pub struct ClientOptions {
    /// The key to show. Never printed, also not by `Debug`.
    pub api_key: Option<ApiKey>,
    /// The file of the certificates, as PEM, that a server's must be issued by; else those that this machine trusts.
    pub ca_file: Option<PathBuf>,
    /// Wait for a server that is starting, and call this each time that it says so. Without, its refusal is the answer.
    /// Calls whose body is a stream are not made again.
    pub on_starting: Option<fn(&Url)>,
}

/// A server to talk to. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    server: Url,
    on_starting: Option<fn(&Url)>,
}

/// A source of a server to talk to.
#[derive(Clone, Debug)]
pub struct SourceClient {
    client: Client,
    key: String,
}

/// What a PUT left behind.
#[derive(Clone, Debug)]
pub struct Put<T> {
    /// True where nothing had this key or id before.
    pub created: bool,
    /// What is stored now.
    pub value: T,
}

impl Client {
    /// A client of the server at this URL, such as `http://127.0.0.1:8080`; a host with or without a port is taken as one
    /// that speaks HTTP. Does not connect yet.
    pub fn new(server: &str) -> Result<Self, Error> {
        Self::with(server, ClientOptions::default())
    }

    /// The same, with these options.
    pub fn with(server: &str, options: ClientOptions) -> Result<Self, Error> {
        let bad = |why: String| Error::BadServer {
            server: server.to_owned(),
            why,
        };
        let url = match without_scheme(server) {
            Some(url) => url,
            None => Url::parse(server).map_err(|error| bad(error.to_string()))?,
        };
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad(format!(
                "'{}' is not supported, only http and https are",
                url.scheme()
            )));
        }
        let builder = http(&url, options.ca_file.as_deref());
        let mut builder = builder.map_err(|why| Error::BadAuthority { why })?;
        if let Some(key) = options.api_key {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", key.reveal()))
                .map_err(|_| bad("its key cannot be sent".to_owned()))?;
            // So that it stands in no log; and in this header it does not go along to another host.
            value.set_sensitive(true);
            builder = builder.default_headers(HeaderMap::from_iter([(AUTHORIZATION, value)]));
        }
        let http = builder.build().map_err(|error| bad(error::chain(&error)))?;
        Ok(Self {
            http,
            server: url,
            on_starting: options.on_starting,
        })
    }

    /// The URL of the server.
    pub const fn server(&self) -> &Url {
        &self.server
    }

    /// The source with this key. Does not ask whether there is one.
    pub fn source(&self, key: impl Into<String>) -> SourceClient {
        SourceClient {
            client: self.clone(),
            key: key.into(),
        }
    }

    /// A request to the path made of these parts, each percent-encoded.
    fn request(&self, method: Method, parts: &[&str]) -> Result<RequestBuilder, Error> {
        Ok(self.http.request(method, address(&self.server, parts)?))
    }
}

impl SourceClient {
    /// Its key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// A request to a path below `/sources/{s}/v1`.
    fn request(&self, method: Method, parts: &[&str]) -> Result<RequestBuilder, Error> {
        Ok(self.client.http.request(method, self.address(parts)?))
    }

    /// A path below `/sources/{s}/v1`.
    fn address(&self, parts: &[&str]) -> Result<Url, Error> {
        address(
            &self.client.server,
            &[&["sources", &self.key, "v1"], parts].concat(),
        )
    }
}

/// What speaks HTTP to `url`, or TLS with whom a certificate in `ca_file` was issued for, or one that this machine trusts.
pub fn http(url: &Url, ca_file: Option<&Path>) -> Result<reqwest::ClientBuilder, String> {
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls::config(url.scheme() == "https", ca_file)?)
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("granary/", env!("CARGO_PKG_VERSION")));
    // A proxy named in the environment cannot reach this machine's own addresses.
    Ok(match on_this_machine(url) {
        true => builder.no_proxy(),
        false => builder,
    })
}

/// The URL that a host and a port alone stand for; `None` of all else.
fn without_scheme(server: &str) -> Option<Url> {
    if server.contains("://") {
        return None;
    }
    let url = Url::parse(&format!("http://{server}")).ok()?;
    // What has more, such as `mailto:a@b`, is not guessed at.
    let bare = url.username().is_empty() && url.password().is_none();
    (bare && url.path() == "/" && url.query().is_none() && url.fragment().is_none()).then_some(url)
}

fn on_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// `server` with these parts as its path, each percent-encoded. A part that would name another path is refused: a
/// DELETE with an empty key must not reach the list it is in.
fn address(server: &Url, parts: &[&str]) -> Result<Url, Error> {
    if let Some(part) = parts.iter().find(|part| matches!(**part, "" | "." | "..")) {
        return Err(Error::BadName {
            name: (*part).to_owned(),
        });
    }
    let mut url = server.clone();
    match url.path_segments_mut() {
        Ok(mut segments) => segments.pop_if_empty().extend(parts),
        Err(()) => {
            return Err(Error::BadServer {
                server: server.to_string(),
                why: "it has no host".into(),
            });
        }
    };
    Ok(url)
}

/// The one of these resources that has this identifier, whose notation is percent-encoded by itself.
fn identified(mut resources: Url, identifier: &Triple) -> Url {
    let path = format!("{}/{identifier}", resources.path());
    resources.set_path(&path);
    resources
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_encoded_once_in_a_path() {
        let resources = Url::parse("http://host/granary/v1/resources/t").unwrap();
        let identifier = Triple::parse("https%3A%2F%2Fid.org:a%20%25%3Ab:").unwrap();
        assert_eq!(
            identified(resources, &identifier).as_str(),
            "http://host/granary/v1/resources/t/https%3A%2F%2Fid.org:a%20%25%3Ab:"
        );
    }

    #[test]
    fn every_part_of_a_path_is_encoded() {
        let server = Url::parse("http://127.0.0.1:8080").unwrap();
        let url = address(&server, &["sources", "a/b?c#d", "v1", "resources", "t", "é %.e"]).unwrap();
        assert_eq!(
            url.as_str(),
            "http://127.0.0.1:8080/sources/a%2Fb%3Fc%23d/v1/resources/t/%C3%A9%20%25.e"
        );
        let below = Url::parse("http://host/granary/").unwrap();
        assert_eq!(
            address(&below, &["limits"]).unwrap().as_str(),
            "http://host/granary/limits"
        );
    }

    #[test]
    fn a_part_that_would_name_another_path_is_refused() {
        let server = Url::parse("http://127.0.0.1:8080").unwrap();
        for part in ["", ".", ".."] {
            assert!(
                matches!(address(&server, &["catalog", part]), Err(Error::BadName { .. })),
                "{part:?}"
            );
        }
    }

    #[test]
    fn a_server_that_cannot_be_spoken_to_is_named() {
        for server in ["ftp://host", "mailto:a@b", "a b", "host:port", ""] {
            let error = Client::new(server).unwrap_err().to_string();
            assert!(error.contains("http://127.0.0.1:8080"), "{error}");
        }
    }

    #[test]
    fn a_host_alone_speaks_http() {
        for (server, url) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080/"),
            ("localhost:18102", "http://localhost:18102/"),
            ("[::1]:8080", "http://[::1]:8080/"),
            ("registry.example", "http://registry.example/"),
            ("https://registry.example", "https://registry.example/"),
        ] {
            assert_eq!(Client::new(server).unwrap().server().as_str(), url, "{server}");
        }
    }

    #[test]
    fn a_key_is_in_nothing_that_is_printed() {
        let key = granary_core::ksuid::Ksuid::from_bytes([1; 20]);
        let key = ApiKey::from_parts(key, [7; 32]);
        let options = ClientOptions {
            api_key: Some(key.clone()),
            ..ClientOptions::default()
        };
        let printed = format!("{options:?}");
        let client = Client::with("http://127.0.0.1:1", options).unwrap();
        let source = client.source("s");
        let request = client.request(Method::GET, &["limits"]).unwrap();
        for printed in [printed, format!("{client:?} {source:?} {request:?}")] {
            assert!(!printed.contains(&key.reveal()[36..]), "{printed}");
        }
    }

    #[test]
    fn loopback_is_this_machine() {
        for (url, here) in [
            ("http://localhost:1", true),
            ("http://127.0.0.9", true),
            ("http://[::1]:8080", true),
            ("http://localhost.example", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(on_this_machine(&Url::parse(url).unwrap()), here, "{url}");
        }
    }
}
