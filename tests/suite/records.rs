//! What `sixtap probe` writes agrees with the reference, record by record and element by element, on every capture of the corpus
//! and on every crafted case.
//!
//! The whole way is compared: reader, meter, export with its templates, and JSON. An element may be left out only where that says
//! the same; one that the reference does not have must be 0 (`meters::json`).

use crate::meters::json::{differences, key, plain, probe};
use crate::meters::{Asked, Elements, View, corpus, frames, slow};
use serde_json::Value;
use sixtap::meter::packet::TunnelMode;
use std::path::Path;
use std::process::Command;

/// Captures on which the sweep ends records by a time that later packets take back (see tests/agreement.rs).
const TIME_RUNS_BACKWARDS: &[&str] = &["arkime_synthetic"];

/// Compares one capture; what differs goes to `found`.
fn one(path: &Path, more: &[&str], asked: Asked, found: &mut Vec<String>) {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let frames = frames(path);
    if !frames.is_empty() {
        let records = probe(path, more);
        differences(records, slow(&frames, asked), |text| found.push(format!("{name}: {text}")));
    }
}

fn none(found: &[String]) {
    for line in found.iter().take(400) {
        println!("{line}");
    }
    assert!(found.is_empty(), "{} differences", found.len());
}

fn over_the_corpus(more: &[&str], asked: Asked) {
    let Some(captures) = corpus(&["ipv6", "mixed"]) else {
        println!("NOT RUN: records of captures: ../shared/corpus is missing");
        return;
    };
    let mut found = Vec::new();
    for path in &captures {
        let name = path.display().to_string();
        if !TIME_RUNS_BACKWARDS.iter().any(|part| name.contains(part)) {
            one(path, more, asked, &mut found);
        }
    }
    none(&found);
}

#[test]
fn exported_flows_agree() {
    over_the_corpus(&[], Asked::default());
}

#[test]
fn exported_flows_of_every_level_agree() {
    let asked = Asked { tunnel: TunnelMode::Both, ..Asked::default() };
    over_the_corpus(&["--tunnel", "both"], asked);
}

#[test]
fn exported_flows_keyed_by_chain_agree() {
    over_the_corpus(&["--chain-key"], Asked { chain_key: true, ..Asked::default() });
}

/// The capture of all crafted cases, and what the cases say of it.
fn crafted(folder: &Path) -> (std::path::PathBuf, Value) {
    let capture = folder.join("cases.pcap");
    let done = Command::new(env!("CARGO_BIN_EXE_sixtap"))
        .args(["craft", "--only", "all", "--truth", "-", "-w"])
        .arg(&capture)
        .output()
        .expect("sixtap craft starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    (capture, serde_json::from_slice(&done.stdout).expect("JSON"))
}

#[test]
fn crafted_flows_agree() {
    let folder = tempfile::tempdir().expect("a folder");
    let (capture, _) = crafted(folder.path());
    let mut found = Vec::new();
    let of = |tunnel| Asked { tunnel, ..Asked::default() };
    one(&capture, &[], Asked::default(), &mut found);
    one(&capture, &["--tunnel", "inner"], of(TunnelMode::Inner), &mut found);
    one(&capture, &["--tunnel", "both"], of(TunnelMode::Both), &mut found);
    one(&capture, &["--chain-key"], Asked { chain_key: true, ..Asked::default() }, &mut found);
    none(&found);
}

/// A case says what it meant to send; the reference must have understood it so.
#[test]
fn the_reference_understands_the_crafted_cases() {
    let folder = tempfile::tempdir().expect("a folder");
    let (capture, truth) = crafted(folder.path());
    let frames = frames(&capture);
    let of = |tunnel| slow(&frames, Asked { tunnel, ..Asked::default() });
    let mut found = Vec::new();
    understood(&truth, "flows", &of(TunnelMode::Outer), &mut found);
    understood(&truth, "innerFlows", &of(TunnelMode::Inner), &mut found);
    none(&found);
}

fn understood(truth: &Value, which: &str, view: &View, found: &mut Vec<String>) {
    let flows: Vec<&Elements> = view.records.values().flatten().collect();
    for case in truth["cases"].as_array().expect("cases") {
        for flow in case[which].as_array().into_iter().flatten() {
            let flow: Elements = serde_json::from_value(flow.clone()).expect("elements");
            let flow: Elements =
                flow.iter().map(|(name, value)| (name.clone(), plain(name, value))).collect();
            let start = flow.get("flowStartMilliseconds");
            // Neither the level of a tunnel nor an identifier of a tag is in every truth.
            let same = |other: &&&Elements| {
                let mut other = (**other).clone();
                other.retain(|name, _| flow.contains_key(name));
                key(&other) == key(&flow)
                    && start.is_none_or(|_| other.get("flowStartMilliseconds") == start)
            };
            let Some(reference) = flows.iter().find(same) else {
                found.push(format!("{}: no such flow: {flow:?}", case["name"]));
                continue;
            };
            for (name, value) in &flow {
                let ours = reference.get(name).unwrap_or(&Value::Null);
                let zero = ours.is_null() && value.as_u64() == Some(0);
                if ours != value && !zero {
                    found.push(format!(
                        "{}: {name}: meant {value}, understood {ours}",
                        case["name"]
                    ));
                }
            }
        }
    }
}
