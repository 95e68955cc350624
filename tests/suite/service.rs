//! `sixtap probe` as a service: signals, sd_notify, the watchdog, the sandbox over a whole run.
//!
//! `SIXTAP_SANDBOX_STRICT` ends the process on a system call that the sandbox's list lacks: where the probe meters, exports,
//! loses a collector, gets it back, reloads and ends in good order, the list has all it needs for that.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end so")]
#![cfg(feature = "xdp")]
#![allow(unsafe_code, reason = "system calls of the sender")]

use crate::wire::{self, Sender, in_namespace};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A running probe, what it says, and what it tells systemd.
struct Probe {
    child: Child,
    folder: tempfile::TempDir,
    notify: UnixDatagram,
    said: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Probe {
    /// Runs `sixtap probe` with `config` as its file and `more` words.
    fn start(config: &str, more: &[&str], watchdog: Option<Duration>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
        fs::write(folder.path().join("ca.pem"), authority.cert.pem()).expect("written");
        fs::write(folder.path().join("probe.toml"), at(config, folder.path())).expect("written");
        let notify = UnixDatagram::bind(folder.path().join("notify")).expect("a socket");
        notify.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
        let mut command = Command::new(env!("CARGO_BIN_EXE_sixtap"));
        command
            .arg("probe")
            .arg("--config")
            .arg(folder.path().join("probe.toml"))
            .args(more)
            .env("NOTIFY_SOCKET", folder.path().join("notify"))
            .env("SIXTAP_SANDBOX_STRICT", "1")
            .env("SIXTAP_LOG", "info")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if let Some(period) = watchdog {
            command.env("WATCHDOG_USEC", period.as_micros().to_string());
        }
        let mut child = command.spawn().expect("sixtap");
        let said = Arc::new(Mutex::new(String::new()));
        let reader = read_all(child.stderr.take().expect("stderr"), Arc::clone(&said));
        Self { child, folder, notify, said, reader: Some(reader) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a signal");
    }

    /// Writes the configuration anew, as editors do: another file in its place.
    fn rewrite(&self, config: &str) {
        fs::write(self.path("new"), at(config, self.folder.path())).unwrap();
        fs::rename(self.path("new"), self.path("probe.toml")).unwrap();
    }

    /// The next message to systemd that begins so; others are passed over.
    fn notified(&self, begin: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            match self.message() {
                Some(words) if words.starts_with(begin) => return words,
                Some(_) => {}
                None => self.alive(),
            }
        }
        panic!("systemd is not told {begin}\n{}", self.said());
    }

    fn message(&self) -> Option<String> {
        let mut octets = [0; 512];
        let length = self.notify.recv(&mut octets).ok()?;
        Some(String::from_utf8_lossy(&octets[..length]).into_owned())
    }

    /// A death is said at once, and of what.
    fn alive(&self) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let state = status.map_or_else(|_| "gone".to_owned(), |status| field(&status, "State"));
        assert!(!state.starts_with('Z') && state != "gone", "it died\n{}", self.said());
    }

    fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !condition(self) {
            assert!(Instant::now() < deadline, "not so: {what}\n{}", self.said());
            self.alive();
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn until_said(&self, words: &str) {
        self.until(words, |probe| probe.said().contains(words));
    }

    fn records(&self, name: &str) -> usize {
        fs::read_to_string(self.path(name)).map_or(0, |text| text.lines().count())
    }

    fn ended(mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + Duration::from_secs(20);
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end\n{}", self.said());
            std::thread::sleep(Duration::from_millis(10));
        };
        self.reader.take().unwrap().join().unwrap();
        (status, self.said())
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A configuration with `DIR` for the folder.
fn at(config: &str, folder: &Path) -> String {
    config.replace("DIR", folder.to_str().unwrap())
}

fn read_all(stderr: ChildStderr, said: Arc<Mutex<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let mut said = said.lock().unwrap();
            said.push_str(&line);
            said.push('\n');
        }
    })
}

/// Frames of 20 flows.
fn send(sender: &mut Sender, frames: u16) {
    for packet in 0..frames {
        let mut frame = wire::frame(u64::from(packet), 100);
        frame[54..56].copy_from_slice(&(5000 + packet % 20).to_be_bytes());
        assert!(sender.send(&frame));
    }
}

/// What a ledger of the text form says behind `name`.
fn number(ledger: &str, name: &str) -> u64 {
    let line = ledger.lines().rev().find(|line| line.trim().starts_with(name));
    let number = line.and_then(|line| line.split_whitespace().last()?.parse().ok());
    number.unwrap_or_else(|| panic!("no {name}: {ledger}"))
}

