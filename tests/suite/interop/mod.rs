//! Debian's collectors on sixtap's stream: nfcapd, tshark, nfacctd and ipfixDump each decode it, their totals equal the
//! capture's, and every field they know has the value that tshark reads in the packets themselves, flow by flow.
//!
//! With `SIXTAP_INTEROP_OUT=FOLDER` each test leaves its comparison there, from which `scripts/interoperability`
//! writes docs/interoperability.md.

#![allow(clippy::panic, reason = "a test fails by panicking")]

mod collectors;
mod flows;
mod stream;
mod truth;

use flows::{Flows, Record, by_key, ie, name, totals};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How one element fared at one collector.
#[derive(Clone, Debug, Default, serde::Serialize)]
struct Tally {
    right: usize,
    wrong: usize,
    absent: usize,
    /// The first flow with another value: "flow: saw X, truth Y".
    sample: Option<String>,
}

type Tallies = BTreeMap<u16, Tally>;

/// Holds what a collector saw against the truth, element by element.
fn compare(truth: &Flows, seen: &Flows) -> Tallies {
    let mut tallies = Tallies::new();
    for (flow, expected) in truth {
        let Some(record) = seen.get(flow) else { continue };
        for (element, value) in expected {
            let tally = tallies.entry(*element).or_default();
            match record.get(element) {
                Some(saw) if saw == value => tally.right += 1,
                Some(saw) => {
                    tally.wrong += 1;
                    tally.sample.get_or_insert(format!("{flow}: saw {saw}, truth {value}"));
                }
                None => tally.absent += 1,
            }
        }
    }
    tallies
}

/// Elements that a collector is known to get wrong by itself, with the reason.
type Excuses = &'static [(u16, &'static str)];

/// Everything said about one collector on one capture.
struct Verdict {
    collector: &'static str,
    complaints: Vec<String>,
    /// Excused elements that were indeed wrong.
    used: Vec<u16>,
}

impl Verdict {
    fn judge(
        collector: &'static str,
        capture: &Path,
        truth: &Flows,
        records: Vec<Record>,
        excuses: Excuses,
    ) -> Self {
        let (mut complaints, mut used) = (Vec::new(), Vec::new());
        let (expected, saw) = (totals(truth.values()), totals(&records));
        if expected != saw {
            complaints.push(format!("packets and octets: saw {saw:?}, truth {expected:?}"));
        }
        let seen = by_key(records);
        let missing = truth.keys().filter(|flow| !seen.contains_key(*flow));
        complaints.extend(missing.map(|flow| format!("missing: {flow}")));
        let unexpected = seen.keys().filter(|flow| !truth.contains_key(*flow));
        complaints.extend(unexpected.map(|flow| format!("unexpected: {flow}")));
        let tallies = compare(truth, &seen);
        for (element, tally) in &tallies {
            let Some(sample) = &tally.sample else { continue };
            if excuses.iter().any(|(excused, _)| excused == element) {
                used.push(*element);
                continue;
            }
            complaints.push(format!(
                "{} ({element}) wrong in {} of {} flows, {sample}",
                name(*element),
                tally.wrong,
                tally.wrong + tally.right
            ));
        }
        leave(collector, capture, &tallies, truth.len());
        Self { collector, complaints, used }
    }
}

/// Writes the comparison where `scripts/interoperability` finds it.
fn leave(collector: &str, capture: &Path, tallies: &Tallies, flows: usize) {
    let Ok(folder) = std::env::var("SIXTAP_INTEROP_OUT") else { return };
    let stem = capture.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let named: BTreeMap<u16, (&str, &Tally)> =
        tallies.iter().map(|(element, tally)| (*element, (name(*element), tally))).collect();
    let document = serde_json::json!({
        "collector": collector, "capture": stem, "flows": flows, "elements": named,
    });
    let place = PathBuf::from(folder).join(format!("{collector}-{stem}.json"));
    std::fs::write(&place, document.to_string()).expect("SIXTAP_INTEROP_OUT is writable");
}

/// Captures of the corpus that hold what ordinary networks carry, each with something of IPv6 in it.
const CORPUS: &[&str] = &[
    "ipv6/zeek/testing_btest_Traces_ftp_ipv6-retr-samba.pcap",
    "ipv6/zeek/testing_btest_Traces_dns_mdns.pcap",
    "ipv6/zeek/testing_btest_Traces_ipv6-fragmented-dns.pcap",
    "ipv6/zeek/testing_btest_Traces_ipv6-http-atomic-frag.pcap",
    "ipv6/zeek/testing_btest_Traces_icmp_icmp6-ping.pcap",
    "mixed/PcapPlusPlus/Tests_ExamplesTest_pcap_examples_tls2.pcap",
];

/// Captures to compare on, with their truth: crafted ones always, those of the corpus where it is.
fn captures(test: &str, folder: &Path) -> Vec<(PathBuf, Flows)> {
    let (crafted, truth) = stream::craft(folder);
    let mut captures = vec![(crafted, truth::crafted(&truth))];
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    if !corpus.exists() {
        println!("not run: {test} on real captures: the corpus is missing at {}", corpus.display());
    } else if !collectors::installed("tshark", &format!("{test} on real captures")) {
    } else {
        let paths = CORPUS.iter().map(|name| corpus.join(name));
        captures.extend(paths.map(|path| (path.clone(), truth::of(&path))));
    }
    captures
}

