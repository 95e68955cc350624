//! The crafted cases through the probe, and through tshark.
//!
//! The truth was written down by each case from what it meant to send. So three are held to each other here that share
//! no code: what the cases say, what the meter exports, and what tshark reads.

use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

type Record = Map<String, Value>;

fn sixtap(words: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_sixtap")).args(words).output().expect("sixtap");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "sixtap {}: {errors}", words.join(" "));
    output
}

/// Every case: the capture file in `folder`, and the truth.
fn crafted(folder: &Path) -> (String, Vec<Value>) {
    let capture = folder.join("cases.pcap").display().to_string();
    let truth = sixtap(&["craft", "-w", &capture, "--truth", "-", "--only", "all"]);
    let truth: Value = serde_json::from_slice(&truth.stdout).expect("JSON");
    (capture, truth["cases"].as_array().expect("cases").clone())
}

fn exported(capture: &str, more: &[&str]) -> Vec<Record> {
    let output = sixtap(&[&["probe", "-r", capture, "-c", "json:-"], more].concat());
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// What tells flow records apart here: the times do where the rest does not.
const KEY: &[&str] = &[
    "sourceIPv6Address",
    "destinationIPv6Address",
    "sourceIPv4Address",
    "destinationIPv4Address",
    "protocolIdentifier",
    "flowStartMilliseconds",
];

fn find<'r>(records: &'r [Record], flow: &Record, key: &[&str]) -> Vec<&'r Record> {
    let alike = |record: &&Record| key.iter().all(|name| record.get(*name) == flow.get(*name));
    records.iter().filter(alike).collect()
}

/// Elements that must not have a value when the truth has none.
const NOT_MADE_UP: &[&str] = &[
    "sourceTransportPort",
    "destinationTransportPort",
    "icmpTypeCodeIPv6",
    "icmpTypeCodeIPv4",
    "tcpControlBits",
    "IPSecSPI",
    "fragmentIdentification",
];

/// Every difference between a flow's truth and the one record of it. `seen` collects the elements that were there.
fn compare(
    name: &str,
    flow: &Record,
    records: &[Record],
    key: &[&str],
    seen: &mut BTreeSet<String>,
    wrong: &mut Vec<String>,
) {
    let [record] = find(records, flow, key)[..] else {
        wrong.push(format!("{name}: {} records", find(records, flow, key).len()));
        return;
    };
    for (element, value) in flow {
        match record.get(element) {
            Some(exported) if exported == value => _ = seen.insert(format!("{name} {element}")),
            Some(exported) => {
                wrong.push(format!("{name}: {element} is {exported}, should be {value}"));
            }
            None => {}
        }
    }
    for element in NOT_MADE_UP {
        let exported = record.get(*element).and_then(Value::as_u64).unwrap_or(0);
        if exported != 0 && !flow.contains_key(*element) {
            wrong.push(format!("{name}: {element} is {exported}, should not be there"));
        }
    }
}

fn flows<'v>(case: &'v Value, which: &str) -> impl Iterator<Item = &'v Record> {
    case[which].as_array().into_iter().flatten().filter_map(Value::as_object)
}

fn name(case: &Value) -> &str {
    case["name"].as_str().expect("name")
}

