//! Sampling: the ledger accounts for every packet, the rate is declared, and `validate` believes it.

use super::{load, number, probe, show, sixtap, sum};
use serde_json::Value;
use std::path::Path;

const PACKETS: u32 = 50_000;

fn sampled(folder: &Path, how: &str) -> (std::path::PathBuf, std::path::PathBuf, super::Run) {
    let capture = load(folder, PACKETS, 500);
    let file = folder.join("out.ipfix");
    let url = format!("file:{}", file.display());
    let run = probe(&capture, &["--sample", how, "-c", &url, "-c", "json:-"]);
    assert_eq!(run.status, 0, "{}", run.error);
    (capture, file, run)
}

#[test]
fn packets_not_chosen_have_a_line_of_their_own_and_the_ledger_balances() {
    for how in ["10", "random:10"] {
        let folder = tempfile::tempdir().unwrap();
        let (_, _, run) = sampled(folder.path(), how);
        run.balances();
        let capture = &run.ledger["capture"];
        assert_eq!(number(capture, "observed"), u64::from(PACKETS), "{how}");
        assert_eq!(number(capture, "delivered"), u64::from(PACKETS) / 10, "{how}");
        assert_eq!(number(capture, "unsampled"), u64::from(PACKETS) / 10 * 9, "{how}");
        assert_eq!(sum(&run.records, "packetDeltaCount"), u64::from(PACKETS) / 10, "{how}");
        assert_eq!(number(&run.ledger, "lost"), 0, "what sampling passes over is not lost");
    }
}

#[test]
fn the_selector_is_declared_for_psamp_and_for_older_collectors() {
    for (how, algorithm, old, first, second) in [
        ("10", 1, 1, ("samplingPacketInterval", 1), ("samplingPacketSpace", 9)),
        ("random:10", 3, 2, ("samplingSize", 1), ("samplingPopulation", 10)),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (_, file, run) = sampled(folder.path(), how);
        let records = show(&file);
        let with = |name: &str| -> &Value {
            let found = records.iter().rev().find(|record| record.get(name).is_some());
            found.unwrap_or_else(|| panic!("{how}: no record with {name}"))
        };
        let selector = with("selectorAlgorithm");
        assert_eq!(number(selector, "selectorAlgorithm"), algorithm, "{how}");
        assert_eq!(number(selector, first.0), first.1, "{how}");
        assert_eq!(number(selector, second.0), second.1, "{how}");
        assert_eq!(
            number(with("observationPointId"), "selectorId"),
            number(selector, "selectorId")
        );
        let totals = with("selectorIdTotalPktsObserved");
        assert_eq!(number(totals, "selectorIdTotalPktsObserved"), u64::from(PACKETS));
        let delivered = number(&run.ledger["capture"], "delivered");
        assert_eq!(number(totals, "selectorIdTotalPktsSelected"), delivered);
        let older = with("samplingInterval");
        assert_eq!(number(older, "samplingInterval"), 10, "{how}");
        assert_eq!(number(older, "samplingAlgorithm"), old, "{how}");
    }
}

#[test]
fn validate_against_the_traffic_knows_the_declared_rate() {
    for how in ["10", "random:10"] {
        let folder = tempfile::tempdir().unwrap();
        let (capture, file, _) = sampled(folder.path(), how);
        let report = folder.path().join("report.json");
        let words: Vec<String> = [
            "validate",
            &file.display().to_string(),
            "--against",
            &capture.display().to_string(),
            "--json",
            &report.display().to_string(),
        ]
        .map(str::to_owned)
        .to_vec();
        let output = sixtap(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{how}: {text}");
        let report: Value =
            serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
        assert_eq!(report["comparison"]["samplingDeclared"], 10.0, "{how}: {text}");
        let faults = super::faults(&report);
        assert!(faults.is_empty(), "{how}: {faults:?}");
    }
}
