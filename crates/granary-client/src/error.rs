//! What can go wrong with a call, told apart by what the caller can do about it.

use std::io;

use granary_api::health::STARTING;
use granary_core::error::{ErrorObject, ErrorType};
use url::Url;

/// Why a call did not get the answer it asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server said no; the object says why.
    #[error("{error}")]
    Refused {
        /// What it said.
        error: Box<ErrorObject>,
        /// The HTTP status it said it with.
        status: u16,
        /// The id by which its operator finds the call.
        request_id: Option<String>,
    },
    /// Nothing answered.
    #[error("no server at {server}: {why}; start one with `granary serve`, or name another with --server")]
    Unreachable {
        /// The server.
        server: String,
        /// What happened.
        why: String,
    },
    /// Who answered is not known to be the server.
    #[error(
        "the certificate of {server} is not trusted: {why}; name the file of the one that it was issued by with --ca-file"
    )]
    Untrusted {
        /// The server.
        server: String,
        /// What is wrong with it.
        why: String,
    },
    /// The file does not say whom to trust.
    #[error("{why}; name another file with --ca-file")]
    BadAuthority {
        /// What is wrong with it.
        why: String,
    },
    /// TLS was spoken to it, and it does not speak that.
    #[error("the server at {server} speaks http and not https; name it as {instead}")]
    SpeaksHttp {
        /// The server.
        server: String,
        /// The same without TLS.
        instead: String,
    },
    /// The connection ended before the answer did.
    #[error("the connection to {server} broke: {why}; what was sent may or may not have been taken")]
    Broken {
        /// The server.
        server: String,
        /// What happened.
        why: String,
    },
    /// The body could not be read where it comes from.
    #[error("could not read what is to be sent")]
    Body(#[source] io::Error),
    /// What the answer says could not be kept.
    #[error("could not keep what the server answered")]
    Kept(#[source] io::Error),
    /// An answer came, and it is none of a granary server.
    #[error(
        "{url} answered {status} with what is no answer of granary: {why}; is another server at that address?"
    )]
    Unexpected {
        /// What was asked.
        url: Box<Url>,
        /// The HTTP status.
        status: u16,
        /// What it holds instead.
        why: String,
    },
    /// No call can be made to such a server.
    #[error("'{server}' is not a server: {why}; it looks like http://127.0.0.1:8080")]
    BadServer {
        /// What was given.
        server: String,
        /// What is wrong with it.
        why: String,
    },
    /// No call can be made with such a key or id in its path.
    #[error("'{name}' is not a key or an id")]
    BadName {
        /// What was given.
        name: String,
    },
}

impl Error {
    /// What the server said, if it was the server that said no.
    pub fn refusal(&self) -> Option<&ErrorObject> {
        match self {
            Self::Refused { error, .. } => Some(error),
            _ => None,
        }
    }

    /// True where the server said that it is starting, and has taken nothing.
    pub(crate) fn is_starting(&self) -> bool {
        let said = self.refusal();
        said.is_some_and(|error| {
            error.error_type == ErrorType::Unavailable && error.message.starts_with(STARTING)
        })
    }

    /// The error for a request that got no answer.
    pub(crate) fn from_transport(server: &Url, error: reqwest::Error) -> Self {
        let (server, why) = (shown(server), root(&error));
        match body_error(&error) {
            Some(error) => Self::Body(error),
            None if is_untrusted(&error) => Self::Untrusted { server, why },
            None if is_no_tls(&error) => Self::SpeaksHttp {
                instead: server.replacen("https://", "http://", 1),
                server,
            },
            None if error.is_connect() || error.is_timeout() => Self::Unreachable { server, why },
            None => Self::Broken { server, why },
        }
    }
}

/// A server as people write it.
pub(crate) fn shown(server: &Url) -> String {
    server.as_str().trim_end_matches('/').to_owned()
}

/// How an error of the body's own stream travels through the HTTP library: to be found again in its chain.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BodyError(pub(crate) io::Error);

fn body_error(error: &reqwest::Error) -> Option<io::Error> {
    let mut link: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = link {
        if let Some(BodyError(error)) = error.downcast_ref() {
            return Some(io::Error::new(error.kind(), error.to_string()));
        }
        link = error.source();
    }
    None
}

/// True where the certificate of the server was refused.
fn is_untrusted(error: &reqwest::Error) -> bool {
    tls_error(error).is_some_and(|error| matches!(error, rustls::Error::InvalidCertificate(_)))
}

/// True where what answered does not speak TLS.
fn is_no_tls(error: &reqwest::Error) -> bool {
    let no_tls = rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
    tls_error(error) == Some(&no_tls)
}

/// The error of TLS that one is of.
fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut link: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = link {
        if let Some(error) = error.downcast_ref() {
            return Some(error);
        }
        // What an error of I/O was made from is not its source.
        link = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// An error with all its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut link = error.source();
    while let Some(error) = link {
        text = format!("{text}: {error}");
        link = error.source();
    }
    text
}

/// The cause at the end of the chain: the one a person can act on.
fn root(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => root(source),
        None => error.to_string(),
    }
}
