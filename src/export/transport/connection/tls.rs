//! IPFIX over TLS over TCP (RFC 7011 sections 10.4 and 11).
//!
//! TLS 1.2 and 1.3. The collector's certificate must lead to one of the authorities named, be valid now, and be for the
//! collector's name: a DNS name or an address among its `subjectAltName`s, never its common name (RFC 7011 section
//! 11.3). The probe shows its own certificate when it has one and is asked for it.

use super::super::super::destination::{Host, TlsFiles};
use super::super::TransportError;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, Error, ProtocolVersion,
    RootCertStore,
};
use socket2::Socket;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// In TLS 1.3 the collector judges our certificate after our side of the handshake is done (RFC 8446 section 4.4.2). Records wait
/// for a sign that it was accepted (a session ticket), or for this long: then they are not lost to a refusal.
const JUDGEMENT: Duration = Duration::from_secs(1);

/// How long the end waits for the collector to close its side.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What the sessions with one collector have in common.
#[derive(Debug)]
pub(super) struct Client {
    name: ServerName<'static>,
    files: TlsFiles,
    config: Arc<ClientConfig>,
}

impl Client {
    /// Reads the files.
    pub(super) fn load(host: &Host, files: &TlsFiles) -> Result<Self, TransportError> {
        let error = |problem| TransportError::Tls { host: host.clone(), problem };
        // The zone of a link-local address is this machine's affair.
        let address = host.name.split('%').next().unwrap_or_default();
        let name = files.name.as_deref().unwrap_or(address);
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| error(format!("\"{name}\" can be no name in a certificate")))?;
        let config = Arc::new(configuration(files).map_err(error)?);
        Ok(Self { name, files: files.clone(), config })
    }

    /// Reads the files again: certificates are renewed more often than probes are started. What cannot be read any more (the
    /// privileges of the start are gone) or is half written stays as it was.
    pub(super) fn reload(&mut self) {
        match configuration(&self.files) {
            Ok(config) => self.config = Arc::new(config),
            Err(problem) => tracing::debug!("the certificates stay as they were: {problem}"),
        }
    }

    /// Begins a session over a socket that is being connected.
    pub(super) fn begin(&self, socket: Socket) -> io::Result<Session> {
        let connection = ClientConnection::new(Arc::clone(&self.config), self.name.clone())
            .map_err(io::Error::other)?;
        let authorities = self.files.authorities.display().to_string();
        let shows_certificate = self.files.own.is_some();
        Ok(Session {
            socket,
            connection,
            authorities,
            shows_certificate,
            judged: None,
            begun: false,
        })
    }
}

fn configuration(files: &TlsFiles) -> Result<ClientConfig, String> {
    let mut authorities = RootCertStore::empty();
    let (added, ignored) = authorities.add_parsable_certificates(certificates(&files.authorities)?);
    if added == 0 {
        let path = files.authorities.display();
        return Err(format!("ca={path}: none of its {ignored} certificates can be used"));
    }
    let provider = Arc::new(ring::default_provider());
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(authorities), Arc::clone(&provider))
            .build()
            .map_err(|error| format!("ca={}: {error}", files.authorities.display()))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| error.to_string())?
        .with_webpki_verifier(verifier);
    let Some((certificate, key)) = &files.own else { return Ok(builder.with_no_client_auth()) };
    let chain = certificates(certificate)?;
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| format!("key={}: {}", key.display(), pem_problem(&error)))?;
    builder
        .with_client_auth_cert(chain, private)
        .map_err(|error| format!("cert={}, key={}: {error}", certificate.display(), key.display()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let problem = |error| format!("{}: {}", path.display(), pem_problem(&error));
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).map_err(problem)?.collect();
    let certificates = certificates.map_err(problem)?;
    if certificates.is_empty() {
        return Err(format!("{}: there is no certificate in it (PEM is meant)", path.display()));
    }
    Ok(certificates)
}

fn pem_problem(error: &rustls::pki_types::pem::Error) -> String {
    use rustls::pki_types::pem::Error;
    match error {
        Error::Io(error) => error.to_string(),
        Error::NoItemsFound => "there is none in it (PEM is meant)".to_owned(),
        other => other.to_string(),
    }
}

/// A session, or one that is being made.
#[derive(Debug)]
pub(super) struct Session {
    socket: Socket,
    connection: ClientConnection,
    authorities: String,
    shows_certificate: bool,
    /// Since when the collector may judge our certificate; `None` before the handshake is done.
    judged: Option<Instant>,
    /// Whether a message is encrypted and not wholly written.
    begun: bool,
}

impl Session {
    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    pub(super) fn waits_to_read(&self) -> bool {
        self.connection.wants_read() && !self.connection.wants_write()
    }