/// The threads of a process by name, each with its `/proc` status.
fn threads(child: &Child) -> Vec<(String, String)> {
    let tasks = fs::read_dir(format!("/proc/{}/task", child.id())).expect("tasks");
    tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok())
        .map(|status| (field(&status, "Name"), status))
        .collect()
}

fn field(status: &str, name: &str) -> String {
    let line = status.lines().find(|line| line.starts_with(&format!("{name}:"))).expect(name);
    line[name.len() + 1..].trim().to_owned()
}

const CONFIG: &str = "[input]\ninterface = [\"rx\"]\n[meter]\nidle = 600\nactive = 1200\nflows = 10000\n\
    [export]\ncollector = [\"json:DIR/out.jsonl\"]\n";

#[test]
fn a_configuration_is_read_again_without_losing_a_flow() {
    in_namespace("service::a_configuration_is_read_again_without_losing_a_flow", || {
        wire::pair(1500, 1);
        let probe = Probe::start(CONFIG, &["--packet-socket"], None);
        probe.notified("READY=1");
        let mut sender = Sender::open("tx");
        send(&mut sender, 1000);
        std::thread::sleep(Duration::from_millis(500));
        probe.signal(Signal::USR1);
        probe.until_said("balance");
        // The ledger of a run that goes on: flows are live, and packets are where they are said to be.
        assert_eq!(number(&probe.said(), "records begun"), 20, "{}", probe.said());
        assert_eq!(number(&probe.said(), "live"), 20);
        assert_eq!(probe.records("out.jsonl"), 0);

        // What is wrong is said with its place, and changes nothing.
        probe.rewrite("[meter]\nidel = 1\n");
        probe.signal(Signal::HUP);
        probe.notified("RELOADING=1\nMONOTONIC_USEC=");
        probe.notified("READY=1");
        probe.until_said(
            "probe.toml:2: there is no key \"meter.idel\"; did you mean \"meter.idle\"?",
        );

        let shorter =
            CONFIG.replace("idle = 600", "idle = 1").replace("flows = 10000", "flows = 20000");
        let second = shorter.replace(
            "[\"json:DIR/out.jsonl\"]",
            "[\"json:DIR/out.jsonl\", \"json:DIR/second.jsonl\"]",
        );
        // A shorter timeout holds for the flows that are there; another interface takes a new start.
        probe.rewrite(&shorter);
        probe.signal(Signal::HUP);
        probe.notified("RELOADING=1");
        probe.notified("READY=1");
        probe.until_said("configuration read again: meter.idle changed");
        probe.until_said("meter.flows cannot change while the probe runs");
        probe.until("20 records", |probe| probe.records("out.jsonl") == 20);

        // A collector more gets what ends from then on; the one that was there goes on.
        probe.rewrite(&second);
        probe.signal(Signal::HUP);
        probe.notified("RELOADING=1");
        probe.notified("READY=1");
        probe.until_said("configuration read again: export.collector changed");
        probe.until("the second file", |probe| probe.path("second.jsonl").exists());
        std::thread::sleep(Duration::from_millis(300));

        send(&mut sender, 400);
        probe.until("20 records in the second", |probe| probe.records("second.jsonl") == 20);
        // Outside of what the sandbox was closed with nothing is opened, and the reason is said.
        probe.rewrite(&second.replace("DIR/second", "/nowhere/second"));
        probe.signal(Signal::HUP);
        probe.until_said("the sandbox was closed without /nowhere: start the probe again");
        probe.signal(Signal::TERM);
        probe.notified("STOPPING=1");
        let records = probe.path("out.jsonl");
        let (status, said) = {
            let lines = records.clone();
            let ended = probe.ended_with(|| fs::read_to_string(&lines).unwrap());
            assert_eq!(ended.2.lines().count(), 40);
            (ended.0, ended.1)
        };
        assert!(status.success(), "{said}");
        assert_eq!(number(&said, "metered"), 1400, "{said}");
        assert!(!said.contains("IS NOT"), "{said}");
    });
}

impl Probe {
    /// As `ended`, and what `read` gives before the folder goes.
    fn ended_with<T>(mut self, read: impl FnOnce() -> T) -> (ExitStatus, String, T) {
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        let (status, said) = self.ended();
        let value = read();
        drop(folder);
        (status, said, value)
    }
}

