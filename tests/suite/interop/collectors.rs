//! Debian's collectors, each driven to the point where it says what records it has seen.
//!
//! Every process is ended by its own id, also when a test panics ([`Running`]).

use crate::interop::flows::{Record, ie, totals};
use serde_json::Value;
use std::fs;
use std::io::Read as _;
use std::net::{Ipv6Addr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Whether `program` can be started at all; says so by name when not.
pub(crate) fn installed(program: &str, test: &str) -> bool {
    let found = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/bin", "/sbin"]
        .iter()
        .any(|folder| Path::new(folder).join(program).exists());
    if !found {
        println!("not run: {test}: {program} is not installed");
    }
    found
}

/// A process that is ended when dropped.
pub(crate) struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self(child)
    }

    /// Asks the process to end and waits for it; returns what it wrote.
    fn end(mut self) -> String {
        self.signal();
        let mut said = String::new();
        if let Some(mut pipe) = self.0.stdout.take() {
            let _ = pipe.read_to_string(&mut said);
        }
        if let Some(mut pipe) = self.0.stderr.take() {
            let _ = pipe.read_to_string(&mut said);
        }
        let _ = self.0.wait();
        said
    }

    fn signal(&mut self) {
        let id = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(id, rustix::process::Signal::INT);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            self.signal();
            thread::sleep(Duration::from_millis(500));
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// A UDP port nobody listens on at this moment.
pub(crate) fn free_port() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.local_addr().expect("bound").port()
}

