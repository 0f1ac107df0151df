//! TLS: certificates of a private authority, which the command line is told to trust.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;

use super::serve::signal;
use super::{PATIENCE, Run, granary, run};

/// A folder with authorities `ca.pem` and `other.pem`, and certificates for this machine that they have issued.
struct Issued(TempDir);

impl Issued {
    fn new() -> Self {
        let issued = Self(tempfile::tempdir().unwrap());
        for (authority, server) in [("ca", "server"), ("other", "second")] {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
            let certificate = params.signed_by(&key, &issuer).unwrap();
            fs::write(issued.at(&format!("{authority}.pem")), issuer.pem()).unwrap();
            // A chain: what it was issued by stands behind it.
            let chain = certificate.pem() + &issuer.pem();
            fs::write(issued.at(&format!("{server}.pem")), chain).unwrap();
            fs::write(issued.at(&format!("{server}.key")), key.serialize_pem()).unwrap();
        }
        issued
    }

    fn at(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }
}

/// A handshake with a server by these versions; which one was spoken, and which protocol over it.
fn greeted(
    address: &str,
    ca: &str,
    versions: &[&'static SupportedProtocolVersion],
) -> (ProtocolVersion, Vec<u8>) {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    let mut tls = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut connection = TcpStream::connect(address).unwrap();
    while tls.is_handshaking() {
        tls.complete_io(&mut connection).unwrap();
    }
    (
        tls.protocol_version().unwrap(),
        tls.alpn_protocol().unwrap().to_vec(),
    )
}

#[test]
fn a_server_with_a_certificate_speaks_tls_with_who_trusts_its_authority() {
    let issued = Issued::new();
    let at = |name: &str| issued.at(name);
    let key = run(
        granary(&["key", "create", "--role", "admin", "--data", &at("data")]),
        "",
    )
    .ends(0);
    fs::write(at("key"), &key.stdout).unwrap();
    fs::copy(at("server.pem"), at("cert.pem")).unwrap();
    fs::copy(at("server.key"), at("cert.key")).unwrap();
    let mut server = granary(&["serve", "--json", "--listen", "0.0.0.0:0", "--data", &at("data")])
        .args(["--tls-cert", &at("cert.pem"), "--tls-key", &at("cert.key")])
        .env("GRANARY_LOG", "trace")
        .stdout(Stdio::piped())
        .stderr(File::create(at("log")).unwrap())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(server.stdout.take().unwrap())
        .read_line(&mut said)
        .unwrap();
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    let url = said["url"].as_str().unwrap().replace("0.0.0.0", "127.0.0.1");
    let address = url.strip_prefix("https://").expect("it says that it speaks TLS");

    // Clients that say nothing, or nothing of TLS, hold nobody up and are answered nothing.
    let silent: Vec<TcpStream> = (0..50).map(|_| TcpStream::connect(address).unwrap()).collect();
    let began = Instant::now();
    let mut plain = TcpStream::connect(address).unwrap();
    plain.set_read_timeout(Some(PATIENCE)).unwrap();
    plain
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP"));
    assert!(began.elapsed() < Duration::from_secs(5), "it was told at once");

    let call = |ca: Option<&str>, args: &[&str]| -> Run {
        let mut command = granary(args);
        command
            .env("GRANARY_SERVER", &url)
            .env("GRANARY_KEY_FILE", at("key"));
        if let Some(ca) = ca {
            command.args(["--ca-file", &at(ca)]);
        }
        run(command, "")
    };
    call(Some("ca.pem"), &["source", "apply", "library"]).ends(0);
    fs::write(at("book.json"), r#"{"properties":{}}"#).unwrap();
    call(
        Some("ca.pem"),
        &["profile", "apply", "-s", "library", "-f", &at("book.json")],
    )
    .ends(0);
    let books: String = (0..20_000)
        .map(|n| format!("{{\"id\":\"b{n}\",\"data\":{{}}}}\n"))
        .collect();
    fs::write(at("books.ndjson"), books).unwrap();
    let bulk = [
        "bulk",
        &at("books.ndjson"),
        "-s",
        "library",
        "--type",
        "book",
        "--wait",
    ];
    call(Some("ca.pem"), &bulk).ends(0);
    for ca in [None, Some("other.pem")] {
        let wrong = call(ca, &["source", "list"]).ends(1);
        let says = ["is not trusted", "--ca-file"]
            .iter()
            .all(|word| wrong.stderr.contains(word));
        assert!(says, "{ca:?}: {}", wrong.stderr);
    }
    use rustls::version::{TLS12, TLS13};
    for (versions, spoken) in [
        (&[&TLS12][..], ProtocolVersion::TLSv1_2),
        (&[&TLS13], ProtocolVersion::TLSv1_3),
        (&[&TLS12, &TLS13], ProtocolVersion::TLSv1_3),
    ] {
        assert_eq!(
            greeted(address, &at("ca.pem"), versions),
            (spoken, b"http/1.1".to_vec())
        );
    }

    // Another certificate is shown from the signal on; one that cannot be shown is not taken.
    fs::write(at("cert.pem"), "nothing").unwrap();
    signal(&server, "HUP");
    until(|| {
        fs::read_to_string(at("log"))
            .unwrap()
            .contains("goes on with the certificate that it has")
    });
    call(Some("ca.pem"), &["source", "list"]).ends(0);
    fs::copy(at("second.pem"), at("cert.pem")).unwrap();
    fs::copy(at("second.key"), at("cert.key")).unwrap();
    signal(&server, "HUP");
    until(|| call(Some("other.pem"), &["source", "list"]).code == 0);
    call(Some("ca.pem"), &["source", "list"]).ends(1);

    // A handshake that does not come is given up.
    for mut silent in silent {
        silent.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(silent.read(&mut [0; 1]).unwrap(), 0);
    }
    signal(&server, "TERM");
    assert_eq!(server.wait().unwrap().code(), Some(0));
    let log = fs::read_to_string(at("log")).unwrap();
    for key in ["server.key", "second.key"] {
        let pem = fs::read_to_string(at(key)).unwrap();
        let secret = pem.lines().nth(1).unwrap();
        assert!(secret.len() > 20 && !log.contains(secret) && !log.contains("PRIVATE KEY"));
    }
}

fn until(mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "it does not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn certificates_that_do_not_do_are_named() {
    let issued = Issued::new();
    fs::write(issued.at("empty"), "").unwrap();
    let key = fs::read_to_string(issued.at("server.key")).unwrap();
    fs::write(issued.at("one line"), key.replace('\n', " ")).unwrap();
    let data = issued.at("data");
    for (cert, key, hint) in [
        (Some("server.pem"), None, "--tls-key"),
        (None, Some("server.key"), "--tls-cert"),
        (
            Some("none.pem"),
            Some("server.key"),
            "none.pem does not hold a certificate",
        ),
        (
            Some("empty"),
            Some("server.key"),
            "empty does not hold a certificate as PEM: there is none",
        ),
        (
            Some("server.pem"),
            Some("server.pem"),
            "does not hold a private key as PEM: there is none",
        ),
        (
            Some("server.pem"),
            Some("one line"),
            "does not hold a private key as PEM: its BEGIN or its END is not on a line of its own; copy",
        ),
        (
            Some("server.pem"),
            Some("second.key"),
            "the key is not that of the certificate; give the key that this certificate was made for",
        ),
    ] {
        let mut command = granary(&["serve", "--data", &data, "--listen", "127.0.0.1:0"]);
        for (flag, file) in [("--tls-cert", cert), ("--tls-key", key)] {
            if let Some(file) = file {
                command.args([flag, &issued.at(file)]);
            }
        }
        let wrong = run(command, "").ends(1);
        assert!(wrong.stderr.contains(hint), "{cert:?} {key:?}: {}", wrong.stderr);
    }
    assert!(!Path::new(&data).exists(), "it is told before anything is opened");
    let list = ["source", "list", "--server", "https://127.0.0.1:1", "--ca-file"];
    for (file, hint) in [("empty", "there is none in it"), ("none.pem", "none.pem")] {
        let file = issued.at(file);
        let wrong = run(granary(&[&list[..], &[file.as_str()]].concat()), "").ends(1);
        assert!(
            wrong.stderr.contains("certificate to trust") && wrong.stderr.contains(hint),
            "{}",
            wrong.stderr
        );
    }
}
