//! The six attacks that flow data must show (Hendriks, Schmidt, de Boer, Pras: "Flow-Based Detection of IPv6-specific
//! Network Layer Attacks", AIMS 2017), as queries over sixtap's JSON records, template `covert`.
//!
//! Each signature is the published one, thresholds included, in the elements that sixtap has for it: `protocolIdentifier`
//! stays the upper layer, and fragments and Hop-by-Hop show in elements of their own. Each must find the crafted attack of
//! its name, and none may find anything in ordinary traffic.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end so")]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Bit of Hop-by-Hop Options in `ipv6ExtensionHeadersFull` (RFC 9740).
const HOP: u64 = 1 << 1;

fn sixtap(arguments: &[&str]) -> Vec<u8> {
    let output =
        Command::new(env!("CARGO_BIN_EXE_sixtap")).args(arguments).output().expect("sixtap runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "sixtap {arguments:?}: {errors}");
    output.stdout
}

/// Crafts what `words` ask for and meters it.
fn records(folder: &Path, words: &[&str]) -> Vec<Value> {
    let capture: PathBuf = folder.join("attack.pcap");
    let capture = capture.to_str().unwrap();
    sixtap(&[&["craft", "-w", capture], words].concat());
    let lines = sixtap(&[
        "probe",
        "-r",
        capture,
        "-c",
        "json:-",
        "--template",
        "covert",
        "--quiet",
        "--stats",
        "none",
    ]);
    String::from_utf8(lines)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn number(record: &Value, name: &str) -> u64 {
    record[name].as_u64().unwrap_or(0)
}

fn text<'a>(record: &'a Value, name: &str) -> &'a str {
    record[name].as_str().unwrap_or("")
}

fn is_fragment(record: &Value) -> bool {
    number(record, "sixtap:fragmentPackets") > 0
}

type Tuple = (String, String, u64, u64, u64);

fn tuple(record: &Value) -> Tuple {
    (
        text(record, "sourceIPv6Address").to_owned(),
        text(record, "destinationIPv6Address").to_owned(),
        number(record, "protocolIdentifier"),
        number(record, "sourceTransportPort"),
        number(record, "destinationTransportPort"),
    )
}

/// Packets, and the distinct values of `name`, by 5-tuple, of the records that `select` takes.
fn by_tuple(
    records: &[Value],
    name: &str,
    select: impl Fn(&Value) -> bool,
) -> BTreeMap<Tuple, (u64, BTreeSet<u64>)> {
    let mut found: BTreeMap<Tuple, (u64, BTreeSet<u64>)> = BTreeMap::new();
    for record in records.iter().filter(|record| select(record)) {
        let entry = found.entry(tuple(record)).or_default();
        entry.0 += number(record, "packetDeltaCount");
        entry.1.insert(number(record, name));
    }
    found
}

/// More than 10 flow labels within one 5-tuple of at least 50 one-packet records.
fn covert_label(records: &[Value]) -> usize {
    by_tuple(records, "flowLabelIPv6", |record| {
        number(record, "packetDeltaCount") == 1
            && number(record, "flowLabelIPv6") > 0
            && !is_fragment(record)
    })
    .values()
    .filter(|(packets, labels)| *packets >= 50 && labels.len() > 10)
    .count()
}

/// More than 10 traffic classes within one 5-tuple of at least 50 packets with a class.
fn covert_class(records: &[Value]) -> usize {
    by_tuple(records, "ipClassOfService", |record| {
        number(record, "ipClassOfService") > 0 && !is_fragment(record)
    })
    .values()
    .filter(|(packets, classes)| *packets >= 50 && classes.len() > 10)
    .count()
}

/// A source with at least 100 labelled packets, each in a record and to a destination of its own.
fn label_flood(records: &[Value]) -> usize {
    let mut sources: BTreeMap<&str, (u64, BTreeSet<&str>, u64)> = BTreeMap::new();
    for record in records {
        if number(record, "flowLabelIPv6") > 0 && !is_fragment(record) {
            let source = sources.entry(text(record, "sourceIPv6Address")).or_default();
            source.0 += number(record, "packetDeltaCount");
            source.1.insert(text(record, "destinationIPv6Address"));
            source.2 += 1;
        }
    }
    sources
        .values()
        .filter(|(packets, destinations, records)| {
            *packets >= 100 && destinations.len() as u64 == *packets && records == packets
        })
        .count()
}