/// Waits until somebody has bound `port`.
fn wait_for_listener(port: u16) {
    let suffix = format!(":{port:04X}");
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        let table = fs::read_to_string("/proc/net/udp").unwrap_or_default();
        if table
            .lines()
            .any(|line| line.split_whitespace().nth(1).is_some_and(|a| a.ends_with(&suffix)))
        {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("nobody listens on UDP port {port} after 20 s");
}

/// Waits until the receive queue of `port` is empty.
pub(crate) fn wait_until_read(port: u16) {
    let suffix = format!(":{port:04X}");
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        let table = fs::read_to_string("/proc/net/udp").unwrap_or_default();
        let queued = table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .filter(|words| words.len() > 4 && words[1].ends_with(&suffix))
            .any(|words| !words[4].ends_with(":00000000"));
        if !queued {
            return;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Time for a collector to do something with the last datagram it has read.
const DIGEST: Duration = Duration::from_millis(500);

fn put(record: &mut Record, element: u16, value: &Value) {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    record.insert(element, text);
}

/// nfcapd listening on loopback, and nfdump to read what it wrote.
pub(crate) struct Nfcapd {
    process: Running,
    folder: tempfile::TempDir,
    pub(crate) port: u16,
}

impl Nfcapd {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        let process =
            Running::start(Command::new("nfcapd").args(["-w"]).arg(folder.path()).args([
                "-b",
                "127.0.0.1",
                "-t",
                "3600",
                "-p",
                &port.to_string(),
            ]));
        wait_for_listener(port);
        Self { process, folder, port }
    }

    /// The records, and what nfcapd said.
    pub(crate) fn finish(self) -> (Vec<Record>, String) {
        wait_until_read(self.port);
        thread::sleep(DIGEST);
        let said = self.process.end();
        let output = Command::new("nfdump")
            .env("TZ", "UTC")
            .args(["-q", "-o", "json", "-R"])
            .arg(self.folder.path())
            .output()
            .expect("nfdump runs");
        let text = String::from_utf8_lossy(&output.stdout);
        let records = objects(&text)
            .iter()
            .filter(|object| object.get("in_packets").is_some())
            .map(nfdump_record)
            .collect();
        (records, said)
    }
}

/// Every JSON object in `text`, whatever stands between them: nfdump's versions differ in brackets and commas.
fn objects(text: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        rest = &rest[at..];
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        match stream.next() {
            Some(Ok(value)) => {
                found.push(value);
                rest = &rest[stream.byte_offset()..];
            }
            _ => return found,
        }
    }
    found
}

fn nfdump_record(object: &Value) -> Record {
    let mut record = Record::new();
    for (field, element) in [
        ("in_packets", ie::PACKETS),
        ("in_bytes", ie::OCTETS),
        ("proto", ie::PROTOCOL),
        ("src_port", ie::SOURCE_PORT),
        ("dst_port", ie::DESTINATION_PORT),
        ("src_tos", ie::CLASS),
        ("src6_addr", ie::SOURCE_V6),
        ("dst6_addr", ie::DESTINATION_V6),
        ("src4_addr", ie::SOURCE_V4),
        ("dst4_addr", ie::DESTINATION_V4),
        ("src_vlan", ie::VLAN),
        ("min_ttl", ie::TTL_MINIMUM),
        ("max_ttl", ie::TTL_MAXIMUM),
    ] {
        if let Some(value) = object.get(field) {
            put(&mut record, element, value);
        }
    }
    if let (Some(kind), Some(code)) = (number(object, "icmp_type"), number(object, "icmp_code")) {
        let element = if record.contains_key(&ie::SOURCE_V6) { ie::ICMP_V6 } else { ie::ICMP_V4 };
        record.insert(element, (kind << 8 | code).to_string());
    }
    for (field, element) in [("first", ie::START), ("last", ie::END)] {
        if let Some(time) = object.get(field).and_then(Value::as_str).and_then(milliseconds) {
            record.insert(element, time.to_string());
        }
    }
    if record.get(&ie::PROTOCOL).is_some_and(|protocol| protocol == "6")
        && let Some(flags) = object.get("tcp_flags").and_then(Value::as_str)
    {
        let bits = "FSRPAUEC"
            .chars()
            .enumerate()
            .filter(|(_, letter)| flags.contains(*letter))
            .map(|(bit, _)| 1_u32 << bit)
            .sum::<u32>();
        record.insert(ie::TCP_FLAGS, bits.to_string());
    }
    record
}

fn number(object: &Value, field: &str) -> Option<u64> {
    let value = object.get(field)?;
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// "2026-11-23T23:27:16.292" or with a space, in UTC, to milliseconds since the epoch.
pub(crate) fn milliseconds(text: &str) -> Option<u64> {
    let numbers: Vec<i64> = text
        .trim_end_matches('Z')
        .split(['-', 'T', ' ', ':', '.'])
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    let [year, month, day, hour, minute, second, fraction] = numbers.as_slice() else {
        return None;
    };
    // Days from the civil calendar, counted from March so that the leap day is the last of its year.
    let (year, month) = if *month <= 2 { (year - 1, month + 12) } else { (*year, *month) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * (month - 3) + 2) / 5 + day
        - 719_469;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    u64::try_from(seconds * 1000 + fraction).ok()
}

/// nfacctd listening on loopback, its print plug-in and primitives of ours for what it does not know by itself.
pub(crate) struct Nfacctd {
    process: Running,
    folder: tempfile::TempDir,
    pub(crate) port: u16,
}

/// Element, length and name of the primitives that pmacct has to be told of.
const PRIMITIVES: &[(u16, usize, &str)] = &[
    (ie::FLOW_LABEL, 4, "label6"),
    (ie::ICMP_V4, 2, "icmp4"),
    (ie::TTL_MINIMUM, 1, "ttlmin"),
    (ie::TTL_MAXIMUM, 1, "ttlmax"),
    (ie::IDENTIFICATION, 4, "fragid"),
    (ie::IP_VERSION, 1, "ipversion"),
    (ie::EXTENSION_HEADERS, 4, "exthdr"),
    (ie::FRAGMENT_OFFSET, 2, "fragoff"),
    (ie::ICMP_V6, 2, "icmp6"),
    (ie::NEXT_HEADER, 1, "nexthdr"),
];

impl Nfacctd {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        let place = |name: &str| folder.path().join(name).display().to_string();
        let mut primitives = String::new();
        let mut names = String::new();
        for (element, length, name) in PRIMITIVES {
            primitives +=
                &format!("name={name} field_type={element} len={length} semantics=u_int\n");
            names += &format!(", {name}");
        }
        fs::write(place("primitives"), primitives).expect("writable");
        let configuration = format!(
            "daemonize: false\nplugins: print\nnfacctd_ip: 127.0.0.1\nnfacctd_port: {port}\n\
             aggregate_primitives: {}\n\
             aggregate: src_host, dst_host, src_port, dst_port, proto, tos, tcpflags, vlan, \
             timestamp_start, timestamp_end{names}\n\
             print_output: json\nprint_output_file: {}\nprint_output_file_append: true\nprint_refresh_time: 2\n\
             print_cache_entries: 16411\n\
             nfacctd_time_new: false\ntimestamps_since_epoch: true\n",
            place("primitives"),
            place("out.json"),
        );
        fs::write(place("nfacctd.conf"), configuration).expect("writable");
        let process = Running::start(
            Command::new("nfacctd").env("TZ", "UTC").args(["-f", &place("nfacctd.conf")]),
        );
        wait_for_listener(port);
        Self { process, folder, port }
    }

    /// The records, once their packets are `expected` or 20 s have passed; and what nfacctd said.
    pub(crate) fn finish(self, expected: u64) -> (Vec<Record>, String) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while totals(&self.records()).0 < expected && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(100));
        }
        // What is still in the cache now is more than there should be.
        let file = self.folder.path().join("out.json");
        let said = self.process.end();
        (nfacctd_records(&file), said)
    }

    fn records(&self) -> Vec<Record> {
        nfacctd_records(&self.folder.path().join("out.json"))
    }
}

