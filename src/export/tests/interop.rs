//! Other people's programs read what is exported. A program that is not installed is named.

use super::*;
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Whether `program` can be run; says so if not.
fn installed(program: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !found {
        println!("NOT RUN: {program} is not installed");
    }
    found
}

fn output(command: &mut Command) -> String {
    let output = command.stderr(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Plain flows of every kind, and rich ones with one chain and with two.
fn every_kind() -> FlowBatch {
    let mut batch = plain_batch();
    push_rich(&mut batch, &[one_chain()]);
    let second = Chain { headers: 0x02, length: 8, run_count: 1, ..Chain::default() };
    push_rich(&mut batch, &[one_chain(), second]);
    batch
}

fn presets() -> Vec<preset::Preset> {
    preset::NAMES.iter().map(|name| preset::Preset::named(name).unwrap()).collect()
}

/// Exports `rounds` batches to a UDP socket on loopback, and gives the datagrams.
fn datagrams(preset: preset::Preset, rounds: usize) -> Vec<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let destination = format!("udp://{}", socket.local_addr().unwrap()).parse().unwrap();
    let plan = ExportPlan { destinations: vec![destination], preset, ..ExportPlan::default() };
    let mut exporter = Exporter::new(&plan).unwrap();
    let receiver = std::thread::spawn(move || {
        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut octets = [0; 65_535];
        let mut all = Vec::new();
        while let Ok(length) = socket.recv(&mut octets) {
            all.push(octets[..length].to_vec());
        }
        all
    });
    for round in 0..rounds {
        exporter.consume(&every_kind(), NOW);
        let now = Timestamp(NOW.0 + round as u64 * 1_000_000_000);
        exporter.tick(now, &Statistics::default());
    }
    exporter.finish(NOW, &Statistics::default());
    receiver.join().unwrap()
}

/// A capture (LINKTYPE_RAW) of the datagrams, from port 40000 to the IPFIX port.
fn capture(datagrams: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65_535, 101] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    for datagram in datagrams {
        let udp = 8 + datagram.len() as u16;
        let total = 20 + udp;
        for word in [1_700_000_100u32, 0, u32::from(total), u32::from(total)] {
            file.extend_from_slice(&word.to_le_bytes());
        }
        let [high, low] = total.to_be_bytes();
        file.extend_from_slice(&[0x45, 0, high, low, 0, 0, 0, 0, 64, 17, 0, 0]);
        file.extend_from_slice(&[127, 0, 0, 1, 127, 0, 0, 1]);
        for word in [40_000, DEFAULT_PORT, udp, 0] {
            file.extend_from_slice(&word.to_be_bytes());
        }
        file.extend_from_slice(datagram);
    }
    file
}

#[test]
fn tshark_finds_nothing_malformed_and_no_gap() {
    if !installed("tshark") {
        return;
    }
    for preset in presets() {
        let name = preset.name.clone();
        let datagrams = datagrams(preset, 40);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("export.pcap");
        std::fs::write(&path, capture(&datagrams)).unwrap();
        let tshark = |filter: &str, fields: &[&str]| {
            let mut command = Command::new("tshark");
            // By itself it takes templates of up to 60 fields; a flow with everything at once has more.
            command.args(["-o", "cflow.max_template_fields:100"]);
            command.arg("-r").arg(&path).args(["-Y", filter, "-T", "fields"]);
            for field in fields {
                command.args(["-e", field]);
            }
            output(&mut command)
        };
        let bad =
            "_ws.malformed || cflow.unexpected_sequence_number || _ws.expert.severity >= 0x600000";
        assert_eq!(tshark(bad, &["frame.number", "_ws.expert.message"]), "", "{name}");
        assert_eq!(tshark("cflow", &["frame.number"]).lines().count(), datagrams.len(), "{name}");
        let labels = tshark("cflow.ip_version", &["cflow.ipv6flowlabel"]);
        assert!(labels.contains("74565"), "{name}: {labels}");
    }
}

