//! Export over real paths, in network namespaces: path MTU, source address, interface, DSCP.
//!
//! Needs root; each test says so by name where it has none.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end so")]
#![allow(unsafe_code, reason = "system calls of the sender, which is not used here")]

use crate::wire::{self, in_namespace};
use sixtap::capture::Timestamp;
use sixtap::export::{ExportPlan, Exporter, Statistics};
use sixtap::meter::flow::{FlowBatch, FlowRecord, Key};
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Another network namespace: that of a process which ends with the test.
struct Elsewhere(Child);

impl Elsewhere {
    fn new() -> Self {
        let mut command = Command::new("unshare");
        let child = command.args(["--net", "sleep", "300"]).spawn().unwrap();
        let elsewhere = Self(child);
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        let path = format!("/proc/{}/ns/net", elsewhere.pid());
        let begin = Instant::now();
        while std::fs::read_link(&path).is_ok_and(|its| its == own) {
            assert!(begin.elapsed() < Duration::from_secs(5), "unshare makes no namespace");
            std::thread::sleep(Duration::from_millis(5));
        }
        elsewhere.run("ip link set lo up");
        elsewhere
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.pid(), "--net", program]);
        command
    }

    fn run(&self, words: &str) {
        let status = self.command("sh").args(["-ec", words]).status();
        assert!(status.is_ok_and(|status| status.success()), "{words}");
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn here(words: &str) {
    wire::run("sh", &["-ec", words]);
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp(since.as_nanos() as u64)
}

fn batch() -> FlowBatch {
    let mut batch = FlowBatch::default();
    for port in 0..200 {
        let mut key = Key::default();
        key.0[4] = Key::word4(port, 443, 0, 0, 17);
        batch.flows.push(FlowRecord { key, packets: 1, octets: 100, ..FlowRecord::default() });
    }
    batch
}

fn exporter(destination: &str) -> Exporter {
    let destinations = vec![destination.parse().unwrap()];
    Exporter::new(&ExportPlan { destinations, ..ExportPlan::default() }).unwrap()
}

/// Exports for so long, 1,000 flows a second.
fn export(exporter: &mut Exporter, duration: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < duration {
        exporter.consume(&batch(), now());
        exporter.tick(now(), &Statistics::default());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// `sixtap show` as the collector in a namespace, until it is told to end.
struct Collector(Child);

impl Collector {
    fn start(elsewhere: &Elsewhere, file: &Path) -> Self {
        let mut command = elsewhere.command(env!("CARGO_BIN_EXE_sixtap"));
        command.args(["show", "udp://[::]:4739", "-w"]).arg(file).stdout(Stdio::null());
        let collector = Self(command.spawn().unwrap());
        let begin = Instant::now();
        let listens = || {
            let output = elsewhere.command("cat").arg("/proc/net/udp6").output().unwrap();
            String::from_utf8_lossy(&output.stdout).contains(":1283 ")
        };
        while !listens() {
            assert!(begin.elapsed() < Duration::from_secs(10), "the collector does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        collector
    }

    /// Lengths of the messages that came.
    fn end(mut self, file: &Path) -> Vec<usize> {
        let pid = self.0.id().to_string();
        wire::run("kill", &["-INT", &pid]);
        assert!(self.0.wait().unwrap().success());
        let octets = std::fs::read(file).unwrap();
        let (mut at, mut lengths) = (0, Vec::new());
        while let Some([high, low]) = octets.get(at + 2..at + 4) {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            lengths.push(length);
            at += length;
        }
        lengths
    }
}

/// IPv6 datagrams or IPv4 ones that this namespace cut into fragments.
fn fragmented() -> u64 {
    let number = |file: &str, name: &str| -> u64 {
        let text = std::fs::read_to_string(file).unwrap();
        let line = text.lines().find(|line| line.split_whitespace().next() == Some(name));
        line.and_then(|line| line.split_whitespace().nth(1)).unwrap().parse().unwrap()
    };
    let text = std::fs::read_to_string("/proc/net/snmp").unwrap();
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Ip: "));
    let place = lines.next().unwrap().split(' ').position(|name| name == "FragOKs").unwrap();
    let v4: u64 = lines.next().unwrap().split(' ').nth(place).unwrap().parse().unwrap();
    v4 + number("/proc/net/snmp6", "Ip6FragOKs")
}

#[test]
fn messages_keep_to_the_path_mtu_and_grow_with_it() {
    in_namespace("export_path::messages_keep_to_the_path_mtu_and_grow_with_it", || {
        let (router, far) = (Elsewhere::new(), Elsewhere::new());
        here(&format!(
            "ip link set lo up; ip link add e type veth peer name r1 netns {}; ip link set e up;
             ip addr add 2001:db8:1::1/64 dev e nodad; ip addr add 192.0.2.1/25 dev e;
             ip route add default via 192.0.2.2 2>/dev/null || true",
            router.pid()
        ));
        router.run(&format!(
            "ip link add r2 mtu 1300 type veth peer name c mtu 1300 netns {};
             echo 1 > /proc/sys/net/ipv6/conf/all/forwarding; echo 1 > /proc/sys/net/ipv4/ip_forward;
             ip link set r1 up; ip link set r2 up;
             ip addr add 2001:db8:1::2/64 dev r1 nodad; ip addr add 192.0.2.2/25 dev r1;
             ip addr add 2001:db8:2::2/64 dev r2 nodad; ip addr add 192.0.2.129/25 dev r2",
            far.pid()
        ));
        far.run(
            "ip link set c up; ip addr add 2001:db8:2::1/64 dev c nodad; ip addr add 192.0.2.130/25 dev c;
             ip -6 route add default via 2001:db8:2::2; ip route add default via 192.0.2.129",
        );
        here(
            "ip -6 route add default via 2001:db8:1::2;
             ip route show default | grep -q . || ip route add default via 192.0.2.2",
        );
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("came.ipfix");
        for (host, most, flush) in [
            ("[2001:db8:2::1]", 1_300 - 48, "ip -6 route flush cache"),
            ("192.0.2.130", 1_300 - 28, "ip route flush cache"),
        ] {
            let mut exporter = exporter(&format!("udp://{host}"));
            // The first messages are as long as the first link takes, and meet the narrow one.
            export(&mut exporter, Duration::from_millis(500));
            let before = fragmented();
            let collector = Collector::start(&far, &file);
            export(&mut exporter, Duration::from_secs(2));
            std::thread::sleep(Duration::from_millis(200));
            let lengths = collector.end(&file);
            let longest = lengths.iter().copied().max().unwrap_or(0);
            assert!(lengths.len() > 20 && longest <= most, "{host}: {lengths:?}");
            assert!(longest > most - 150, "{host}: {longest}: no shorter than need be");
            assert_eq!(fragmented(), before, "{host}: in fragments");
            // The path is wide again, and the kernel has forgotten.
            router.run("ip link set r2 mtu 1500");
            far.run("ip link set c mtu 1500");
            here(flush);
            let collector = Collector::start(&far, &file);
            export(&mut exporter, Duration::from_secs(1));
            std::thread::sleep(Duration::from_millis(200));
            let longest = collector.end(&file).into_iter().max().unwrap_or(0);
            assert!(longest > most && longest <= 1_400, "{host}: {longest}");
            assert_eq!(fragmented(), before, "{host}: in fragments");
            let counters = exporter.counters().next().unwrap().1;
            assert_eq!(counters.lost.total(), 0);
            far.run("ip link set c mtu 1300");
            router.run("ip link set r2 mtu 1300");
        }
    });
}

#[test]
fn packets_leave_as_the_collector_says() {
    if Command::new("tcpdump").arg("--version").output().is_err() {
        eprintln!("not run: packets_leave_as_the_collector_says: there is no tcpdump here");
        return;
    }
    in_namespace("export_path::packets_leave_as_the_collector_says", || {
        let far = Elsewhere::new();
        here(&format!(
            "ip link set lo up; ip link add e1 type veth peer name c1 netns {0};
             ip link add e2 type veth peer name c2 netns {0}; ip link set e1 up; ip link set e2 up;
             ip addr add 2001:db8:1::1/64 dev e1 nodad; ip addr add 2001:db8:2::1/64 dev e2 nodad;
             ip addr add 2001:db8:9::1/128 dev lo nodad; ip addr add 198.51.100.1/32 dev lo;
             ip addr add 192.0.2.1/25 dev e1; ip addr add 192.0.2.129/25 dev e2",
            far.pid()
        ));
        far.run(
            "ip link set c1 up; ip link set c2 up;
             ip addr add 2001:db8:1::2/64 dev c1 nodad; ip addr add 2001:db8:2::2/64 dev c2 nodad;
             ip addr add 192.0.2.2/25 dev c1; ip addr add 192.0.2.130/25 dev c2;
             ip addr add 2001:db8:f::1/128 dev lo nodad; ip addr add 203.0.113.1/32 dev lo",
        );
        // The way that routing prefers is the other one.
        here(
            "ip -6 route add 2001:db8:f::1 via 2001:db8:1::2 metric 10;
             ip -6 route add 2001:db8:f::1 via 2001:db8:2::2 metric 20;
             ip route add 203.0.113.1 via 192.0.2.2 metric 10;
             ip route add 203.0.113.1 via 192.0.2.130 metric 20",
        );
        for (destination, says) in [
            (
                "udp://[2001:db8:f::1]?source=2001:db8:9::1&interface=e2&dscp=EF",
                ["class 0xb8", "2001:db8:9::1."],
            ),
            (
                "tcp://[2001:db8:f::1]?source=2001:db8:9::1&interface=e2&dscp=AF21",
                ["class 0x48", "2001:db8:9::1."],
            ),
            (
                "udp://203.0.113.1?source=198.51.100.1&interface=e2&dscp=EF",
                ["tos 0xb8", "198.51.100.1."],
            ),
            (
                "tcp://203.0.113.1?source=198.51.100.1&interface=e2&dscp=8",
                ["tos 0x20", "198.51.100.1."],
            ),
        ] {
            let mut command = far.command("tcpdump");
            command.args(["-i", "c2", "-nnvv", "-c", "1", "--immediate-mode", "dst port 4739"]);
            let mut tcpdump =
                command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            // It says when it listens.
            let mut said = [0; 1];
            tcpdump.stderr.as_mut().unwrap().read_exact(&mut said).unwrap();
            std::thread::sleep(Duration::from_millis(300));
            let mut exporter = exporter(destination);
            export(&mut exporter, Duration::from_millis(300));
            let begin = Instant::now();
            while tcpdump.try_wait().unwrap().is_none() {
                if begin.elapsed() > Duration::from_secs(5) {
                    tcpdump.kill().unwrap();
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let mut text = String::new();
            tcpdump.stdout.as_mut().unwrap().read_to_string(&mut text).unwrap();
            assert!(says.iter().all(|word| text.contains(word)), "{destination}: {text:?}");
        }
        let plan = |destination: &str| ExportPlan {
            destinations: vec![destination.parse().unwrap()],
            ..ExportPlan::default()
        };
        for (destination, reason) in [
            ("udp://[2001:db8:f::1]?interface=nowhere", "interface=nowhere"),
            ("udp://[2001:db8:f::1]?source=2001:db8:77::1", "source=2001:db8:77::1"),
        ] {
            let error = Exporter::new(&plan(destination)).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    });
}

/// What `/etc/hosts` says in this test's mount namespace; it has one of its own, as everything that `ip netns exec` runs.
struct Hosts(tempfile::TempDir);

impl Hosts {
    fn new(line: &str) -> Self {
        let hosts = Self(tempfile::tempdir().unwrap());
        hosts.say(line);
        here(&format!("mount --bind {} /etc/hosts", hosts.path().display()));
        hosts
    }

    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("hosts")
    }

    fn say(&self, line: &str) {
        // The same file: another in its place would not be seen at the mount point.
        std::fs::write(self.path(), format!("{line}\n")).unwrap();
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        here("umount /etc/hosts");
    }
}

/// Its name leads to another address when it is looked up again: over TCP because the connection broke, over UDP because nobody
/// listens there any more.
#[test]
fn a_collector_that_moves_is_found_by_its_name() {
    in_namespace("export_path::a_collector_that_moves_is_found_by_its_name", || {
        here("ip link set lo up");
        let hosts = Hosts::new("127.0.0.1 collector.test");
        let sent = |exporter: &Exporter| exporter.counters().next().unwrap().1.sent;
        // Half a minute passes with every turn.
        let until = |exporter: &mut Exporter,
                     time: &mut Timestamp,
                     what: &str,
                     done: &mut dyn FnMut(&Exporter) -> bool| {
            let begin = Instant::now();
            while !done(exporter) {
                assert!(
                    begin.elapsed() < Duration::from_secs(20),
                    "{what}: {:?}",
                    exporter.take_problems()
                );
                time.0 += 31_000_000_000;
                exporter.tick(*time, &Statistics::default());
                std::thread::sleep(Duration::from_millis(20));
            }
        };

        let listener = std::net::TcpListener::bind("127.0.0.1:4740").unwrap();
        let mut time = now();
        let mut tcp = exporter("tcp://collector.test:4740");
        tcp.consume(&batch(), time);
        until(&mut tcp, &mut time, "the first place", &mut |tcp| sent(tcp) == 200);
        drop(listener.accept().unwrap());
        drop(listener);
        hosts.say("127.0.0.2 collector.test");
        let moved = std::net::TcpListener::bind("127.0.0.2:4740").unwrap();
        tcp.consume(&batch(), time);
        until(&mut tcp, &mut time, "the second place", &mut |tcp| {
            tcp.counters().next().unwrap().1.sessions == 2
        });
        let (mut stream, _) = moved.accept().unwrap();
        let mut version = [0; 2];
        stream.read_exact(&mut version).unwrap();
        assert_eq!(version, [0, 10]);

        let here_now = std::net::UdpSocket::bind("127.0.0.2:4741").unwrap();
        let mut udp = exporter("udp://collector.test:4741");
        udp.consume(&batch(), time);
        until(&mut udp, &mut time, "the first place", &mut |udp| sent(udp) == 200);
        drop(here_now);
        hosts.say("127.0.0.3 collector.test");
        let moved = std::net::UdpSocket::bind("127.0.0.3:4741").unwrap();
        moved.set_nonblocking(true).unwrap();
        until(&mut udp, &mut time, "the second place", &mut |_| moved.recv(&mut [0; 2048]).is_ok());
    });
}