#[test]
fn the_watchdog_is_fed_while_the_workers_move() {
    in_namespace("service::the_watchdog_is_fed_while_the_workers_move", || {
        wire::pair(1500, 2);
        // By interrupt and by busy poll, with traffic and without.
        for mode in [&["--packet-socket=2"][..], &["--steal"]] {
            let probe = Probe::start(CONFIG, mode, Some(Duration::from_millis(900)));
            probe.notified("READY=1");
            let mut sender = Sender::open("tx");
            let until = Instant::now() + Duration::from_secs(2);
            let mut fed = 0;
            while Instant::now() < until {
                send(&mut sender, 10);
                fed += u32::from(probe.message().is_some_and(|words| words == "WATCHDOG=1"));
            }
            assert!(fed >= 3, "{mode:?}: fed {fed} times in two seconds\n{}", probe.said());
            probe.signal(Signal::TERM);
            let (status, said) = probe.ended();
            assert!(status.success(), "{said}");
        }
    });
}

/// Accepts connections and reads what comes, until told to end.
fn collector(port: u16, octets: &Arc<Mutex<usize>>) -> std::sync::mpsc::Sender<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("a port");
    listener.set_nonblocking(true).unwrap();
    let (running, ended) = std::sync::mpsc::channel::<()>();
    let octets = Arc::clone(octets);
    std::thread::spawn(move || {
        let mut streams = Vec::new();
        while ended.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            if let Ok((stream, _)) = listener.accept() {
                stream.set_nonblocking(true).unwrap();
                streams.push(stream);
            }
            let mut buffer = [0; 65536];
            for stream in &mut streams {
                while let Ok(length @ 1..) = stream.read(&mut buffer) {
                    *octets.lock().unwrap() += length;
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    running
}

/// Told to end, the probe ends when it was told to, though one collector never reads, and another gets a thousand octets a second:
/// what they did not take is lost and counted, and the file has every record.
#[test]
fn collectors_that_take_nothing_do_not_hold_up_the_end() {
    in_namespace("service::collectors_that_take_nothing_do_not_hold_up_the_end", || {
        wire::pair(1500, 1);
        wire::run("ip", &["link", "set", "dev", "lo", "up"]);
        // Buffers of the kernel that do not take all of it.
        for buffer in ["tcp_rmem", "tcp_wmem"] {
            fs::write(format!("/proc/sys/net/ipv4/{buffer}"), "4096 16384 65536").unwrap();
        }
        let listener = TcpListener::bind("127.0.0.1:4740").unwrap();
        let nobody = std::net::UdpSocket::bind("127.0.0.1:4741").unwrap();
        let config = CONFIG.replace("flows = 10000", "flows = 100000").replace(
            "[\"json:DIR/out.jsonl\"]",
            "[\"tcp://127.0.0.1:4740\", \"udp://127.0.0.1:4741?rate=8k\", \"json:DIR/out.jsonl\"]",
        ) + "[operation]\ndrain = 3\n";
        let probe = Probe::start(&config, &["--packet-socket"], None);
        probe.notified("READY=1");
        let mut sender = Sender::open("tx");
        for port in 1..=40_000_u16 {
            let mut frame = wire::frame(u64::from(port), 100);
            frame[54..56].copy_from_slice(&port.to_be_bytes());
            while !sender.send(&frame) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        std::thread::sleep(Duration::from_millis(500));
        let records = probe.path("out.jsonl");
        let began = Instant::now();
        probe.signal(Signal::TERM);
        let (status, said, lines) =
            probe.ended_with(|| fs::read_to_string(&records).unwrap().lines().count());
        let took = began.elapsed();
        assert!(took < Duration::from_secs(4), "{took:?}\n{said}");
        assert!(status.success(), "{status}\n{said}");
        assert!(!said.contains("IS NOT"), "{said}");
        // What the packet socket's ring had no room for is in the ledger, and no flow.
        assert_eq!(lines as u64, number(&said, "records begun"), "{said}");
        assert!(lines > 20_000, "{said}");
        for collector in ["tcp://127.0.0.1:4740", "udp://127.0.0.1:4741"] {
            let told = said.lines().any(|line| {
                line.contains(collector) && line.contains("records left at the end are lost")
            });
            assert!(told, "{collector}\n{said}");
        }
        assert!(number(&said, "lost: queue full") > 0, "{said}");
        drop((listener, nobody));
    });
}

/// The whole probe under the strict sandbox, by AF_XDP and by packet socket, to every kind of collector, one of which is
/// looked up by name and goes away and comes back, while others look at it by HTTP and by the control socket.
#[test]
fn the_whole_probe_runs_in_its_sandbox() {
    in_namespace("service::the_whole_probe_runs_in_its_sandbox", || {
        wire::pair(1500, 2);
        // A collector at ::1: the pair's namespace has IPv6 switched off.
        fs::write("/proc/sys/net/ipv6/conf/lo/disable_ipv6", "0").unwrap();
        wire::run("ip", &["link", "set", "dev", "lo", "up"]);
        for mode in [&["--packet-socket=2"][..], &["--steal"]] {
            let octets = Arc::new(Mutex::new(0));
            let listener = collector(4740, &octets);
            let association = sctp(4747);
            let brokers = Brokers::start();
            let collectors = [COLLECTORS, TLS, PARQUET, &brokers.collectors(), association.url()];
            let config = CONFIG
                .replace("idle = 600", "idle = 0.2")
                .replace("[\"json:DIR/out.jsonl\"]", &format!("[{}]", collectors.concat()))
                + "[operation]\nhttp = [\"127.0.0.1:9465\"]\ncontrol = \"DIR/control.sock\"\n";
            let probe = Probe::start(&config, mode, Some(Duration::from_secs(5)));
            probe.notified("READY=1");
            let mut sender = Sender::open("tx");
            send(&mut sender, 1000);
            probe.until("records over TCP", |_| *octets.lock().unwrap() > 1000);
            confined(&probe);
            looked_at(&probe);
            // The collector goes and comes.
            drop(listener);
            std::thread::sleep(Duration::from_millis(100));
            send(&mut sender, 1000);
            std::thread::sleep(Duration::from_millis(500));
            *octets.lock().unwrap() = 0;
            let listener = collector(4740, &octets);
            probe.until("records over TCP again", |_| {
                std::thread::sleep(Duration::from_millis(100));
                *octets.lock().unwrap() > 1000
            });
            // The link goes and comes.
            for state in ["down", "up"] {
                wire::run("ip", &["link", "set", "dev", "rx", state]);
                std::thread::sleep(Duration::from_millis(1200));
            }
            probe.signal(Signal::HUP);
            probe.notified("RELOADING=1");
            probe.until_said("configuration read again: nothing changes");
            probe.signal(Signal::USR1);
            probe.until_said("balance");
            let file = probe.path("out.ipfix");
            probe.signal(Signal::TERM);
            let folder = probe.path(".");
            let (status, said, (file, tables)) =
                probe.ended_with(|| (fs::metadata(&file).unwrap().len(), parquet_files(&folder)));
            assert!(status.success(), "{status} {said}");
            assert!(file > 1000, "{said}");
            assert_eq!(tables > 0, cfg!(feature = "parquet"), "{said}");
            brokers.took_all(&said);
            association.took_all(&said);
            assert!(said.contains("sandbox: system calls (seccomp): "), "{said}");
            assert!(
                !said.contains("IS NOT") && !said.contains("Operation not permitted"),
                "{said}"
            );
            drop(listener);
        }
    });
}

/// Of each kind; the one at 4740 answers TCP and never a TLS handshake.
const COLLECTORS: &str = "\"json:DIR/out.jsonl\", \"file:DIR/out.ipfix\", \"udp://localhost:4741?rate=1M\", \
    \"tcp://localhost:4740\", \"tcp://127.0.0.1:4742\", \"unix:DIR/nobody.sock\", \
    \"failover:tcp://127.0.0.1:4743,udp://127.0.0.1:4744\", \"balance:udp://127.0.0.1:4745,udp://[::1]:4746\", \
    \"file:DIR/%H%M%S.ipfix?rotate=1s&zstd=1\", \"nfv9+udp://127.0.0.1:4748\"";

#[cfg(feature = "tls")]
const TLS: &str = ", \"tls://localhost:4740?ca=DIR/ca.pem\"";
#[cfg(not(feature = "tls"))]
const TLS: &str = "";

#[cfg(feature = "parquet")]
const PARQUET: &str = ", \"parquet:DIR/tables?rotate=1\"";
#[cfg(not(feature = "parquet"))]
const PARQUET: &str = "";

/// Parquet files that are whole.
fn parquet_files(folder: &Path) -> usize {
    let days = fs::read_dir(folder.join("tables")).into_iter().flatten().flatten();
    let files = days.flat_map(|day| fs::read_dir(day.path()).into_iter().flatten().flatten());
    files.filter(|file| file.file_name().to_string_lossy().ends_with(".parquet")).count()
}

/// What the ledger says of the collectors whose name begins with `scheme`: those it names, and records sent and lost.
fn collected(said: &str, scheme: &str) -> (usize, u64, u64) {
    let (mut collectors, mut sent, mut lost, mut within) = (0, 0, 0, false);
    // The last one: there was another by SIGUSR1.
    let ledger = said.rfind("\ncapture\n").map_or(said, |start| &said[start..]);
    for line in ledger.lines() {
        if !line.starts_with(' ') {
            within = line.starts_with(scheme);
            collectors += usize::from(within);
        } else if within {
            let count = || line.split_whitespace().last().and_then(|word| word.parse::<u64>().ok());
            sent += if line.trim().starts_with("records sent") { count().unwrap() } else { 0 };
            lost += if line.trim().starts_with("lost:") { count().unwrap() } else { 0 };
        }
    }
    (collectors, sent, lost)
}

/// Brokers of Kafka: librdkafka's own, in this process.
struct Brokers {
    #[cfg(feature = "kafka")]
    cluster: rdkafka::mocking::MockCluster<'static, rdkafka::producer::DefaultProducerContext>,
}

#[cfg(feature = "kafka")]
impl Brokers {
    fn start() -> Self {
        let cluster = rdkafka::mocking::MockCluster::new(1).expect("a mock cluster");
        cluster.create_topic("flows", 2, 1).expect("a topic");
        Self { cluster }
    }

    fn collectors(&self) -> String {
        let brokers = self.cluster.bootstrap_servers();
        format!(", \"kafka://{brokers}/flows\", \"kafka://{brokers}/flows?format=ipfix\"")
    }

    fn took_all(&self, said: &str) {
        let (topics, sent, lost) = collected(said, "kafka://");
        let begun = number(said, "records begun");
        assert!(begun >= 20, "{said}");
        assert_eq!((topics, sent, lost), (2, 2 * begun, 0), "{said}");
    }
}

#[cfg(not(feature = "kafka"))]
impl Brokers {
    fn start() -> Self {
        Self {}
    }

    fn collectors(&self) -> String {
        String::new()
    }

    fn took_all(&self, _said: &str) {}
}

/// A collector over SCTP that reads and forgets, where the kernel has SCTP.
struct Association(Option<socket2::Socket>);

fn sctp(port: u16) -> Association {
    use socket2::{Domain, Protocol, Socket, Type};
    let made = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::from(libc::IPPROTO_SCTP)));
    let Ok(listener) = made else {
        println!("not run: the_whole_probe_runs_in_its_sandbox over SCTP: this kernel has no SCTP");
        return Association(None);
    };
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    listener.bind(&address.into()).unwrap();
    listener.listen(4).unwrap();
    let accepting = listener.try_clone().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = accepting.accept() {
            while matches!(stream.read(&mut [0; 65536]), Ok(1..)) {}
        }
    });
    Association(Some(listener))
}

