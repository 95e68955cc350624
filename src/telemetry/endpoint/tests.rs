use super::super::live::{By, Filter, Flow, Fragments, Ranking, Sort};
use super::super::{Client, ClientError, WorkerReading};
use super::*;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A probe with one worker, which last published some seconds ago, and one flow.
struct Fake {
    silent: u64,
}

impl Subject for Fake {
    fn reading(&self) -> Reading {
        let worker = WorkerReading {
            name: "eth1 queue 0".into(),
            interface: "eth1".into(),
            queue: "0".into(),
            mode: "copy".into(),
            silent: Duration::from_secs(self.silent),
            ..WorkerReading::default()
        };
        Reading { workers: vec![worker], ..Reading::default() }
    }

    fn flows(&self, question: &Question) -> Found {
        let flow = Flow {
            source: "2001:db8::1".parse().unwrap(),
            destination: "2001:db8::2".parse().unwrap(),
            source_port: 1,
            destination_port: 443,
            ports_unknown: false,
            protocol: 6,
            vlan: 0,
            packets: 3,
            octets: 300,
            first: 1,
            last: 2,
            headers: 0,
            tcp_flags: 0,
            label: 0,
            fragments: Fragments::default(),
        };
        let mut ranking = Ranking::new(question);
        ranking.add(&flow);
        Found::together(vec![ranking.take()], question)
    }
}

fn served(silent: u64) -> (Endpoints, SocketAddr, tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control/x.sock");
    let mut listeners = listen("0").unwrap();
    listeners.push(listen_unix(&path).unwrap());
    let subject: Arc<dyn Subject> = Arc::new(Fake { silent });
    let endpoints = Endpoints::start(listeners, &subject).unwrap();
    let address = endpoints.addresses().next().unwrap();
    (endpoints, address, directory, path)
}