#[test]
fn the_probe_exports_the_truth() {
    let folder = tempfile::tempdir().expect("folder");
    let (capture, cases) = crafted(folder.path());
    // No one template has all: `full` has lists in place of some elements.
    let exports = ["default", "full"].map(|preset| exported(&capture, &["--template", preset]));
    let (mut seen, mut wrong, mut count) = (BTreeSet::new(), Vec::new(), 0);
    for case in &cases {
        for flow in flows(case, "flows") {
            count += 1;
            for records in &exports {
                compare(name(case), flow, records, KEY, &mut seen, &mut wrong);
            }
        }
    }
    for case in &cases {
        for element in flows(case, "flows").flat_map(Record::keys) {
            if !seen.contains(&format!("{} {element}", name(case))) {
                wrong.push(format!("{}: {element} is in neither template", name(case)));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for records in &exports {
        assert_eq!(records.len(), count, "flows that no case meant");
    }
}

#[test]
fn the_probe_finds_what_tunnels_carry() {
    let folder = tempfile::tempdir().expect("folder");
    let (capture, cases) = crafted(folder.path());
    let records = exported(&capture, &["--template", "full", "--tunnel", "inner"]);
    let (mut seen, mut wrong) = (BTreeSet::new(), Vec::new());
    // The same addresses may be in two networks.
    let key = [&KEY[..5], &["sixtap:tunnelIdentifier"]].concat();
    for case in &cases {
        for flow in flows(case, "innerFlows") {
            compare(name(case), flow, &records, &key, &mut seen, &mut wrong);
            for element in flow.keys() {
                if !seen.contains(&format!("{} {element}", name(case))) {
                    wrong.push(format!("{}: {element} is not there", name(case)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen.len() > 100, "{}", seen.len());
}

fn tshark(capture: &str, filter: &str, fields: &[&str]) -> Option<Vec<Vec<String>>> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-r", capture, "-Y", filter, "-T", "fields"]);
    for checked in ["ip", "tcp", "udp"] {
        command.args(["-o", &format!("{checked}.check_checksum:TRUE")]);
    }
    command.args(["-o", "sctp.checksum:crc32c"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => {
            eprintln!("not run: tshark is missing ({error})");
            return None;
        }
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "tshark: {errors}");
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(lines.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
}

#[test]
fn tshark_finds_no_wrong_checksum_and_nothing_malformed() {
    let folder = tempfile::tempdir().expect("folder");
    let (capture, cases) = crafted(folder.path());
    let protocols =
        ["ip", "tcp", "udp", "icmp", "icmpv6", "sctp", "dccp", "mip6", "hip", "udplite"];
    let filter = protocols.map(|protocol| format!("{protocol}.checksum.status == 0")).join(" || ");
    let filter = format!("_ws.malformed || {filter}");
    // Not every version knows a status for every protocol: those it does not know are left out, by name.
    let known: Vec<String> = filter
        .split(" || ")
        .filter(|one| {
            let known = Command::new("tshark")
                .args(["-r", &capture, "-c", "1", "-Y", one])
                .output()
                .is_ok_and(|output| output.status.success());
            if !known {
                eprintln!("tshark does not know {one}");
            }
            known
        })
        .map(str::to_owned)
        .collect();
    let Some(frames) = tshark(&capture, &known.join(" || "), &["frame.number", "_ws.col.Info"])
    else {
        return;
    };
    assert!(known.len() > 6, "{known:?}");
    // A case that says that its packets are not valid may be called malformed.
    let (mut invalid, mut before) = (Vec::new(), 0);
    for case in &cases {
        let count = case["frames"].as_u64().expect("frames");
        if case.get("invalid").is_some() {
            invalid.push(before + 1..=before + count);
        }
        before += count;
    }
    let excused = |frame: &Vec<String>| {
        let number: u64 = frame[0].parse().expect("a number");
        invalid.iter().any(|frames| frames.contains(&number))
    };
    let frames: Vec<_> = frames.into_iter().filter(|frame| !excused(frame)).collect();
    assert!(frames.is_empty(), "{frames:?} of {} cases", cases.len());
    // The check can fail: one octet changed in the capture is found.
    let mut octets = std::fs::read(&capture).expect("capture");
    octets[24 + 16 + 14 + 40 + 20] ^= 1;
    std::fs::write(&capture, octets).expect("capture");
    let mut frames = tshark(&capture, &known.join(" || "), &["frame.number"]).expect("tshark");
    frames.retain(|frame| !excused(frame));
    assert_eq!(frames, [["1"]]);
}

/// The first frame of each case of one flow: addresses, label, class and hop limit.
#[test]
fn tshark_reads_the_fixed_header_as_it_was_meant() {
    let folder = tempfile::tempdir().expect("folder");
    let (capture, cases) = crafted(folder.path());
    let fields = ["frame.number", "ipv6.src", "ipv6.flow", "ipv6.tclass", "ipv6.hlim", "ipv6.nxt"];
    let Some(frames) = tshark(&capture, "ipv6", &fields) else { return };
    let number = |text: &str| {
        let text = text.split(',').next().unwrap_or(text);
        match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        }
    };
    let (mut before, mut compared) = (0, 0);
    for case in &cases {
        let first = before + 1;
        before += case["frames"].as_u64().expect("frames");
        let Some(flow) = flows(case, "flows").next() else { continue };
        let Some(source) = flow.get("sourceIPv6Address").and_then(Value::as_str) else { continue };
        let frame = frames.iter().find(|frame| number(&frame[0]) == Some(first)).expect("frame");
        assert_eq!(frame[1].split(',').next(), Some(source), "{}", name(case));
        let elements = ["flowLabelIPv6", "ipClassOfService", "ipTTL", "nextHeaderIPv6"];
        for (element, field) in elements.iter().zip(&frame[2..]) {
            assert_eq!(flow[*element].as_u64(), number(field), "{}: {element}", name(case));
        }
        compared += 1;
    }
    assert!(compared > 80, "{compared}");
}