impl Association {
    fn url(&self) -> &'static str {
        if self.0.is_some() { ", \"sctp://127.0.0.1:4747?lifetime=1s\"" } else { "" }
    }

    fn took_all(self, said: &str) {
        let Some(listener) = self.0 else { return };
        let (_, sent, lost) = collected(said, "sctp://");
        assert_eq!((sent, lost), (number(said, "records begun"), 0), "{said}");
        let _ = listener.shutdown(std::net::Shutdown::Both);
    }
}

/// Whoever may look, looks: a browser, Prometheus, `sixtap top`.
fn looked_at(probe: &Probe) {
    for (path, words) in
        [("/", "<html"), ("/metrics", "sixtap_packets_total"), ("/health", "HTTP/1.1 200")]
    {
        let stream = std::net::TcpStream::connect("127.0.0.1:9465").expect("the status page");
        let answer = asked(stream, path);
        assert!(answer.contains(words), "{path}: {answer}\n{}", probe.said());
    }
    let socket = std::os::unix::net::UnixStream::connect(probe.path("control.sock"));
    let answer = asked(socket.expect("the control socket"), "/flows");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}\n{}", probe.said());
}

fn asked(mut stream: impl Read + std::io::Write, path: &str) -> String {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Every thread that sees octets from the network has no capability and a filter; keepers have theirs, and nothing else.
fn confined(probe: &Probe) {
    let threads = threads(&probe.child);
    let confined: Vec<_> = threads.iter().filter(|(name, _)| !name.starts_with("keeper")).collect();
    assert!(confined.iter().any(|(name, _)| name == "exporter"), "{threads:#?}");
    assert!(confined.iter().any(|(name, _)| name.starts_with("worker")), "{threads:#?}");
    for (name, status) in confined {
        assert_eq!(field(status, "Seccomp"), "2", "{name}");
        assert_eq!(field(status, "NoNewPrivs"), "1", "{name}");
        // CAP_DAC_OVERRIDE (bit 1) is left to root for outputs.
        for set in ["CapEff", "CapPrm"] {
            assert_eq!(field(status, set), "0000000000000002", "{name} {set}");
        }
    }
}
