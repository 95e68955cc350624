//! Looking at a running probe: metrics and health by HTTP, `sixtap top` in a terminal, the status page in a browser.
//!
//! What needs root, tmux or chromium says by name that it was not run where it has none.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end so")]
#![allow(unsafe_code, reason = "system calls of the sender")]

use crate::wire::{self, Sender, in_namespace, run};
use serde_json::Value;
use sixtap::capture::{CaptureError, Description, Frame, Poll, Source, SourceCounters};
use sixtap::export::ExportPlan;
use sixtap::meter::flow::Settings;
use sixtap::probe::{self, Input, Plan};
use sixtap::telemetry::http::Listener;
use sixtap::telemetry::listen;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const SIXTAP: &str = env!("CARGO_BIN_EXE_sixtap");

/// Ended when dropped, whatever became of the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Interrupts the probe and reads its ledger.
    fn ledger(mut self) -> Value {
        let process = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
        let mut text = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        assert!(self.0.wait().unwrap().success(), "{text}");
        let json = text.find('{').map(|start| &text[start..]).unwrap_or_else(|| panic!("{text}"));
        serde_json::from_str(json).unwrap()
    }
}

fn get(address: &str, path: &str) -> Result<String, std::io::Error> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Waits for `condition`, at most so many seconds.
fn until<T>(what: &str, seconds: u64, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn installed(test: &str, program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok()
        || Command::new(program).arg("-V").output().is_ok();
    if !there {
        println!("not run: {test}: {program} is not installed");
    }
    there
}

/// A probe over rx with HTTP and a control socket.
fn probe(directory: &Path, address: &str) -> Running {
    run("ip", &["link", "set", "dev", "lo", "up"]);
    let control = directory.join("x.sock");
    let child = Command::new(SIXTAP)
        .args(["probe", "-i", "rx", "--packet-socket", "--stats", "json", "--flows", "4096"])
        .args(["-c", &format!("file:{}", directory.join("out.ipfix").display())])
        .args(["--http", address, "--control", control.to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let running = Running(child);
    until("the probe does not answer", 20, || get(address, "/health").ok());
    running
}

/// Every kind of IPv6 packet there is.
fn send_the_case_suite() {
    let status = Command::new(SIXTAP)
        .args(["craft", "-i", "tx", "--rate", "2000"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(status.unwrap().success(), "craft");
}

fn metric(text: &str, line: &str) -> u64 {
    let found = text.lines().find_map(|known| known.strip_prefix(line)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no {line} in\n{text}")).parse().unwrap()
}

#[test]
fn metrics_add_up_to_the_ledger_and_slow_clients_hurt_nobody() {
    in_namespace("telemetry::metrics_add_up_to_the_ledger_and_slow_clients_hurt_nobody", || {
        let directory = tempfile::tempdir().unwrap();
        let address = "127.0.0.1:9601";
        wire::pair(1500, 1);
        let running = probe(directory.path(), address);
        // Many more than are served at a time; none of them ever says more.
        let slow: Vec<TcpStream> = (0..50)
            .map(|_| {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.write_all(b"GET /met").unwrap();
                stream
            })
            .collect();
        let mut sender = Sender::open("tx");
        for sequence in 0..3000 {
            assert!(sender.send(&wire::frame(sequence, 100)));
        }
        let control = directory.path().join("x.sock");
        let ledger = until("3000 frames while 50 clients hang", 10, || {
            let output = Command::new(SIXTAP)
                .args(["top", "--ledger", "--json", "--control", control.to_str().unwrap()])
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
            let ledger: Value = serde_json::from_slice(&output.stdout).unwrap();
            (ledger["capture"]["delivered"] == 3000).then_some(ledger)
        });
        assert_eq!(ledger["lost"], 0);
        drop(slow);
        let text = get(address, "/metrics").unwrap();
        let queue = "{interface=\"rx\",queue=\"0\"";
        assert_eq!(metric(&text, &format!("sixtap_capture_frames_total{queue}}}")), 3000);
        assert_eq!(metric(&text, &format!("sixtap_packets_total{queue},ip_version=\"6\"}}")), 3000);
        assert_eq!(
            metric(&text, &format!("sixtap_bytes_total{queue},ip_version=\"6\"}}")),
            3000 * 86
        );
        assert_eq!(metric(&text, &format!("sixtap_packets_total{queue},ip_version=\"4\"}}")), 0);
        assert_eq!(
            metric(&text, &format!("sixtap_capture_info{queue},mode=\"packet-socket\"}}")),
            1
        );
        assert_eq!(metric(&text, "sixtap_healthy"), 1);
        let ledger = running.ledger();
        assert_eq!((&ledger["balances"], &ledger["lost"]), (&Value::Bool(true), &0.into()));
        assert!(!control.exists(), "the control socket is left behind");
    });
}

#[test]
fn every_case_of_the_suite_is_counted_by_header_and_fragment() {
    in_namespace("telemetry::every_case_of_the_suite_is_counted_by_header_and_fragment", || {
        let directory = tempfile::tempdir().unwrap();
        let address = "127.0.0.1:9602";
        wire::pair(9000, 1);
        let running = probe(directory.path(), address);
        send_the_case_suite();
        std::thread::sleep(Duration::from_millis(600));
        let text = get(address, "/metrics").unwrap();
        let sum = |name: &str, label: &str| -> u64 {
            let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
            lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
        };
        let frames = sum("sixtap_metered_frames_total{", "");
        assert!(frames > 150, "{frames}");
        assert_eq!(sum("sixtap_packets_total{", "ip_version"), frames);
        for header in ["hop_by_hop", "routing", "fragment_first", "fragment_later", "esp"] {
            assert!(sum("sixtap_extension_header_packets_total{", header) > 0, "{header}");
        }
        assert!(sum("sixtap_fragment_packets_total{", "kind=\"atomic\"") > 0);
        assert_eq!(running.ledger()["balances"], true);
    });
}

/// A plan without inputs and collectors.
fn plan() -> Plan {
    Plan {
        inputs: Vec::new(),
        meter: Settings { capacity: 64, extras: 16, ..Settings::default() },
        export: ExportPlan::default(),
        patient: false,
        count: None,
        duration: None,
        sandbox: None,
        drain: Duration::from_secs(1),
        listeners: Vec::new(),
        watcher: None,
    }
}

/// A source that hangs in its first call, as a driver may, until it is released.
struct Hanging(Arc<AtomicBool>);

impl Source for Hanging {
    fn poll(
        &mut self,
        _timeout: Duration,
        _sink: &mut dyn FnMut(&[Frame<'_>]),
    ) -> Result<Poll, CaptureError> {
        while !self.0.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Poll::End)
    }

    fn counters(&mut self) -> SourceCounters {
        SourceCounters::default()
    }

    fn stop(&mut self) -> bool {
        false
    }

    fn progress(&self) -> Option<(u64, u64)> {
        None
    }

    fn describe(&mut self) -> Option<Description> {
        None
    }
}

#[test]
fn a_worker_that_does_not_advance_makes_the_probe_unhealthy() {
    let released = Arc::new(AtomicBool::new(false));
    let source = Box::new(Hanging(Arc::clone(&released)));
    let listeners = listen("127.0.0.1:0").unwrap();
    let Listener::Tcp(listener) = &listeners[0] else { panic!("no address") };
    let address = listener.local_addr().unwrap().to_string();
    let plan = Plan {
        inputs: vec![Input { source, name: "hanging".into(), cpu: None }],
        listeners,
        ..plan()
    };
    let run = std::thread::spawn(|| {
        probe::run(plan, &Arc::new(AtomicBool::new(false)), &mut |_| None)
            .map(|outcome| outcome.ledger.balances())
    });
    let healthy = until("the probe does not answer", 5, || get(&address, "/health").ok());
    assert!(healthy.starts_with("HTTP/1.1 200"), "{healthy}");
    let ill = until("it stays healthy though its worker hangs", 20, || {
        let answer = get(&address, "/health").unwrap();
        (!answer.starts_with("HTTP/1.1 200")).then_some(answer)
    });
    assert!(ill.starts_with("HTTP/1.1 503"), "{ill}");
    assert!(ill.contains("\r\nhanging has not advanced for 5 s"), "{ill}");
    assert_eq!(metric(&get(&address, "/metrics").unwrap(), "sixtap_healthy"), 0);
    released.store(true, Ordering::Relaxed);
    assert!(run.join().unwrap().unwrap());
}

/// A terminal of 80 columns and 24 lines.
struct Terminal {
    socket: String,
}

impl Terminal {
    fn open(command: &str) -> Self {
        let socket = format!("sixtap-{}", std::process::id());
        let terminal = Self { socket };
        terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", command]);
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux")
            .args(["-L", &self.socket])
            .args(arguments)
            .env("TERM", "xterm")
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys", "-t", "0"], keys].concat());
    }

    /// Waits until the screen shows all of `words`.
    fn shows(&self, words: &[&str]) -> String {
        let mut screen = String::new();
        let deadline = Instant::now() + Duration::from_secs(15);
        while Instant::now() < deadline {
            screen = self.tmux(&["capture-pane", "-p", "-t", "0"]);
            if words.iter().all(|word| screen.contains(word)) {
                return screen;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("not all of {words:?} on\n{screen}");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

#[test]
fn top_shows_what_goes_by_in_80_columns() {
    let test = "telemetry::top_shows_what_goes_by_in_80_columns";
    if !installed(test, "tmux") {
        return;
    }
    in_namespace(test, || {
        let directory = tempfile::tempdir().unwrap();
        wire::pair(9000, 1);
        let running = probe(directory.path(), "127.0.0.1:9603");
        send_the_case_suite();
        let mut sender = Sender::open("tx");
        for sequence in 0..500 {
            assert!(sender.send(&wire::frame(sequence, 1400)));
        }
        let control = directory.path().join("x.sock");
        let terminal =
            Terminal::open(&format!("exec {SIXTAP} top --control {}", control.display()));
        let screen =
            terminal.shows(&["sixtap top  x", "packet-socket", "healthy", "[2001:db8::1]:4000"]);
        // The largest flow stands first, in whole.
        let first = screen.lines().nth(5).unwrap();
        assert!(first.starts_with("UDP    [2001:db8::1]:4000 > [2001:db8::2]:4001 "), "{screen}");
        assert!(first.contains(" 500  ") && first.contains("693 k"), "{screen}");
        assert!(
            screen.lines().count() <= 24 && screen.lines().all(|line| line.chars().count() <= 80)
        );
        // Letter by letter, as a person does.
        terminal.press(&["/", "e", "h", " ", "h", "o", "p", "Enter"]);
        let screen = until("the filter selects", 15, || {
            let screen = terminal.shows(&["filter: eh hop", "HOP"]);
            (!screen.contains("]:4000 >")).then_some(screen)
        });
        let flows = screen.lines().skip(5).filter(|line| line.starts_with("UDP")).count();
        assert!(flows > 2, "{screen}");
        terminal.press(&["/", "BSpace", "BSpace", "BSpace", "x", "y", "Enter"]);
        terminal.shows(&["\"xy\" was not expected"]);
        terminal.press(&["Escape"]);
        terminal.press(&["Escape"]);
        terminal.press(&["6", "p"]);
        terminal.shows(&[
            "IPv6 EXTENSION HEADERS",
            "SINCE THE START",
            "hop by hop",
            "FRAGMENTS  IPv6",
            "live: overlaps",
        ]);
        terminal.press(&["4", "f"]);
        terminal.shows(&["SOURCE NETWORK", "2001:db8::/64", "FLOWS"]);
        terminal.press(&["7"]);
        terminal.shows(&["packet-socket", "running", "COLLECTOR", "file:", "LOST"]);
        terminal.press(&["8"]);
        terminal.shows(&["frames delivered", "metered"]);
        terminal.press(&["?"]);
        terminal.shows(&["sort by octets, packets, flows, rate", "any key goes back"]);
        terminal.press(&["1"]);
        assert_eq!(running.ledger()["balances"], true);
        terminal.shows(&["does not answer"]);
        let pid = terminal.tmux(&["list-panes", "-F", "#{pane_pid}"]).trim().to_owned();
        drop(terminal);
        until("top outlives its terminal", 10, || {
            (!Path::new("/proc").join(&pid).exists()).then_some(())
        });
    });
}

#[test]
fn top_captures_by_itself() {
    in_namespace("telemetry::top_captures_by_itself", || {
        wire::pair(1500, 1);
        let child = Command::new(SIXTAP)
            .args(["top", "-i", "rx", "--once", "--interval", "2", "--filter", "udp and port 4000"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        until("top does not open rx", 10, || {
            wire::output("ip", &["-details", "link", "show", "dev", "rx"])
                .contains("promiscuity 1 ")
                .then_some(())
        });
        std::thread::sleep(Duration::from_millis(300));
        let mut sender = Sender::open("tx");
        for sequence in 0..100 {
            assert!(sender.send(&wire::frame(sequence, 100)));
        }
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let line =
            text.lines().find(|line| line.starts_with("UDP")).unwrap_or_else(|| panic!("{text}"));
        assert!(
            line.contains("[2001:db8::1]:4000 > [2001:db8::2]:4001") && line.contains(" 100  "),
            "{text}"
        );
    });
}

#[test]
fn top_without_a_probe_says_what_to_do() {
    let output = Command::new(SIXTAP)
        .args(["top", "--once", "--control", "/nonexistent/x.sock"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("sixtap: control socket /nonexistent/x.sock: "), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    let output =
        Command::new(SIXTAP).args(["top", "--once", "--filter", "prot x"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn the_status_page_fills_in_a_browser() {
    let test = "telemetry::the_status_page_fills_in_a_browser";
    if !installed(test, "chromium") {
        return;
    }
    in_namespace(test, || {
        let directory = tempfile::tempdir().unwrap();
        wire::pair(9000, 1);
        let address = "127.0.0.1:9604";
        let running = probe(directory.path(), address);
        send_the_case_suite();
        let chromium = |arguments: &[&str]| {
            let output = Command::new("chromium")
                .args([
                    "--headless=new",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--disable-dev-shm-usage",
                ])
                .args(["--no-first-run", "--enable-logging=stderr", "--window-size=1240,1300"])
                .arg(format!("--user-data-dir={}", directory.path().join("browser").display()))
                .args(["--virtual-time-budget=9000"])
                .args(arguments)
                .arg(format!("http://{address}/"))
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let complaints: Vec<&str> =
                said.lines().filter(|line| line.contains("CONSOLE")).collect();
            assert!(complaints.is_empty(), "{complaints:#?}");
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let page = chromium(&["--dump-dom"]);
        for words in [
            "healthy</span>",
            "hop by hop",
            "IPv6 atomic",
            "of octets",
            "nothing was lost",
            "packet-socket",
            "running",
            "out.ipfix",
        ] {
            assert!(page.contains(words), "no {words} in\n{page}");
        }
        assert!(!page.contains("NaN") && !page.contains("undefined"), "{page}");
        for theme in ["light", "dark"] {
            let picture = std::env::var_os("SIXTAP_SCREENSHOTS").map_or_else(
                || directory.path().join(format!("{theme}.png")),
                |folder| Path::new(&folder).join(format!("{theme}.png")),
            );
            let shot = format!("--screenshot={}", picture.display());
            let dark =
                format!("--blink-settings=preferredColorScheme={}", u8::from(theme == "light"));
            chromium(&[&shot, &dark]);
            assert!(std::fs::metadata(&picture).unwrap().len() > 20_000, "an empty picture");
        }
        assert_eq!(running.ledger()["balances"], true);
    });
}
