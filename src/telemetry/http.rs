//! A small HTTP/1.1 server for a few pages: GET and HEAD, one answer a connection.
//!
//! Requests are read by `httparse`; the server around it is ours because each of its bounds matters here, and the small
//! server crates have none of them (tiny_http 0.12 makes a thread for every slow client and knows no time-out):
//!
//! - [`THREADS`] threads, made at the start and never more: so many connections at once, the others wait in the kernel;
//! - [`REQUEST`] octets and [`PATIENCE`] for a request, [`PATIENCE`] for taking the answer: then the connection is closed;
//! - an error of accept(2) ends nothing: the thread goes on after a pause.
//!
//! The threads share nothing with workers but what those publish. A client can only take time from other clients.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Connections that are served at a time.
pub const THREADS: usize = 4;
/// Most octets of a request.
pub const REQUEST: usize = 8192;
/// Longest time for a request to come, and for an answer to be taken.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// Most header fields of a request.
const FIELDS: usize = 64;
/// Pause after an error of accept(2), as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Where clients come in. Bound before privileges are dropped.
#[derive(Debug)]
pub enum Listener {
    /// An address and a port.
    Tcp(TcpListener),
    /// A UNIX socket, which is removed at the end.
    Unix(UnixListener, PathBuf),
}

/// What a client wants.
#[derive(Debug)]
pub struct Request<'a> {
    /// The path, without the query.
    pub path: &'a str,
    /// Names and values of the query, decoded.
    pub query: Vec<(String, String)>,
    /// The `Accept` field, empty if there is none.
    pub accept: &'a str,
}

/// What it gets.
#[derive(Debug)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Media type.
    pub content_type: &'static str,
    /// Further header fields.
    pub fields: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// An answer with a body.
    #[must_use]
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, content_type, fields: Vec::new(), body: body.into() }
    }

    /// A line of text.
    #[must_use]
    pub fn text(status: u16, line: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", format!("{line}\n"))
    }
}

/// Answers requests; called from several threads at once.
pub type Handler = dyn Fn(&Request<'_>) -> Response + Send + Sync;

/// A running server. Ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    listener: Arc<Listener>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Starts the threads.
    ///
    /// # Errors
    /// No thread can be made.
    pub fn start(listener: Listener, handler: &Arc<Handler>) -> io::Result<Self> {
        let listener = Arc::new(listener);
        let stop = Arc::new(AtomicBool::new(false));
        let mut server = Self { listener, stop, threads: Vec::new() };
        for number in 0..THREADS {
            let (listener, stop) = (Arc::clone(&server.listener), Arc::clone(&server.stop));
            let handler = Arc::clone(handler);
            let thread = thread::Builder::new().name(format!("telemetry-{number}"));
            let run = move || {
                while !stop.load(Ordering::Acquire) {
                    match listener.accept() {
                        // What goes wrong with one client is between it and its connection.
                        Ok(mut stream) => drop(serve(&mut stream, &handler)),
                        Err(_) if stop.load(Ordering::Acquire) => break,
                        Err(_) => thread::sleep(PAUSE),
                    }
                }
            };
            server.threads.push(thread.spawn(run)?);
        }
        Ok(server)
    }

    /// The address it listens on, if that is one of the network.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match &*self.listener {
            Listener::Tcp(listener) => listener.local_addr().ok(),
            Listener::Unix(..) => None,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wakes the threads in accept(2).
        let _ = rustix::net::shutdown(self.listener.as_fd(), rustix::net::Shutdown::Both);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        if let Listener::Unix(_, path) = &*self.listener {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener, _) => listener.as_fd(),
        }
    }
}

impl Listener {
    fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => listener.accept().map(|(stream, _)| Stream::Tcp(stream)),
            Self::Unix(listener, _) => listener.accept().map(|(stream, _)| Stream::Unix(stream)),
        }
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Bounds the next read and the next write.
    fn wait_until(&self, deadline: Instant) -> io::Result<()> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match self {
            Self::Tcp(stream) => {
                stream.set_read_timeout(Some(left))?;
                stream.set_write_timeout(Some(left))
            }
            Self::Unix(stream) => {
                stream.set_read_timeout(Some(left))?;
                stream.set_write_timeout(Some(left))
            }
        }
    }
}

impl Read for Stream {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(octets),
            Self::Unix(stream) => stream.read(octets),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(octets),
            Self::Unix(stream) => stream.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One connection: a request, an answer.
fn serve(stream: &mut Stream, handler: &Arc<Handler>) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut octets = [0; REQUEST];
    let mut length = 0;
    loop {
        stream.wait_until(deadline)?;
        let read = match stream.read(&mut octets[length..]) {
            Ok(0) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        length += read;
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        match request.parse(&octets[..length]) {
            Ok(httparse::Status::Complete(_)) => {
                let (response, body) = answer(&request, handler);
                return send(stream, &response, body);
            }
            Ok(httparse::Status::Partial) if length < REQUEST => {}
            Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
                return send(stream, &Response::text(431, "the request is too long"), true);
            }
            Err(_) => return send(stream, &Response::text(400, "this is no HTTP request"), true),
        }
    }
}

/// The answer, and whether its body is wanted.
fn answer(request: &httparse::Request<'_, '_>, handler: &Arc<Handler>) -> (Response, bool) {
    let body = match request.method {
        Some("GET") => true,
        Some("HEAD") => false,
        _ => {
            let mut response = Response::text(405, "only GET and HEAD are served here");
            response.fields.push(("Allow", "GET, HEAD".to_owned()));
            return (response, true);
        }
    };
    let target = request.path.unwrap_or("/");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let accept = request.headers.iter().find(|field| field.name.eq_ignore_ascii_case("accept"));
    let accept = accept.and_then(|field| std::str::from_utf8(field.value).ok()).unwrap_or("");
    (handler(&Request { path, query: pairs(query), accept }), body)
}

