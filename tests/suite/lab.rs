//! `sixtap lab` with exporters of Debian's: each meters the labelled cases, and the report finds what is known of it.
//!
//! On an interface the lab makes a network namespace and needs root; a test whose exporter is not installed says so by name.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end so")]

use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::process::{Command, Stdio};

/// Whether a program can be started at all.
fn installed(program: &str) -> bool {
    Command::new(program)
        .arg("-h")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}

/// Says by name what is not run. Not eprintln: the harness would swallow it.
fn not_run(name: &str, reason: &str) {
    let _ = writeln!(io::stderr(), "not run: {name}: {reason}");
}

/// The report of one run of the lab; `None` where it cannot be run here.
fn lab(test: &str, program: &str, words: &[&str]) -> Option<Value> {
    if !installed(program) {
        not_run(test, &format!("{program} is not installed"));
        return None;
    }
    let live = words.contains(&"--live") || words.contains(&"openvswitch");
    if live && !rustix::process::geteuid().is_root() {
        not_run(test, "it makes a network namespace and needs root");
        return None;
    }
    let out = Command::new(env!("CARGO_BIN_EXE_sixtap"))
        .arg("lab")
        .args(words)
        .args(["--json", "-"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    let report = serde_json::from_slice(&out.stdout);
    Some(report.unwrap_or_else(|error| panic!("{words:?}: {error}: {said}")))
}

/// How an element is wrong: the names of the mistakes with the number of flows that show them.
fn mistakes(report: &Value, element: &str) -> BTreeMap<String, u64> {
    let rows = report["comparison"]["elements"].as_array().unwrap();
    rows.iter()
        .filter(|row| row["element"] == element)
        .flat_map(|row| row["mistakes"].as_array().unwrap())
        .map(|one| (one["mistake"].as_str().unwrap().to_owned(), one["flows"].as_u64().unwrap()))
        .collect()
}

#[track_caller]
fn has(report: &Value, element: &str, mistake: &str) {
    let all = mistakes(report, element);
    assert!(all.contains_key(mistake), "{element}: no {mistake:?}, but {all:?}");
    // Every mistake is shown by a flow.
    for row in report["comparison"]["elements"].as_array().unwrap() {
        for one in row["mistakes"].as_array().unwrap() {
            assert!(one["example"].as_str().is_some_and(|text| text.contains(" to ")), "{one}");
        }
    }
}

fn rules(report: &Value) -> Vec<&str> {
    report["findings"].as_array().unwrap().iter().map(|one| one["rule"].as_str().unwrap()).collect()
}

/// Flows found of how many.
fn found(report: &Value) -> (u64, u64) {
    let comparison = &report["comparison"];
    (comparison["flowsFound"].as_u64().unwrap(), comparison["flows"].as_u64().unwrap())
}

/// No finding above a note, nothing wrong, missing or extra.
#[track_caller]
fn spotless(report: &Value) {
    let findings = report["findings"].as_array().unwrap();
    let bad: Vec<_> = findings.iter().filter(|one| one["severity"] != "note").collect();
    assert!(bad.is_empty(), "{bad:#?}");
    let comparison = &report["comparison"];
    for row in comparison["elements"].as_array().unwrap() {
        assert_eq!(row["wrong"], 0, "{row:#}");
    }
    for kind in ["missing", "extra"] {
        assert!(comparison[kind].as_object().unwrap().is_empty(), "{:#}", comparison[kind]);
    }
    let (found, flows) = found(report);
    assert!(found == flows && flows > 60, "{found} of {flows} flows");
    assert_eq!(comparison["packets"]["true"], comparison["packets"]["exported"]);
    assert_eq!(comparison["octets"]["true"], comparison["octets"]["exported"]);
    assert_eq!(report["failed"], false);
    assert_eq!(report["coverage"][0]["grade"], "A");
}

const OWN: &str = env!("CARGO_BIN_EXE_sixtap");

#[test]
fn sixtap_comes_out_without_a_finding() {
    let report = lab("sixtap_comes_out_without_a_finding", OWN, &["sixtap"]).unwrap();
    spotless(&report);
}

#[test]
fn sixtap_comes_out_without_a_finding_on_an_interface() {
    let test = "sixtap_comes_out_without_a_finding_on_an_interface";
    let Some(report) = lab(test, OWN, &["sixtap", "--live"]) else { return };
    spotless(&report);
}

/// Traffic class 0, padding counted, and fragments that lose their protocol (flow-exporters.md section 3.3).
fn softflowd(report: &Value) {
    has(report, "ipClassOfService", "always or wrongly zero");
    has(report, "octetDeltaCount", "Ethernet padding included");
    assert!(mistakes(report, "protocolIdentifier").values().sum::<u64>() > 0);
    let labels = report["comparison"]["elements"].as_array().unwrap().iter();
    assert!(labels.clone().all(|row| row["element"] != "flowLabelIPv6"), "it has no flow label");
    assert!(rules(report).contains(&"V6-LABEL-ABSENT"));
    assert_ne!(report["coverage"][0]["grade"], "A");
}

#[test]
fn softflowd_is_found_out() {
    let Some(report) = lab("softflowd_is_found_out", "softflowd", &["softflowd"]) else { return };
    softflowd(&report);
    let sequence = rules(&report).iter().any(|rule| rule.starts_with("SEQ-"));
    assert!(sequence, "its sequence numbers are wrong in most messages: {:?}", rules(&report));
}

#[test]
fn softflowd_is_found_out_on_an_interface() {
    let test = "softflowd_is_found_out_on_an_interface";
    let Some(report) = lab(test, "softflowd", &["softflowd", "--live"]) else { return };
    softflowd(&report);
}

/// Traffic class 0, ICMPv6 in the port, fragments' payload read as headers (flow-exporters.md section 3.4).
fn pmacctd(report: &Value) {
    has(report, "ipClassOfService", "always or wrongly zero");
    has(report, "destinationTransportPort", "ICMP type and code in the port");
    assert!(rules(report).contains(&"V6-ICMP-IN-PORT"), "{:?}", rules(report));
    assert!(rules(report).contains(&"V6-LABEL-ABSENT"));
    assert_ne!(report["coverage"][0]["grade"], "A");
}

#[test]
fn pmacctd_is_found_out() {
    let Some(report) = lab("pmacctd_is_found_out", "pmacctd", &["pmacctd"]) else { return };
    pmacctd(&report);
    has(&report, "tcpControlBits", "read out of a fragment's payload");
}

#[test]
fn pmacctd_is_found_out_on_an_interface() {
    let test = "pmacctd_is_found_out_on_an_interface";
    let Some(report) = lab(test, "pmacctd", &["pmacctd", "--live"]) else { return };
    pmacctd(&report);
}

/// No chain is walked: the protocol is the first extension header (peers-measured.md).
#[test]
fn nfpcapd_is_found_out() {
    if !installed("nfreplay") {
        return not_run("nfpcapd_is_found_out", "nfreplay is not installed");
    }
    let Some(report) = lab("nfpcapd_is_found_out", "nfpcapd", &["nfpcapd"]) else { return };
    assert_eq!(report["sessions"][0]["version"], "NetFlow v9");
    has(&report, "protocolIdentifier", "the first extension header");
    has(&report, "ipClassOfService", "always or wrongly zero");
}

#[test]
fn nfpcapd_is_found_out_on_an_interface() {
    let test = "nfpcapd_is_found_out_on_an_interface";
    if !installed("nfreplay") {
        return not_run(test, "nfreplay is not installed");
    }
    let Some(report) = lab(test, "nfpcapd", &["nfpcapd", "--live"]) else { return };
    has(&report, "protocolIdentifier", "the first extension header");
}

/// The one exporter with a right flow label; but protocol 44 and no ports for fragments (flow-exporters.md section 3.8).
#[test]
fn open_vswitch_is_found_out() {
    let test = "open_vswitch_is_found_out";
    for program in ["ovs-vswitchd", "ovsdb-server", "ovsdb-tool", "ovs-vsctl"] {
        if !installed(program) {
            return not_run(test, &format!("{program} is not installed"));
        }
    }
    let Some(report) = lab(test, "ovs-vswitchd", &["openvswitch"]) else { return };
    let rows = report["comparison"]["elements"].as_array().unwrap();
    let label = rows.iter().find(|row| row["element"] == "flowLabelIPv6").unwrap();
    assert!(label["ipv6"]["right"].as_u64() > label["ipv6"]["wrong"].as_u64(), "{label:#}");
    has(&report, "protocolIdentifier", "the Fragment header");
    assert!(rules(&report).contains(&"V6-PROTOCOL-IS-FRAGMENT"), "{:?}", rules(&report));
}
