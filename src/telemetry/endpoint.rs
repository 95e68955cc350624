//! Which page is at which path, and where the pages are served.
//!
//! | path | what | TCP | control socket |
//! |---|---|---|---|
//! | `/` | the status page | yes | yes |
//! | `/status.json` | what it shows | yes | yes |
//! | `/metrics` | for Prometheus | yes | yes |
//! | `/health` | 200 while every worker advances, else 503 | yes | yes |
//! | `/ledger` | the ledger, JSON; `?format=text` for people | yes | yes |
//! | `/flows` | the live flows | no | yes |
//!
//! Addresses of live flows are for those whom the control socket's permissions let in, not for everyone who reaches a port.

use super::LiveLedger;
use super::http::{Handler, Listener, Request, Response, Server};
use super::live::{Found, MOST_ROWS, Question};
use super::metrics::{self, Format};
use super::reading::Reading;
use super::status::Status;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What can be looked at: a running probe.
pub trait Subject: Send + Sync {
    /// Everything it counted, as of now.
    fn reading(&self) -> Reading;
    /// Its live flows. May take a few seconds.
    fn flows(&self, question: &Question) -> Found;
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Whoever reaches the port.
    Network,
    /// Whom the permissions of the control socket let in.
    Control,
}

/// The servers of one probe. They end when it is dropped.
#[derive(Debug, Default)]
pub struct Endpoints {
    servers: Vec<Server>,
}

impl Endpoints {
    /// Serves `subject` at each listener.
    ///
    /// # Errors
    /// No threads can be made.
    pub fn start(listeners: Vec<Listener>, subject: &Arc<dyn Subject>) -> io::Result<Self> {
        let mut servers = Vec::new();
        for listener in listeners {
            let audience = match listener {
                Listener::Tcp(_) => Audience::Network,
                Listener::Unix(..) => Audience::Control,
            };
            let subject = Arc::clone(subject);
            let handler: Arc<Handler> =
                Arc::new(move |request| answer(&*subject, audience, request));
            let server = Server::start(listener, &handler)?;
            if let Some(address) = server.address() {
                tracing::info!("status page and metrics at http://{address}/");
            }
            servers.push(server);
        }
        Ok(Self { servers })
    }

    /// The addresses of those on the network.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.servers.iter().filter_map(Server::address)
    }
}

/// The page at a path.
pub(super) fn answer(subject: &dyn Subject, audience: Audience, request: &Request<'_>) -> Response {
    const JSON: &str = "application/json";
    let words = |name: &str| {
        let pair = request.query.iter().find(|(known, _)| known == name);
        pair.map_or("", |(_, value)| value.as_str())
    };
    match request.path {
        "/" => page(),
        "/status.json" => match serde_json::to_vec(&Status::new(&subject.reading())) {
            Ok(body) => Response::new(200, JSON, body),
            Err(error) => Response::text(500, &error.to_string()),
        },
        "/metrics" => {
            let format = Format::accepted(request.accept);
            let text = metrics::render(&subject.reading(), format);
            Response::new(200, format.content_type(), text)
        }
        "/health" => {
            let problems = subject.reading().problems();
            if problems.is_empty() {
                Response::text(200, "healthy")
            } else {
                Response::text(503, &problems.join("\n"))
            }
        }
        "/ledger" if words("format") == "text" => {
            let text = LiveLedger(&subject.reading().ledger).to_string();
            Response::new(200, "text/plain; charset=utf-8", text)
        }
        "/ledger" => Response::new(
            200,
            JSON,
            format!("{}\n", LiveLedger(&subject.reading().ledger).to_json()),
        ),
        "/flows" if audience == Audience::Control => match question(words) {
            Ok(question) => match serde_json::to_vec(&subject.flows(&question)) {
                Ok(body) => Response::new(200, JSON, body),
                Err(error) => Response::text(500, &error.to_string()),
            },
            Err(problem) => Response::text(400, &problem),
        },
        "/flows" => Response::text(404, "live flows are shown at the control socket only"),
        _ => Response::text(
            404,
            "there is: / (status page), /status.json, /metrics, /health, /ledger",
        ),
    }
}