/// Runs `judge` on every capture, with its truth. An excuse that no capture needs is a failure too.
fn on_every_capture(
    test: &str,
    programs: &[&str],
    excuses: impl Fn() -> Excuses,
    judge: impl Fn(&Path, &Flows, Excuses) -> Vec<Verdict>,
) {
    if !programs.iter().all(|program| collectors::installed(program, test)) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let excuses = excuses();
    let mut used = Vec::new();
    for (capture, truth) in captures(test, folder.path()) {
        assert!(!truth.is_empty(), "{}: no flow in it", capture.display());
        for verdict in judge(&capture, &truth, excuses) {
            assert!(
                verdict.complaints.is_empty(),
                "{} on {}:\n  {}",
                verdict.collector,
                capture.display(),
                verdict.complaints.iter().take(40).cloned().collect::<Vec<_>>().join("\n  ")
            );
            used.extend(verdict.used);
        }
    }
    for (element, reason) in excuses {
        let name = name(*element);
        assert!(used.contains(element), "{test}: {name} is right, but was excused: {reason}");
    }
}

#[test]
fn nfcapd_and_nfdump() {
    on_every_capture(
        "interop with nfdump",
        &["nfcapd", "nfdump"],
        collectors::nfdump_excuses,
        |capture, truth, excuses| {
            let collector = collectors::Nfcapd::start();
            stream::replay(&stream::export(capture), collector.port, collectors::wait_until_read);
            let (records, said) = collector.finish();
            let mut verdict = Verdict::judge("nfdump", capture, truth, records, excuses);
            if !said.contains("Sequence Errors: 0") {
                verdict.complaints.push(format!("sequence: {}", last_lines(&said)));
            }
            vec![verdict]
        },
    );
}

#[test]
fn nfacctd() {
    on_every_capture(
        "interop with pmacct",
        &["nfacctd"],
        collectors::nfacctd_excuses,
        |capture, truth, excuses| {
            let collector = collectors::Nfacctd::start();
            stream::replay(&stream::export(capture), collector.port, collectors::wait_until_read);
            let (records, said) = collector.finish(totals(truth.values()).0);
            let mut verdict = Verdict::judge("nfacctd", capture, truth, records, excuses);
            let troubles = said.lines().filter(|line| line.starts_with("ERROR"));
            verdict.complaints.extend(troubles.map(str::to_owned));
            vec![verdict]
        },
    );
}

#[test]
fn tshark() {
    on_every_capture(
        "interop with tshark",
        &["tshark"],
        || &[],
        |capture, truth, excuses| {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let file =
                stream::write_capture(&stream::export(capture), folder.path().join("export.pcap"));
            let (records, complaints) = collectors::tshark(&file.expect("writable"));
            let mut verdict = Verdict::judge("tshark", capture, truth, records, excuses);
            verdict.complaints.extend(complaints);
            vec![verdict]
        },
    );
}

#[test]
fn ipfix_dump() {
    on_every_capture(
        "interop with libfixbuf",
        &["ipfixDump"],
        || &[],
        |capture, truth, excuses| {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let direct = folder.path().join("direct.ipfix");
            stream::probe(capture, &[format!("file:{}", direct.display())]);
            let received =
                stream::write_file(&stream::export(capture), folder.path().join("received.ipfix"));
            [("ipfixDump", received.expect("writable")), ("ipfixDump-file", direct)]
                .into_iter()
                .map(|(collector, file)| {
                    let (records, said) = collectors::ipfix_dump(&file);
                    let mut verdict = Verdict::judge(collector, capture, truth, records, excuses);
                    verdict.complaints.extend(said.lines().map(str::to_owned));
                    verdict
                })
                .collect()
        },
    );
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().rev().take(4).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
}

#[test]
fn a_wrong_value_is_seen() {
    let record = |label: &str, octets: &str| -> Record {
        [
            (ie::SOURCE_V6, "2001:db8::1"),
            (ie::DESTINATION_V6, "2001:db8::2"),
            (ie::PROTOCOL, "59"),
            (ie::FLOW_LABEL, label),
            (ie::OCTETS, octets),
            (ie::PACKETS, "1"),
        ]
        .into_iter()
        .map(|(element, value)| (element, value.to_owned()))
        .collect()
    };
    let truth = by_key([record("74565", "40")]);
    let capture = Path::new("made-up");
    let judge = |records| Verdict::judge("nobody", capture, &truth, records, &[]).complaints.len();
    assert_eq!(judge(vec![record("74565", "40")]), 0);
    assert_eq!(judge(vec![record("1", "40")]), 1, "another label");
    assert_eq!(judge(vec![record("74565", "41")]), 2, "another total, another value");
    assert_eq!(judge(vec![]), 2, "no packets, a missing flow");
    let excuse: Excuses = &[(ie::FLOW_LABEL, "made-up")];
    let excused = Verdict::judge("nobody", capture, &truth, vec![record("1", "40")], excuse);
    assert_eq!((excused.complaints, excused.used), (Vec::new(), vec![ie::FLOW_LABEL]));
    let stale = Verdict::judge("nobody", capture, &truth, vec![record("74565", "40")], excuse);
    assert_eq!(stale.used, Vec::<u16>::new(), "an excuse that was not needed");
}
