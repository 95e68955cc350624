//! NetFlow v9: read by sixtap itself, by tshark, and by nfcapd and nfdump.

use super::{Run, installed, number, probe, sixtap, stream, suite, sum};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Meters the suite; the datagrams that a v9 collector got, and what JSON lines say.
fn export(folder: &Path, more: &[&str]) -> (Vec<Vec<u8>>, Run) {
    let capture = suite(folder);
    let sink = crate::sink::Sink::listen("[::1]:0").expect("a socket on loopback");
    let url = format!("nfv9+udp://[::1]:{}", sink.port);
    let run = probe(&capture, &[&["-c", &url, "-c", "json:-"], more].concat());
    assert_eq!(run.status, 0, "{}", run.error);
    run.balances();
    (sink.datagrams(), run)
}

fn be16(octets: &[u8], at: usize) -> usize {
    usize::from(u16::from_be_bytes([octets[at], octets[at + 1]]))
}

fn be32(octets: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]])
}

/// RFC 3954 sections 5.1 to 5.3, read off the octets.
#[test]
fn packets_are_framed_as_rfc_3954_says() {
    let folder = tempfile::tempdir().unwrap();
    let (datagrams, run) = export(folder.path(), &[]);
    assert!(datagrams.len() > 2, "{}", datagrams.len());
    let mut templates: BTreeMap<usize, usize> = BTreeMap::new();
    let (mut flows, mut boot) = (0, None);
    for (number, datagram) in datagrams.iter().enumerate() {
        assert!(datagram.len() <= 1_400, "{}", datagram.len());
        assert_eq!(be16(datagram, 0), 9);
        assert_eq!(be32(datagram, 12), number as u32, "the sequence number counts packets");
        assert_eq!(be32(datagram, 16), 1, "source ID");
        let began = u64::from(be32(datagram, 8)) * 1_000 - u64::from(be32(datagram, 4));
        assert_eq!(*boot.get_or_insert(began), began, "sysUpTime and UNIX secs drift apart");
        let (mut at, mut records) = (20, 0);
        while at < datagram.len() {
            let (id, length) = (be16(datagram, at), be16(datagram, at + 2));
            assert!(length > 4 && length % 4 == 0, "FlowSet {id} of {length} octets");
            let set = &datagram[at + 4..at + length];
            at += length;
            match id {
                0 => {
                    let mut rest = set;
                    while rest.len() >= 4 {
                        let (id, count) = (be16(rest, 0), be16(rest, 2));
                        let fields = &rest[4..4 + 4 * count];
                        let lengths = fields.chunks(4).map(|field| be16(field, 2));
                        assert!(fields.chunks(4).all(|field| be16(field, 0) < 0x8000));
                        assert!(lengths.clone().all(|length| length != 65_535));
                        templates.insert(id, lengths.sum());
                        rest = &rest[4 + 4 * count..];
                        records += 1;
                    }
                }
                1 => {
                    let mut rest = set;
                    while rest.len() >= 10 {
                        let lengths = be16(rest, 2) + be16(rest, 4);
                        let sizes = rest[6..6 + lengths].chunks(4).map(|field| be16(field, 2));
                        templates.insert(be16(rest, 0), sizes.sum());
                        rest = &rest[6 + lengths..];
                        records += 1;
                    }
                }
                id => {
                    let size = templates.get(&id).expect("a Template before its records");
                    let count = set.len() / size;
                    assert!(set.len() % size < 4, "padding of {} octets", set.len() % size);
                    assert!(set[count * size..].iter().all(|octet| *octet == 0));
                    records += count;
                    flows += if id < 1024 { count } else { 0 };
                }
            }
        }
        assert_eq!(be16(datagram, 2), records, "count of packet {number}");
    }
    assert_eq!(flows, run.records.len());
    assert_eq!(number(run.collector("nfv9"), "sent"), flows as u64);
    assert_eq!(number(run.collector("nfv9"), "messages"), datagrams.len() as u64);
}