fn milliseconds(record: &Value, name: &str) -> u64 {
    // RFC 3339, all of one day here: the time of day is enough.
    let time = text(record, name).split('T').nth(1).unwrap_or("");
    let parts: Vec<f64> =
        time.trim_end_matches('Z').split(':').filter_map(|part| part.parse().ok()).collect();
    assert_eq!(parts.len(), 3, "{name} in {record}");
    ((parts[0] * 3600.0 + parts[1] * 60.0 + parts[2]) * 1000.0).round() as u64
}

/// At least 500 fragments within 5 s in one flow, or at least 200 one-packet fragment records of one source within 5 s.
fn fragment_flood(records: &[Value]) -> usize {
    let mut found = 0;
    let mut sources: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for record in records.iter().filter(|record| is_fragment(record)) {
        let start = milliseconds(record, "flowStartMilliseconds");
        let end = milliseconds(record, "flowEndMilliseconds");
        if number(record, "sixtap:fragmentPackets") >= 500 && end - start <= 5000 {
            found += 1;
        }
        if number(record, "packetDeltaCount") == 1 {
            sources.entry(text(record, "sourceIPv6Address")).or_default().push(start);
        }
    }
    for times in sources.values_mut() {
        times.sort_unstable();
        found += usize::from(times.windows(200).any(|window| window[199] - window[0] <= 5000));
    }
    found
}

/// More than 10 packets with Hop-by-Hop Options in one 5-tuple; MLD, which has them by rule, is not meant.
fn hop_by_hop_flood(records: &[Value]) -> usize {
    by_tuple(records, "ipv6ExtensionHeadersFull", |record| {
        number(record, "ipv6ExtensionHeadersFull") & HOP != 0
            && number(record, "protocolIdentifier") != 58
    })
    .values()
    .filter(|(packets, _)| *packets > 10)
    .count()
}

/// A fragment at an offset of 1 to 19 units that overlaps: room for nothing but to rewrite the transport header.
fn overlapping_fragments(records: &[Value]) -> usize {
    records
        .iter()
        .filter(|record| {
            (1..20).contains(&number(record, "sixtap:fragmentMinimumOffset"))
                && number(record, "sixtap:fragmentOverlapCount") > 0
        })
        .count()
}

type Signature = fn(&[Value]) -> usize;

const SIGNATURES: [(&str, Signature, &[&str]); 6] = [
    ("covert label", covert_label, &["attack-covert-label"]),
    ("covert class", covert_class, &["attack-covert-class"]),
    ("label flood", label_flood, &["attack-label-flood"]),
    ("fragment flood", fragment_flood, &["attack-fragment-flood", "attack-fragment-flood-spread"]),
    ("Hop-by-Hop flood", hop_by_hop_flood, &["attack-hop-by-hop-flood"]),
    ("overlapping fragments", overlapping_fragments, &["attack-overlap"]),
];

#[test]
fn each_signature_finds_its_attack() {
    let folder = tempfile::tempdir().unwrap();
    for (name, signature, attacks) in SIGNATURES {
        for attack in attacks {
            let records = records(folder.path(), &["--only", attack]);
            assert!(signature(&records) > 0, "{name} does not find {attack}");
        }
    }
}

#[test]
fn no_signature_finds_anything_in_ordinary_traffic() {
    let folder = tempfile::tempdir().unwrap();
    let ordinary: [&[&str]; 2] =
        [&["--only", "ordinary"], &["--profile", "imix", "--packets", "20000", "--flows", "500"]];
    for words in ordinary {
        let records = records(folder.path(), words);
        assert!(!records.is_empty());
        for (name, signature, _) in SIGNATURES {
            assert_eq!(signature(&records), 0, "{name} finds something in {words:?}");
        }
    }
}

/// The overlap rewrites port 80 to 22: the flow keeps the port of the first fragment, and says what was written over it.
#[test]
fn a_rewritten_port_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let records = records(folder.path(), &["--only", "attack-overlap"]);
    let rewritten: Vec<_> = records
        .iter()
        .filter(|record| record["sixtap:fragmentPortsRewritten"] == Value::Bool(true))
        .collect();
    assert_eq!(rewritten.len(), 1);
    assert_eq!(number(rewritten[0], "destinationTransportPort"), 80);
    assert_eq!(number(rewritten[0], "sixtap:fragmentRewrittenDestinationPort"), 22);
}