/// Names and values of a query (application/x-www-form-urlencoded).
fn pairs(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

fn decode(text: &str) -> String {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        match first {
            b'+' => octets.push(b' '),
            b'%' => {
                let digits = rest.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
                match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                    Some(octet) => {
                        octets.push(octet);
                        rest = &rest[2..];
                    }
                    None => octets.push(b'%'),
                }
            }
            other => octets.push(*other),
        }
    }
    String::from_utf8_lossy(&octets).into_owned()
}

/// `text` as a value of a query.
#[must_use]
pub fn encode(text: &str) -> String {
    use std::fmt::Write;
    let mut encoded = String::new();
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            encoded.push(char::from(octet));
        } else {
            let _ = write!(encoded, "%{octet:02X}");
        }
    }
    encoded
}

fn send(stream: &mut Stream, response: &Response, body: bool) -> io::Result<()> {
    let reason = match response.status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "",
    };
    let mut octets = format!(
        "HTTP/1.1 {} {reason}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n",
        response.status,
        response.content_type,
        response.body.len()
    )
    .into_bytes();
    for (name, value) in &response.fields {
        octets.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    octets.extend_from_slice(b"\r\n");
    if body {
        octets.extend_from_slice(&response.body);
    }
    let deadline = Instant::now() + PATIENCE;
    let mut rest = &octets[..];
    while !rest.is_empty() {
        stream.wait_until(deadline)?;
        match stream.write(rest) {
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> (Server, SocketAddr) {
        let handler: Arc<Handler> = Arc::new(|request| match request.path {
            "/echo" => {
                let pairs: Vec<_> =
                    request.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
                Response::text(200, &format!("{} {}", pairs.join(";"), request.accept))
            }
            "/large" => Response::new(200, "text/plain", vec![b'x'; 64 << 20]),
            _ => Response::text(404, "nothing"),
        });
        let listener = TcpListener::bind("[::1]:0").unwrap();
        let server = Server::start(Listener::Tcp(listener), &handler).unwrap();
        let address = server.address().unwrap();
        (server, address)
    }

    fn ask(address: SocketAddr, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn requests_are_answered() {
        let (_server, address) = server();
        let answer = ask(address, b"GET /echo?a=b%20c+d&e=%zz HTTP/1.1\r\naccept: text/x\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\na=b c d;e=%zz text/x\n"), "{answer}");
        let head = ask(address, b"HEAD /echo HTTP/1.0\r\n\r\n");
        assert!(head.contains("Content-Length: 2\r\n") && head.ends_with("\r\n\r\n"), "{head}");
        assert!(ask(address, b"GET /x HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 Not Found"));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let (_server, address) = server();
        assert!(ask(address, b"\0\0\0\0\r\n\r\n").starts_with("HTTP/1.1 400"));
        let post = ask(address, b"POST /echo HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
        assert!(post.starts_with("HTTP/1.1 405") && post.contains("Allow: GET, HEAD"), "{post}");
        let mut long = b"GET / HTTP/1.1\r\nx: ".to_vec();
        long.resize(REQUEST, b'y');
        assert!(ask(address, &long).starts_with("HTTP/1.1 431"));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(FIELDS + 1));
        assert!(ask(address, many.as_bytes()).starts_with("HTTP/1.1 431"));
    }

    #[test]
    fn slow_clients_hold_nobody_up_for_long() {
        let (_server, address) = server();
        // As many as there are threads say half a request, others take no answer; none ever goes on.
        let mut slow = Vec::new();
        for number in 0..THREADS {
            let mut stream = TcpStream::connect(address).unwrap();
            let words: &[u8] =
                if number % 2 == 0 { b"GET / HT" } else { b"GET /large HTTP/1.1\r\n\r\n" };
            stream.write_all(words).unwrap();
            slow.push(stream);
        }
        thread::sleep(Duration::from_millis(200));
        let began = Instant::now();
        let answer = ask(address, b"GET /echo HTTP/1.1\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(began.elapsed() < PATIENCE * 2, "{:?}", began.elapsed());
        assert!(began.elapsed() > PATIENCE / 2, "the slow ones did not hold the threads");
    }

    #[test]
    fn a_client_that_dribbles_is_cut_off() {
        let (_server, address) = server();
        let mut stream = TcpStream::connect(address).unwrap();
        let began = Instant::now();
        let dribbled = (0..100).find(|_| {
            thread::sleep(Duration::from_millis(200));
            stream.write_all(b"x").is_err()
        });
        assert!(dribbled.is_some() && began.elapsed() < PATIENCE * 2, "{:?}", began.elapsed());
    }

    #[test]
    fn a_dropped_server_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.sock");
        let listener = Listener::Unix(UnixListener::bind(&path).unwrap(), path.clone());
        let handler: Arc<Handler> = Arc::new(|_| Response::text(200, "here"));
        let server = Server::start(listener, &handler).unwrap();
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("here\n"), "{answer}");
        drop(server);
        assert!(!path.exists());
        let (server, address) = super::tests::server();
        drop(server);
        assert!(TcpStream::connect(address).is_err());
    }

    #[test]
    fn what_is_encoded_is_decoded_the_same() {
        let text = "ip6 and not net 2001:db8::/32 & eh+ü%";
        assert_eq!(decode(&encode(text)), text);
    }
}