/// A question as a query: `by`, `sort`, `count`, `filter`.
fn question<'a>(words: impl Fn(&str) -> &'a str) -> Result<Question, String> {
    let mut question = Question { count: 20, ..Question::default() };
    if !words("by").is_empty() {
        question.by = words("by").parse().map_err(|error| format!("by: {error}"))?;
    }
    if !words("sort").is_empty() {
        question.sort = words("sort").parse().map_err(|error| format!("sort: {error}"))?;
    }
    if !words("count").is_empty() {
        question.count = match words("count").parse() {
            Ok(count) if (1..=MOST_ROWS).contains(&count) => count,
            _ => return Err(format!("count: write a number from 1 to {MOST_ROWS}")),
        };
    }
    question.filter = words("filter").parse().map_err(|error| format!("filter: {error}"))?;
    Ok(question)
}

/// The status page: one file, nothing from elsewhere. The nonce lets this page's own script and style run, and no other.
fn page() -> Response {
    let mut octets = [0; 16];
    if getrandom::fill(&mut octets).is_err() {
        return Response::text(503, "no random octets for the page's nonce");
    }
    let nonce = format!("{:032x}", u128::from_be_bytes(octets));
    let html = include_str!("page.html").replace("{{nonce}}", &nonce);
    let mut response = Response::new(200, "text/html; charset=utf-8", html);
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    response.fields.push(("Content-Security-Policy", policy));
    response.fields.push(("Referrer-Policy", "no-referrer".to_owned()));
    response
}

/// Listens at `PORT` or `ADDR:PORT`. A port alone is meant for this machine: both loopback addresses, or the one there is.
///
/// # Errors
/// One line: what was written and why it does not do.
pub fn listen(words: &str) -> Result<Vec<Listener>, String> {
    let bind = |address: SocketAddr| {
        TcpListener::bind(address).map_err(|error| format!("--http {words}: {address}: {error}"))
    };
    if let Ok(address) = words.parse::<SocketAddr>() {
        return Ok(vec![Listener::Tcp(bind(address)?)]);
    }
    let Ok(port) = words.parse::<u16>() else {
        return Err(format!(
            "--http {words}: write a port, or an address and a port as 192.0.2.1:9600 or [::]:9600"
        ));
    };
    let ipv6 = bind((IpAddr::V6(Ipv6Addr::LOCALHOST), port).into());
    // Port 0 means any: the same one for both.
    let chosen = ipv6.as_ref().ok().and_then(|listener| listener.local_addr().ok());
    let port = chosen.map_or(port, |address| address.port());
    let ipv4 = bind((IpAddr::V4(Ipv4Addr::LOCALHOST), port).into());
    match (ipv6, ipv4) {
        (Ok(ipv6), Ok(ipv4)) => Ok(vec![Listener::Tcp(ipv6), Listener::Tcp(ipv4)]),
        (Ok(one), Err(_)) | (Err(_), Ok(one)) => Ok(vec![Listener::Tcp(one)]),
        (Err(_), Err(error)) => Err(error),
    }
}

/// Directory of the control sockets.
const DIRECTORY: &str = "/run/sixtap";

/// The default control socket of a probe of that name.
#[must_use]
pub fn control_path(name: &str) -> PathBuf {
    let name: String =
        name.chars().map(|letter| if letter == '/' { '-' } else { letter }).collect();
    Path::new(DIRECTORY).join(format!("{name}.sock"))
}

/// The control sockets there are in the default place.
#[must_use]
pub fn control_paths() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(DIRECTORY).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sock"))
        .collect();
    paths.sort();
    paths
}

/// Listens at a UNIX socket, for its owner and group. A socket that a killed probe left behind is replaced; one that
/// answers is not. The directory is made if only it is missing.
///
/// # Errors
/// One line: the path and why it does not do.
pub fn listen_unix(path: &Path) -> Result<Listener, String> {
    let wrong = |error: io::Error| format!("control socket {}: {error}", path.display());
    if let Some(directory) = path.parent() {
        match std::fs::create_dir(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists && !directory.exists() => {
                return Err(wrong(error));
            }
            _ => {}
        }
    }
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if UnixStream::connect(path).is_ok() {
                return Err(format!(
                    "control socket {}: another probe answers there",
                    path.display()
                ));
            }
            std::fs::remove_file(path).and_then(|()| UnixListener::bind(path))
        }
        bound => bound,
    };
    let listener = listener.map_err(wrong)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(wrong)?;
    Ok(Listener::Unix(listener, path.to_owned()))
}

#[cfg(test)]
mod tests;