/// What of a record both have, by flow: v9's times are as exact as JSON's.
fn comparable(record: &Value) -> BTreeMap<String, String> {
    let mut kept = BTreeMap::new();
    for (name, value) in record.as_object().expect("an object") {
        let wanted = !name.starts_with("sixtap:")
            && !value.is_array()
            && !matches!(
                name.as_str(),
                "tcpControlBits" | "minimumIpTotalLength" | "maximumIpTotalLength"
            )
            && !name.starts_with("flowStart")
            && !name.starts_with("flowEndS")
            && !name.starts_with("flowEndM");
        if wanted {
            kept.insert(name.clone(), value.to_string());
        }
    }
    kept
}

fn sorted(records: &[Value]) -> Vec<String> {
    let mut texts: Vec<String> =
        records.iter().map(|record| format!("{:?}", comparable(record))).collect();
    texts.sort();
    texts
}

#[test]
fn every_field_has_the_value_that_ipfix_has() {
    let folder = tempfile::tempdir().unwrap();
    let (datagrams, run) = export(folder.path(), &[]);
    let path = folder.path().join("v9.pcap");
    stream::capture(&datagrams, 2055, be32(&datagrams[0], 8), &path);
    let shown = super::show(&path);
    let flows: Vec<Value> =
        shown.into_iter().filter(|record| record.get("packetDeltaCount").is_some()).collect();
    let (ours, theirs) = (sorted(&run.records), sorted(&flows));
    assert_eq!(ours.len(), theirs.len());
    for (one, other) in ours.iter().zip(&theirs) {
        assert_eq!(one, other);
    }
    // The fields of other lengths: jumbograms are longer than two octets can say.
    for name in ["minimumIpTotalLength", "maximumIpTotalLength"] {
        let lengths = |records: &[Value], most: u64| -> Vec<u64> {
            let values = records.iter().filter_map(|record| record[name].as_u64());
            let mut values: Vec<u64> = values.map(|length| length.min(most)).collect();
            values.sort_unstable();
            values
        };
        assert_eq!(lengths(&run.records, 65_535), lengths(&flows, u64::MAX), "{name}");
    }
    let flags = |records: &[Value]| -> u64 {
        records.iter().filter_map(|record| record["tcpControlBits"].as_u64()).map(|f| f & 255).sum()
    };
    assert_eq!(flags(&run.records), flags(&flows));
}

#[test]
fn validate_finds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (datagrams, _) = export(folder.path(), &["--sample", "2"]);
    let path = folder.path().join("v9.pcap");
    stream::capture(&datagrams, 2055, be32(&datagrams[0], 8), &path);
    let report = folder.path().join("report.json");
    let output =
        sixtap(&["validate", &path.display().to_string(), "--json", &report.display().to_string()]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let report: Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(super::faults(&report).is_empty(), "{:?}", super::faults(&report));
}