fn nfacctd_records(file: &Path) -> Vec<Record> {
    let text = fs::read_to_string(file).unwrap_or_default();
    objects(&text)
        .iter()
        .filter(|object| object.get("packets").is_some())
        .map(nfacctd_record)
        .collect()
}

/// Number of a protocol that pmacct names in words (`ipv6-icmp`) where it has one.
fn protocol(name: &str) -> String {
    // Debian's netbase calls it so.
    let name = if name == "ipencap" { "IPv4" } else { name };
    include_str!("../../../ie-registry/protocol-numbers.csv")
        .lines()
        .filter_map(|line| {
            let mut columns = line.split(',');
            Some((columns.next()?, columns.next()?))
        })
        .find(|(_, known)| known.eq_ignore_ascii_case(name))
        .map_or(name, |(number, _)| number)
        .to_owned()
}

/// What nfdump gets wrong by itself.
pub(crate) fn nfdump_excuses() -> &'static [(u16, &'static str)] {
    &[(ie::TCP_FLAGS, "keeps the lower eight of twelve flags")]
}

/// What nfacctd of this version gets wrong by itself.
pub(crate) fn nfacctd_excuses() -> &'static [(u16, &'static str)] {
    let output = Command::new("nfacctd").arg("-V").output().expect("nfacctd runs");
    if String::from_utf8_lossy(&output.stdout).contains(" 1.7.7") {
        &[(ie::TCP_FLAGS, "1.7.7 reads the first of two octets; 1.7.8 reads both")]
    } else {
        &[]
    }
}

