//! Options records hold the ledger's values, at the start of a session and at its end.

use super::{number, probe, show, suite};
use serde_json::Value;
use std::path::Path;

/// Adds a frame whose captured octets end within the IPv6 header.
fn add_cut_frame(capture: &Path) {
    let mut file = std::fs::read(capture).unwrap();
    assert_eq!(file[..4], 0xa1b2_c3d4_u32.to_le_bytes(), "a pcap of this byte order");
    let time = file[24..32].to_vec();
    file.extend_from_slice(&time);
    for length in [24u32, 90] {
        file.extend_from_slice(&length.to_le_bytes());
    }
    file.extend_from_slice(&[2; 12]);
    file.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0, 0, 36, 17, 64, 0x20, 1]);
    std::fs::write(capture, file).unwrap();
}

#[test]
fn statistics_are_the_ledgers() {
    let folder = tempfile::tempdir().unwrap();
    let capture = suite(folder.path());
    add_cut_frame(&capture);
    let file = folder.path().join("out.ipfix");
    let url = format!("file:{}", file.display());
    let run = probe(&capture, &["-c", &url, "--domain", "7", "--domain-name", "edge west"]);
    assert_eq!(run.status, 0, "{}", run.error);
    run.balances();
    let records = show(&file);
    let with = |name: &str| -> Vec<&Value> {
        records.iter().filter(|record| record.get(name).is_some()).collect()
    };
    let collector = run.collector("file:");
    let last = |name: &str| *with(name).last().unwrap_or_else(|| panic!("no record with {name}"));
    let totals = last("exportedFlowRecordTotalCount");
    assert_eq!(number(totals, "exportedFlowRecordTotalCount"), number(collector, "sent"));
    // The message with the totals is not in them.
    assert_eq!(number(totals, "exportedMessageTotalCount"), number(collector, "messages") - 1);
    assert!(number(totals, "exportedOctetTotalCount") < number(collector, "octets"));
    assert_eq!(number(totals, "observationDomainId"), 7);
    let ignored = run.ledger["parse"]["ignored"].as_object().unwrap();
    let packets: u64 = ignored
        .iter()
        .filter(|(reason, _)| *reason != "not_ip")
        .filter_map(|(_, count)| count.as_u64())
        .sum();
    let frames = ignored["not_ip"].as_u64();
    assert!(
        packets == 1 && frames > Some(0),
        "the suite has packets that cannot be metered: {ignored:?}"
    );
    let reliability = last("ignoredPacketTotalCount");
    assert_eq!(number(reliability, "ignoredPacketTotalCount"), packets);
    let octets = number(&run.ledger["parse"], "ignored_octets");
    assert_eq!(octets, 90);
    assert_eq!(number(reliability, "ignoredOctetTotalCount"), octets);
    assert_eq!(reliability["observationTimeMilliseconds"].as_array().map(Vec::len), Some(2));
    let lost = last("notSentFlowTotalCount");
    let sum: u64 =
        ["encode", "queue", "send"].map(|cause| number(&collector["lost"], cause)).iter().sum();
    assert_eq!(number(lost, "notSentFlowTotalCount"), sum);
    assert_eq!(number(lost, "notSentPacketTotalCount"), number(collector, "not_sent_packets"));
    assert_eq!(number(lost, "notSentOctetTotalCount"), number(collector, "not_sent_octets"));
    let domain = last("observationDomainName");
    assert_eq!(domain["observationDomainName"], "edge west");
    assert_eq!(number(domain, "observationDomainId"), 7);
    // At the start of the session and at its end.
    for name in ["exportedFlowRecordTotalCount", "ignoredPacketTotalCount", "notSentFlowTotalCount"]
    {
        assert!(with(name).len() >= 2, "{name}: {} records", with(name).len());
    }
}