#[test]
fn tshark_reads_every_flow() {
    if !installed("tshark", "NetFlow v9 in tshark") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (datagrams, run) = export(folder.path(), &[]);
    let path = folder.path().join("v9.pcap");
    stream::capture(&datagrams, 2055, be32(&datagrams[0], 8), &path);
    let fields = |arguments: &[&str]| -> String {
        let output = Command::new("tshark")
            .args(["-2", "-r"])
            .arg(&path)
            .args(["-d", "udp.port==2055,cflow"])
            .args(arguments)
            .output()
            .expect("tshark runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let problems = fields(&["-Y", "_ws.malformed or _ws.expert.severity >= warning", "-V"]);
    assert!(problems.is_empty(), "{problems}");
    let packets = fields(&["-T", "fields", "-E", "aggregator=,", "-e", "cflow.packets"]);
    let total: u64 = packets
        .split(['\n', ','])
        .filter(|word| !word.is_empty())
        .map(|word| word.parse::<u64>().expect("a number"))
        .sum();
    assert_eq!(total, sum(&run.records, "packetDeltaCount"));
}

/// A process that is ended when dropped.
struct Running(Child);

impl Running {
    fn end(&mut self) {
        let id = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(id, rustix::process::Signal::INT);
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// Runs nfcapd, meters `capture` into it, and returns nfdump's records.
fn through_nfcapd(capture: &Path, arguments: &[&str]) -> (Vec<Value>, Run) {
    let folder = tempfile::tempdir().unwrap();
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut nfcapd = Running(
        Command::new("nfcapd")
            .arg("-w")
            .arg(folder.path())
            .args(["-b", "127.0.0.1", "-t", "3600", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nfcapd starts"),
    );
    let line = format!(":{port:04X}");
    let table = || std::fs::read_to_string("/proc/net/udp").unwrap_or_default();
    let entry = |table: &str| {
        let mut lines = table.lines().map(|text| text.split_whitespace().collect::<Vec<_>>());
        lines
            .find(|words| words.get(1).is_some_and(|address| address.ends_with(&line)))
            .map(|words| words.get(4).is_some_and(|queues| queues.ends_with(":00000000")))
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while entry(&table()).is_none() {
        assert!(Instant::now() < deadline, "nfcapd does not listen after 20 s");
        std::thread::sleep(Duration::from_millis(50));
    }
    let url = format!("nfv9+udp://127.0.0.1:{port}");
    let run = probe(capture, &[&["-c", &url, "-c", "json:-"], arguments].concat());
    while entry(&table()) == Some(false) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(500));
    nfcapd.end();
    let output = Command::new("nfdump")
        .env("TZ", "UTC")
        .args(["-q", "-o", "json", "-R"])
        .arg(folder.path())
        .output()
        .expect("nfdump runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut records = Vec::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find('{') {
        rest = &rest[at..];
        let mut objects = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        let Some(Ok(object)) = objects.next() else { break };
        rest = &rest[objects.byte_offset()..];
        if object.get("in_packets").is_some() {
            records.push(object);
        }
    }
    (records, run)
}

/// Addresses, ports, protocol, packets, octets and both times of a record, as nfdump names them.
fn as_nfdump_says(record: &Value) -> String {
    let text = |name: &str| record[name].as_str().map(str::to_owned);
    let address = |v6: &str, v4: &str| text(v6).or_else(|| text(v4)).expect("an address");
    let time = |name: &str| text(name).expect("a time").trim_end_matches('Z').to_owned();
    let port = |name: &str| record[name].as_u64().unwrap_or(0);
    format!(
        "{} {} {} {} {} {} {} {} {}",
        address("sourceIPv6Address", "sourceIPv4Address"),
        address("destinationIPv6Address", "destinationIPv4Address"),
        port("sourceTransportPort"),
        port("destinationTransportPort"),
        number(record, "protocolIdentifier"),
        number(record, "packetDeltaCount"),
        number(record, "octetDeltaCount"),
        time("flowStartMilliseconds"),
        time("flowEndMilliseconds"),
    )
}

fn of_nfdump(record: &Value) -> String {
    let text = |name: &str| record[name].as_str().map(str::to_owned);
    let address = |v6: &str, v4: &str| text(v6).or_else(|| text(v4)).expect("an address");
    let count = |name: &str| record[name].as_u64().unwrap_or(0);
    let icmp = record.get("icmp_type").is_some();
    format!(
        "{} {} {} {} {} {} {} {} {}",
        address("src6_addr", "src4_addr"),
        address("dst6_addr", "dst4_addr"),
        if icmp { 0 } else { count("src_port") },
        if icmp { 0 } else { count("dst_port") },
        count("proto"),
        count("in_packets"),
        count("in_bytes"),
        text("first").expect("first"),
        text("last").expect("last"),
    )
}

#[test]
fn nfdump_has_every_flow_to_the_millisecond() {
    if !installed("nfcapd", "NetFlow v9 in nfdump") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (records, run) = through_nfcapd(&suite(folder.path()), &[]);
    assert_eq!(run.status, 0, "{}", run.error);
    let mut expected: Vec<String> = run.records.iter().map(as_nfdump_says).collect();
    let mut seen: Vec<String> = records.iter().map(of_nfdump).collect();
    expected.sort();
    seen.sort();
    assert_eq!(seen.len(), expected.len());
    for (saw, truth) in seen.iter().zip(&expected) {
        assert_eq!(saw, truth);
    }
}

/// nfdump multiplies by the sampling rate that was declared (samplingInterval, samplingAlgorithm).
#[test]
fn nfdump_multiplies_by_the_declared_sampling_rate() {
    if !installed("nfcapd", "sampling in nfdump") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let capture = super::load(folder.path(), 20_000, 200);
    let (records, run) = through_nfcapd(&capture, &["--sample", "10"]);
    assert_eq!(run.status, 0, "{}", run.error);
    let (seen, sampled) = (sum(&records, "in_packets"), sum(&run.records, "packetDeltaCount"));
    assert_eq!(seen, 10 * sampled);
}