fn nfacctd_record(object: &Value) -> Record {
    let mut record = Record::new();
    let v6 = object.get("ip_src").and_then(Value::as_str).is_some_and(|text| text.contains(':'));
    let (source, destination) =
        if v6 { (ie::SOURCE_V6, ie::DESTINATION_V6) } else { (ie::SOURCE_V4, ie::DESTINATION_V4) };
    for (field, element) in [
        ("packets", ie::PACKETS),
        ("bytes", ie::OCTETS),
        ("port_src", ie::SOURCE_PORT),
        ("port_dst", ie::DESTINATION_PORT),
        ("tos", ie::CLASS),
        ("ip_src", source),
        ("ip_dst", destination),
        ("vlan", ie::VLAN),
        ("vlan_in", ie::VLAN),
        ("tcp_flags", ie::TCP_FLAGS),
    ] {
        if let Some(value) = object.get(field) {
            put(&mut record, element, value);
        }
    }
    if let Some(name) = object.get("ip_proto").and_then(Value::as_str) {
        record.insert(ie::PROTOCOL, protocol(name));
    }
    let icmp = if v6 { ie::ICMP_V4 } else { ie::ICMP_V6 };
    for (element, _, name) in PRIMITIVES.iter().filter(|(element, _, _)| *element != icmp) {
        if let Some(value) = object.get(*name) {
            put(&mut record, *element, value);
        }
    }
    for (field, element) in [("timestamp_start", ie::START), ("timestamp_end", ie::END)] {
        let text =
            object.get(field).map(|value| value.as_str().map_or(value.to_string(), str::to_owned));
        if let Some((seconds, fraction)) = text.as_deref().and_then(|text| text.split_once('.')) {
            let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
            record.insert(element, format!("{seconds}{thousandths}"));
        }
    }
    record
}

