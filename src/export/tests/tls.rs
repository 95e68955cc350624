//! TLS with real handshakes: against rustls, and against OpenSSL as an independent peer.

use super::*;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, Stream, SupportedProtocolVersion};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A certification authority and the files it has made.
struct Authority {
    directory: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// What is special about a certificate.
#[derive(Clone, Copy, Default)]
struct Special {
    common_name: Option<&'static str>,
    from: Option<i32>,
    to: Option<i32>,
    /// As `openssl req -x509` makes them.
    authority: bool,
}

impl Authority {
    fn new(name: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(directory.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { directory, issuer: Issuer::new(params, key) }
    }

    fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// Files with a certificate for these names, and its key.
    fn issue(&self, file: &str, names: &[&str], special: Special) -> (PathBuf, PathBuf) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = DistinguishedName::new();
        let common_name = special.common_name.unwrap_or("sixtap test");
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.not_before = date_time_ymd(special.from.unwrap_or(2020), 1, 1);
        params.not_after = date_time_ymd(special.to.unwrap_or(2100), 1, 1);
        if special.authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let path = |end: &str| self.directory.path().join(format!("{file}.{end}"));
        std::fs::write(path("pem"), certificate.pem()).unwrap();
        std::fs::write(path("key"), key.serialize_pem()).unwrap();
        (path("pem"), path("key"))
    }
}

/// A collector that takes one connection: what came, or why the handshake failed.
fn collector(
    (certificate, key): &(PathBuf, PathBuf),
    exporters: Option<&Authority>,
    versions: &[&'static SupportedProtocolVersion],
    tickets: usize,
) -> (SocketAddr, JoinHandle<Result<Vec<u8>, String>>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap();
    let builder = match exporters {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(authority.ca()).unwrap()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.unwrap())
        }
    };
    let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.send_tls13_tickets = tickets;
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut connection = ServerConnection::new(Arc::new(config)).unwrap();
        let mut octets = Vec::new();
        let ended = Stream::new(&mut connection, &mut socket).read_to_end(&mut octets);
        // The alert that says why has to reach the probe.
        let _ = connection.write_tls(&mut socket);
        let _ = socket.flush();
        ended.map(|_| octets).map_err(|error| error.to_string())
    });
    (address, thread)
}

fn exporter(destination: &str) -> Exporter {
    let destinations = vec![destination.parse().unwrap()];
    let reconnect = Duration::from_secs(60);
    Exporter::new(&ExportPlan { destinations, reconnect, ..ExportPlan::default() }).unwrap()
}