fn get(address: SocketAddr, target: &str, accept: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_worker_that_hangs_makes_the_probe_unhealthy() {
    let (_endpoints, address, ..) = served(0);
    let healthy = get(address, "/health", "*/*");
    assert!(healthy.starts_with("HTTP/1.1 200") && healthy.ends_with("\r\nhealthy\n"), "{healthy}");
    let (_endpoints, address, ..) = served(7);
    let ill = get(address, "/health", "*/*");
    assert!(ill.starts_with("HTTP/1.1 503"), "{ill}");
    assert!(ill.ends_with("\r\neth1 queue 0 has not advanced for 7 s\n"), "{ill}");
    assert!(get(address, "/metrics", "*/*").contains("\nsixtap_healthy 0\n"));
}

#[test]
fn metrics_come_in_the_format_that_is_asked_for() {
    let (_endpoints, address, ..) = served(0);
    let prometheus = get(address, "/metrics", "text/plain");
    assert!(prometheus.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    assert!(
        prometheus
            .contains("sixtap_capture_info{interface=\"eth1\",queue=\"0\",mode=\"copy\"} 1\n")
    );
    assert!(!prometheus.contains("# EOF"));
    let open = get(address, "/metrics", "application/openmetrics-text; version=1.0.0");
    assert!(open.contains("Content-Type: application/openmetrics-text; version=1.0.0"));
    assert!(open.ends_with("\n# EOF\n"));
}

#[test]
fn the_page_needs_nothing_from_elsewhere_and_lets_nothing_else_run() {
    let (_endpoints, address, ..) = served(0);
    let first = get(address, "/", "text/html");
    let (head, page) = first.split_once("\r\n\r\n").unwrap();
    let policy = head.lines().find(|line| line.starts_with("Content-Security-Policy: ")).unwrap();
    let nonce = policy.split("script-src 'nonce-").nth(1).unwrap().split('\'').next().unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    assert_eq!(page.matches(&format!("nonce=\"{nonce}\"")).count(), 2, "one script, one style");
    assert!(!page.contains("{{nonce}}"));
    assert!(!page.contains("src=") && !page.contains("@import") && !page.contains("url("));
    assert!(!page.contains("style=\"") && !page.contains("onclick"), "the policy forbids these");
    for (at, _) in page.match_indices("http") {
        let rest = &page[at..];
        assert!(rest.starts_with("http://www.w3.org/"), "leads elsewhere: {}", &rest[..40]);
    }
    assert!(!get(address, "/", "*/*").contains(nonce), "a nonce is used once");
}

#[test]
fn flows_are_for_the_control_socket_only() {
    let (_endpoints, address, _directory, path) = served(0);
    let refused = get(address, "/flows", "*/*");
    assert!(refused.starts_with("HTTP/1.1 404") && !refused.contains("2001:db8"), "{refused}");
    let question = Question {
        by: By::Flow,
        sort: Sort::Octets,
        count: 5,
        filter: "ip6 and port 443".parse().unwrap(),
    };
    let found = Client::new(&path).flows(&question).unwrap();
    assert_eq!((found.rows.len(), found.rows[0].octets), (1, 300));
    let none = Question { filter: "udp".parse::<Filter>().unwrap(), ..question };
    assert!(Client::new(&path).flows(&none).unwrap().rows.is_empty());
}

#[test]
fn a_question_that_makes_no_sense_is_refused_with_its_reason() {
    let subject = Fake { silent: 0 };
    for (name, value, reason) in [
        ("by", "size", "by: \"size\" is none of flow"),
        ("sort", "name", "sort: \"name\" is none of octets"),
        ("count", "0", "count: write a number from 1 to 500"),
        ("count", "501", "count: write a number from 1 to 500"),
        ("filter", "x", "filter: \"x\" is not known"),
    ] {
        let query = vec![(name.to_owned(), value.to_owned())];
        let request = Request { path: "/flows", query, accept: "" };
        let response = answer(&subject, Audience::Control, &request);
        let text = String::from_utf8(response.body).unwrap();
        assert_eq!(response.status, 400, "{text}");
        assert!(text.starts_with(reason), "{text}");
    }
}

#[test]
fn the_ledger_is_served_to_scripts() {
    let (_endpoints, _address, _directory, path) = served(0);
    let client = Client::new(&path);
    let json: serde_json::Value = serde_json::from_str(&client.ledger(true).unwrap()).unwrap();
    assert_eq!(json["live"], true);
    assert!(client.ledger(false).unwrap().contains("frames delivered"));
    assert_eq!(client.status().unwrap().workers[0].name, "eth1 queue 0");
}

#[test]
fn a_socket_left_behind_is_replaced_and_one_in_use_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "left behind");
    let nobody = Client::new(&path).status().unwrap_err();
    assert!(matches!(nobody, ClientError::Io { .. }), "{nobody}");
    let listener = listen_unix(&path).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let error = listen_unix(&path).unwrap_err();
    assert!(error.contains("another probe answers there"), "{error}");
    drop(listener);
    let error = listen_unix(Path::new("/nonexistent/a/b.sock")).unwrap_err();
    assert!(error.starts_with("control socket /nonexistent/a/b.sock: "), "{error}");
}

#[test]
fn a_port_alone_is_for_this_machine() {
    for listener in listen("0").unwrap() {
        let Listener::Tcp(listener) = listener else { panic!("no address") };
        assert!(listener.local_addr().unwrap().ip().is_loopback());
    }
    let every = listen("[::]:0").unwrap();
    assert_eq!(every.len(), 1);
    for words in ["", "70000", "localhost:1", "::1:80", "x"] {
        let error = listen(words).unwrap_err();
        assert!(error.contains("write a port, or an address and a port"), "{error}");
    }
    let Listener::Tcp(taken) = &every[0] else { panic!("no address") };
    let address = taken.local_addr().unwrap().to_string();
    assert!(listen(&address).unwrap_err().contains("in use"));
}