/// The records that ipfixDump finds in an IPFIX file, and its complaints.
pub(crate) fn ipfix_dump(file: &Path) -> (Vec<Record>, String) {
    let output = Command::new("ipfixDump")
        .env("TZ", "UTC")
        .args(["--rfc5610", "--data", "--in"])
        .arg(file)
        .output()
        .expect("ipfixDump runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut records = Vec::new();
    let mut options = false;
    for line in text.lines() {
        if line.starts_with("---") {
            options = line.contains("option") || line.contains("template");
            if line.contains("data record") && !options {
                records.push(Record::new());
            }
            continue;
        }
        // "	(31)                       flowLabelIPv6 : 74565"
        let Some((number, rest)) =
            line.trim().strip_prefix('(').and_then(|text| text.split_once(')'))
        else {
            continue;
        };
        let (Ok(element), Some((_, value))) = (number.parse::<u16>(), rest.split_once(" : "))
        else {
            continue;
        };
        let Some(record) = records.last_mut().filter(|_| !options) else { continue };
        let value = value.trim();
        let text = match element {
            ie::SOURCE_V6 | ie::DESTINATION_V6 => value
                .parse::<Ipv6Addr>()
                .map_or_else(|_| value.to_owned(), |address| address.to_string()),
            ie::START | ie::END => {
                milliseconds(value).map_or_else(|| value.to_owned(), |time| time.to_string())
            }
            _ => value.strip_prefix("0x").map_or_else(
                || value.to_owned(),
                |digits| {
                    u64::from_str_radix(digits, 16)
                        .map_or_else(|_| value.to_owned(), |v| v.to_string())
                },
            ),
        };
        record.insert(element, text);
    }
    records.retain(|record| record.contains_key(&ie::PACKETS));
    (records, String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Names in tshark's cflow dissector, and the element each shows.
const CFLOW: &[(&str, u16)] = &[
    ("cflow.srcaddrv6", ie::SOURCE_V6),
    ("cflow.dstaddrv6", ie::DESTINATION_V6),
    ("cflow.srcaddr", ie::SOURCE_V4),
    ("cflow.dstaddr", ie::DESTINATION_V4),
    ("cflow.srcport", ie::SOURCE_PORT),
    ("cflow.dstport", ie::DESTINATION_PORT),
    ("cflow.protocol", ie::PROTOCOL),
    ("cflow.ipv6_next_hdr", ie::NEXT_HEADER),
    ("cflow.ipv6flowlabel", ie::FLOW_LABEL),
    ("cflow.tos", ie::CLASS),
    ("cflow.tcpflags", ie::TCP_FLAGS),
    ("cflow.ttl_min", ie::TTL_MINIMUM),
    ("cflow.ttl_max", ie::TTL_MAXIMUM),
    ("cflow.octets", ie::OCTETS),
    ("cflow.packets", ie::PACKETS),
    ("cflow.length_min", ie::LENGTH_MINIMUM),
    ("cflow.length_max", ie::LENGTH_MAXIMUM),
    ("cflow.vlanid", ie::VLAN),
    ("cflow.ip_version", ie::IP_VERSION),
    ("cflow.ipv6_exthdr", ie::EXTENSION_HEADERS),
    ("cflow.frag_ident", ie::IDENTIFICATION),
    ("cflow.fragment_offset", ie::FRAGMENT_OFFSET),
    ("cflow.ip_fragment_flags", ie::FRAGMENT_FLAGS),
    ("cflow.icmp_ipv6_type", ie::ICMP_TYPE_V6),
    ("cflow.icmp_ipv6_code", ie::ICMP_CODE_V6),
    ("cflow.icmp_ipv4_type", ie::ICMP_TYPE_V4),
    ("cflow.icmp_ipv4_code", ie::ICMP_CODE_V4),
    ("cflow.abstimestart", ie::START),
    ("cflow.abstimeend", ie::END),
];

/// What tshark makes of a capture of export datagrams: the records, and its complaints (malformed, sequence, length).
pub(crate) fn tshark(capture: &Path) -> (Vec<Record>, Vec<String>) {
    let output = Command::new("tshark")
        .env("TZ", "UTC")
        .args(["-n", "-d", "udp.port==4739,cflow", "-T", "pdml", "-r"])
        .arg(capture)
        .output()
        .expect("tshark runs");
    let mut records: Vec<Record> = Vec::new();
    let mut complaints = Vec::new();
    let mut inside = false;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let attribute = |name: &str| {
            let from = line.find(&format!("{name}=\""))? + name.len() + 2;
            line[from..].split('"').next()
        };
        let (field, shown) = (attribute(" name").unwrap_or(""), attribute(" show").unwrap_or(""));
        if field.starts_with("_ws.malformed")
            || field.starts_with("_ws.expert.message")
            || field == "cflow.unexpected_sequence"
        {
            complaints.push(attribute(" showname").unwrap_or(shown).to_owned());
        }
        if field == "_ws.malformed" || line.contains("proto name=\"_ws.malformed\"") {
            complaints.push("malformed".to_owned());
        }
        if field.is_empty() && shown.starts_with("Flow ") {
            records.push(Record::new());
            inside = true;
        } else if field == "cflow.flowset_id" {
            inside = false;
        }
        let Some((_, element)) = CFLOW.iter().find(|(name, _)| *name == field) else { continue };
        let Some(record) = records.last_mut().filter(|_| inside) else { continue };
        let value = match attribute(" value") {
            // Times and flags are shown in words; their octets are plain.
            Some(octets)
                if !matches!(
                    *element,
                    ie::SOURCE_V6 | ie::DESTINATION_V6 | ie::SOURCE_V4 | ie::DESTINATION_V4
                ) =>
            {
                u64::from_str_radix(octets, 16).map_or_else(|_| shown.to_owned(), |v| v.to_string())
            }
            _ => shown.to_owned(),
        };
        record.entry(*element).or_insert(value);
    }
    for record in &mut records {
        for (kind, code, both) in [
            (ie::ICMP_TYPE_V6, ie::ICMP_CODE_V6, ie::ICMP_V6),
            (ie::ICMP_TYPE_V4, ie::ICMP_CODE_V4, ie::ICMP_V4),
        ] {
            let part =
                |element| record.get(element).and_then(|text: &String| text.parse::<u64>().ok());
            if let (Some(kind), Some(code)) = (part(&kind), part(&code)) {
                record.insert(both, (kind << 8 | code).to_string());
            }
        }
    }
    records.retain(|record| record.contains_key(&ie::PACKETS));
    (records, complaints)
}