/// Ticks in the time of the clock until `done`.
fn tick_until(exporter: &mut Exporter, done: impl Fn(&Exporter, &[String]) -> bool) -> Vec<String> {
    let begin = Instant::now();
    let mut problems = Vec::new();
    loop {
        let now = Timestamp(NOW.0 + begin.elapsed().as_nanos() as u64);
        exporter.tick(now, &Statistics::default());
        problems.extend(exporter.take_problems());
        if done(exporter, &problems) {
            return problems;
        }
        assert!(begin.elapsed() < Duration::from_secs(10), "{problems:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn counters(exporter: &Exporter) -> crate::telemetry::CollectorCounters {
    exporter.counters().next().unwrap().1
}

/// Records made before the session and in it arrive; the end is a proper one.
fn all_arrive(destination: &str, came: impl FnOnce() -> Vec<u8>) {
    let mut exporter = exporter(destination);
    exporter.consume(&plain_batch(), NOW);
    let problems = tick_until(&mut exporter, |exporter, _| counters(exporter).sent >= 7);
    assert_eq!(problems, [""; 0]);
    for _ in 0..2_000 {
        exporter.consume(&plain_batch(), NOW);
    }
    exporter.finish(NOW, &Statistics::default());
    let counters = counters(&exporter);
    assert_eq!((counters.records, counters.sent, counters.sessions), (14_007, 14_007, 1));
    let mut reader = Reader::default();
    reader.read_all(&came());
    assert_eq!(reader.flows.len(), 14_007);
}

#[test]
fn records_arrive_over_both_versions_with_both_sides_authenticated() {
    let authority = Authority::new("one");
    let server = authority.issue("server", &["collector.example", "::1"], Special::default());
    let (certificate, key) = authority.issue("probe", &["probe.example"], Special::default());
    let (ca, certificate, key) = (authority.ca(), certificate.display(), key.display());
    let own = format!("ca={}&cert={certificate}&key={key}", ca.display());
    for (version, tickets, name) in [
        (&rustls::version::TLS13, 2, "&name=collector.example"),
        // Without tickets nothing says that the certificate was accepted.
        (&rustls::version::TLS13, 0, ""),
        (&rustls::version::TLS12, 0, "&name=collector.example"),
        // The address is in the certificate.
        (&rustls::version::TLS12, 0, ""),
    ] {
        let (address, thread) = collector(&server, Some(&authority), &[version], tickets);
        all_arrive(&format!("tls://{address}?{own}{name}"), || thread.join().unwrap().unwrap());
    }
    // A collector that does not ask who we are.
    let (address, thread) = collector(&server, None, &[&rustls::version::TLS13], 2);
    let destination = format!("tls://{address}?ca={}", ca.display());
    all_arrive(&destination, || thread.join().unwrap().unwrap());
}

/// The line for the log, and nothing is sent or lost.
fn refused(destination: &str) -> String {
    let mut exporter = exporter(destination);
    exporter.consume(&plain_batch(), NOW);
    let problems = tick_until(&mut exporter, |_, problems| !problems.is_empty());
    let counters = counters(&exporter);
    assert_eq!((counters.sent, counters.held(), counters.sessions), (0, 7, 0), "{problems:?}");
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].lines().count(), 1);
    assert!(problems[0].contains("records are held"), "{problems:?}");
    problems[0].clone()
}

#[test]
fn certificates_that_do_not_prove_the_collector_are_refused() {
    let (authority, other) = (Authority::new("one"), Authority::new("other"));
    let plain = Special::default();
    let expired = Special { to: Some(2021), ..plain };
    let early = Special { from: Some(2099), ..plain };
    let named = Special { common_name: Some("collector.example"), ..plain };
    let authoritative = Special { authority: true, ..plain };
    let names = ["collector.example"];
    // Another authority that goes by the name of ours.
    let impostor = Authority::new("one");
    for (issuer, special, names, reason) in [
        (&authority, expired, &names[..], "its certificate has expired"),
        (&authority, early, &names, "its certificate is not valid yet"),
        (&authority, plain, &["other.example"], "not for collector.example, but for"),
        // RFC 7011 section 11.3: the common name does not count.
        (&authority, named, &["other.example"], "not for collector.example, but for"),
        (&authority, authoritative, &names, "that of an authority (CA:TRUE), not of a server"),
        (&other, plain, &names, "leads to no authority in"),
        (&impostor, plain, &names, "not signed by the authority of that name in"),
    ] {
        let server = issuer.issue("server", names, special);
        let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
        let (address, thread) = collector(&server, None, &versions, 2);
        let ca = authority.ca().display().to_string();
        let line = refused(&format!("tls://{address}?ca={ca}&name=collector.example"));
        assert!(line.contains(reason), "{line}");
        assert!(thread.join().unwrap().is_err(), "the collector is told");
    }
}

#[test]
fn a_collector_that_refuses_the_probe_is_told_apart_and_loses_nothing() {
    let (authority, other) = (Authority::new("one"), Authority::new("other"));
    let server = authority.issue("server", &["collector.example"], Special::default());
    let (certificate, key) = other.issue("probe", &["probe.example"], Special::default());
    let ca = authority.ca();
    let base = format!("ca={}&name=collector.example", ca.display());
    let stranger = format!("&cert={}&key={}", certificate.display(), key.display());
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let (address, thread) = collector(&server, Some(&authority), &[version], 2);
        let line = refused(&format!("tls://{address}?{base}{stranger}"));
        assert!(line.contains("refuses the probe's certificate"), "{line}");
        assert!(thread.join().unwrap().is_err());
    }
    // No certificate at all.
    let (address, thread) = collector(&server, Some(&authority), &[&rustls::version::TLS12], 0);
    let line = refused(&format!("tls://{address}?{base}"));
    assert!(line.contains("cert=FILE and key=FILE"), "{line}");
    assert!(thread.join().unwrap().is_err());
}