#[test]
fn ipfix_dump_reads_the_file() {
    if !installed("ipfixDump") {
        return;
    }
    for preset in presets() {
        let name = preset.name.clone();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.ipfix");
        let mut exporter = Exporter::new(&file_plan(&path, preset)).unwrap();
        for _ in 0..50 {
            exporter.consume(&every_kind(), NOW);
        }
        exporter.finish(NOW, &Statistics::default());
        let counters = exporter.counters().next().unwrap().1;
        // It reads RFC 5610 type records itself with --rfc5610.
        let dump =
            Command::new("ipfixDump").arg("--in").arg(&path).arg("--rfc5610").output().unwrap();
        assert!(dump.status.success(), "{name}: {}", String::from_utf8_lossy(&dump.stderr));
        assert_eq!(String::from_utf8_lossy(&dump.stderr), "", "{name}");
        let text = String::from_utf8_lossy(&dump.stdout);
        let records =
            text.matches("--- data record").count() + text.matches("--- options record").count();
        assert!(
            text.contains("fragmentOverlapCount"),
            "{name}: the type records name our elements"
        );
        assert_eq!(records as u64, counters.sent + counters.options, "{name}");
        // The time window of the file, by its names of RFC 5655.
        for element in ["sessionScope", "minFlowStartMilliseconds", "maxFlowEndMilliseconds"] {
            assert!(text.contains(element), "{name}: {element}");
        }
    }
}

/// A collector program of its own, ended with the test.
struct Collector(std::process::Child);

impl Drop for Collector {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until a UDP socket of IPv4 is bound to `port` and `ready` of the octets queued in it, a while at most.
fn wait_for_socket(port: u16, ready: impl Fn(u64) -> bool) {
    let begin = std::time::Instant::now();
    while begin.elapsed() < Duration::from_secs(20) {
        let sockets = std::fs::read_to_string("/proc/net/udp").unwrap();
        let queued = sockets.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            let bound = words.nth(1)?.ends_with(&format!(":{port:04X}"));
            let (_, receive) = words.nth(2)?.split_once(':')?;
            u64::from_str_radix(receive, 16).ok().filter(|_| bound)
        });
        if queued.is_some_and(&ready) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("no socket at port {port}, or it is not read");
}

#[test]
fn nfcapd_stores_every_flow_and_nfdump_shows_it() {
    if !installed("nfcapd") || !installed("nfdump") {
        return;
    }
    for preset in presets() {
        let name = preset.name.clone();
        let directory = tempfile::tempdir().unwrap();
        let free = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut command = Command::new("nfcapd");
        command.args(["-b", "127.0.0.1", "-p", &port.to_string(), "-T", "all", "-t", "60"]);
        command.arg("-l").arg(directory.path()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut nfcapd = Collector(command.spawn().unwrap());
        wait_for_socket(port, |_| true);
        let destination = format!("udp://127.0.0.1:{port}").parse().unwrap();
        let plan = ExportPlan { destinations: vec![destination], preset, ..ExportPlan::default() };
        let mut exporter = Exporter::new(&plan).unwrap();
        for _ in 0..20 {
            exporter.consume(&every_kind(), NOW);
            exporter.tick(NOW, &Statistics::default());
        }
        exporter.finish(NOW, &Statistics::default());
        // What is read from the socket is still to be taken in.
        wait_for_socket(port, |queued| queued == 0);
        std::thread::sleep(Duration::from_millis(500));
        // SIGTERM lets it write its file.
        let pid = nfcapd.0.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        let _ = nfcapd.0.wait();
        let shown = output(Command::new("nfdump").arg("-R").arg(directory.path()).args([
            "-q",
            "-N",
            "-6",
            "-o",
            "fmt:%ts|%te|%pr|%sa|%sp|%da|%dp|%flg|%tos|%pkt|%byt",
        ]));
        let lines: Vec<String> =
            shown.lines().map(|line| line.replace(' ', "")).filter(|l| !l.is_empty()).collect();
        assert_eq!(lines.len(), 20 * 9, "{name}:\n{shown}");
        let tcp = lines.iter().find(|line| line.contains("|6|2001:db8::1|1234|2001:db8::2|443|"));
        let tcp = tcp.unwrap_or_else(|| panic!("{name}:\n{shown}"));
        assert!(tcp.contains("AP.SF"), "{tcp}");
        assert!(tcp.ends_with("|184|4000000|5000000123"), "{tcp}");
        assert!(tcp.starts_with("2023-11-14"), "{tcp}");
        assert!(
            lines.iter().any(|line| line.contains("|58|2001:db8::1|0|2001:db8::2|135.0|")),
            "{name}:\n{shown}"
        );
        assert!(
            lines.iter().any(|line| line.contains("|1|192.0.2.1|0|198.51.100.2|8.0|")),
            "{name}:\n{shown}"
        );
    }
}