    /// Goes on with the handshake.
    pub(super) fn establish(&mut self) -> io::Result<bool> {
        loop {
            self.flush()?;
            let read = self.read();
            // An alert of ours, that says why, is on its way out.
            let _ = self.flush();
            let read = read?;
            if !self.connection.is_handshaking() {
                let since = *self.judged.get_or_insert_with(Instant::now);
                let later = self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_3)
                    && self.shows_certificate;
                // What is read behind the handshake is a ticket: an alert would have been an error.
                return Ok(!later || self.ticketed() || since.elapsed() >= JUDGEMENT);
            }
            if !read {
                return Ok(false);
            }
        }
    }

    fn ticketed(&self) -> bool {
        self.connection.tls13_tickets_received() > 0
    }

    /// Encrypts the message, unless that is done, and writes what the socket takes; the length when all of it is written.
    pub(super) fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        if !self.begun {
            self.connection.writer().write_all(message)?;
            self.begun = true;
        }
        while self.connection.wants_write() {
            self.connection.write_tls(&mut &self.socket)?;
        }
        self.begun = false;
        Ok(message.len())
    }

    /// Takes in what the collector's side of TLS says: tickets, new keys, alerts, the end.
    pub(super) fn listen(&mut self) -> io::Result<()> {
        self.read()?;
        self.flush()
    }

    /// Says that nothing more comes, and hears the collector out for a moment: closing with something unread would reset the
    /// connection, and take back what the collector has not read yet.
    pub(super) fn close(&mut self) {
        self.connection.send_close_notify();
        // Without it the end is seen as cut off; nothing more can be done about it.
        let _ = self.flush();
        let _ = self.socket.shutdown(Shutdown::Write);
        let begin = Instant::now();
        while let Some(left) = LAST_WORDS.checked_sub(begin.elapsed()) {
            let timeout = Timespec::try_from(left).ok();
            let _ = poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], timeout.as_ref());
            match (&self.socket).read(&mut [0; 1024]) {
                Ok(0) => return,
                Err(error) if error.kind() != ErrorKind::WouldBlock => return,
                _ => {}
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut &self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads and understands what is there; whether there was anything.
    fn read(&mut self) -> io::Result<bool> {
        let octets = match self.connection.read_tls(&mut &self.socket) {
            Ok(octets) => octets,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        let state = self.connection.process_new_packets().map_err(|error| self.told(&error))?;
        if octets == 0 || state.peer_has_closed() {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        // A collector has nothing to say; what it says anyway must not pile up.
        let mut aside = vec![0; state.plaintext_bytes_to_read()];
        let _ = self.connection.reader().read(&mut aside);
        Ok(true)
    }

    /// What the operator has to know of an error.
    fn told(&self, error: &Error) -> io::Error {
        let authorities = &self.authorities;
        io::Error::other(match error {
            Error::InvalidCertificate(problem) => match problem {
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    "its certificate has expired".to_owned()
                }
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    "its certificate is not valid yet; is the clock right?".to_owned()
                }
                CertificateError::UnknownIssuer => {
                    format!("its certificate leads to no authority in {authorities}")
                }
                CertificateError::BadSignature => format!(
                    "its certificate is not signed by the authority of that name in {authorities}"
                ),
                CertificateError::NotValidForName => {
                    "its certificate is for another name (name=NAME says which is meant)".to_owned()
                }
                CertificateError::NotValidForNameContext { expected, presented } => format!(
                    "its certificate is not for {}, but for {} (name=NAME says which is meant)",
                    expected.to_str(),
                    if presented.is_empty() { "no name".to_owned() } else { presented.join(", ") },
                ),
                // rustls has no word of its own for what a self-signed certificate of OpenSSL is by default.
                CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
                    "its certificate is that of an authority (CA:TRUE), not of a server; make one with CA:FALSE"
                        .to_owned()
                }
                other => format!("its certificate is not accepted: {other}"),
            },
            Error::AlertReceived(alert) => match alert {
                AlertDescription::CertificateRequired => {
                    "it asks for a certificate of the probe: give cert=FILE and key=FILE".to_owned()
                }
                AlertDescription::HandshakeFailure if !self.shows_certificate => {
                    "it ends the handshake; it may ask for a certificate: cert=FILE and key=FILE"
                        .to_owned()
                }
                AlertDescription::UnknownCA
                | AlertDescription::BadCertificate
                | AlertDescription::DecryptError
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::AccessDenied => {
                    format!("it refuses the probe's certificate ({alert:?})")
                }
                other => format!("it ends the session ({other:?})"),
            },
            Error::InvalidMessage(_) => "what answers there is no TLS".to_owned(),
            other => other.to_string(),
        })
    }
}