#[test]
fn what_speaks_no_tls_is_told() {
    let authority = Authority::new("one");
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.write_all(b"220 smtp.example ESMTP\r\n").unwrap();
        let _ = socket.read(&mut [0; 1024]);
    });
    let line = refused(&format!("tls://{address}?ca={}", authority.ca().display()));
    assert!(line.contains("no TLS"), "{line}");
    thread.join().unwrap();
}

#[test]
fn files_that_cannot_be_used_are_named_at_the_start() {
    let authority = Authority::new("one");
    let (certificate, key) = authority.issue("probe", &["probe.example"], Special::default());
    let (_, wrong) = authority.issue("other", &["probe.example"], Special::default());
    let (ca, certificate) = (authority.ca().display().to_string(), certificate.display());
    let empty = authority.directory.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    for (parameters, reason) in [
        ("ca=/nowhere/ca.pem".to_owned(), "/nowhere/ca.pem: No such file"),
        (format!("ca={}", empty.display()), "there is no certificate in it"),
        (format!("ca={ca}&cert={certificate}&key={}", empty.display()), "there is none in it"),
        (format!("ca={ca}&cert={certificate}&key={}", wrong.display()), "cert="),
        (format!("ca={ca}&name=not%20a%20name"), "can be no name in a certificate"),
    ] {
        let destination = format!("tls://[::1]:4740?{parameters}").parse().unwrap();
        let plan = ExportPlan { destinations: vec![destination], ..ExportPlan::default() };
        let error = Exporter::new(&plan).unwrap_err().to_string();
        assert!(error.starts_with("collector tls://[::1]:4740: "), "{error}");
        assert!(error.contains(reason), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    assert!(key.exists());
}

/// `openssl s_server`, ended with the test.
struct OpenSsl(Child);

impl Drop for OpenSsl {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn openssl_takes_the_records_when_both_certificates_are_good() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("not run: TLS against OpenSSL: there is no openssl here");
        return;
    }
    let authority = Authority::new("one");
    let server = authority.issue("server", &["collector.example"], Special::default());
    let (certificate, key) = authority.issue("probe", &["probe.example"], Special::default());
    let ca = authority.ca();
    for version in ["-tls1_3", "-tls1_2"] {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port().to_string();
        drop(free);
        let mut command = Command::new("openssl");
        command.args(["s_server", "-quiet", "-naccept", "1", "-verify_return_error"]);
        command.args([version, "-accept", &port, "-Verify", "1", "-CAfile"]).arg(&ca);
        command.arg("-cert").arg(&server.0).arg("-key").arg(&server.1);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut openssl = OpenSsl(command.spawn().unwrap());
        let mut out = openssl.0.stdout.take().unwrap();
        let reader = std::thread::spawn(move || {
            let mut octets = Vec::new();
            out.read_to_end(&mut octets).unwrap();
            octets
        });
        let sockets = || {
            std::fs::read_to_string("/proc/net/tcp6").unwrap_or_default()
                + &std::fs::read_to_string("/proc/net/tcp").unwrap_or_default()
        };
        // In state 0A, LISTEN: a connection of another test may have the same port.
        let own = format!(":{:04X} ", port.parse::<u16>().unwrap());
        let listens = |line: &str| line.contains(&own) && line.contains(":0000 0A ");
        let begin = Instant::now();
        while !sockets().lines().any(listens) {
            assert!(begin.elapsed() < Duration::from_secs(10), "openssl does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        let (ca, certificate, key) = (ca.display(), certificate.display(), key.display());
        let own = format!("ca={ca}&cert={certificate}&key={key}&name=collector.example");
        all_arrive(&format!("tls://127.0.0.1:{port}?{own}"), || reader.join().unwrap());
    }
}
