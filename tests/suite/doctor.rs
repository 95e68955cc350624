//! `sixtap doctor` on a veth pair: what it says, and its exit status.
//!
//! Needs root; each test says so by name where it has none.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end so")]
#![allow(unsafe_code, reason = "system calls of the sender")]

use std::process::{Command, Output};

use crate::wire::{self, in_namespace};
use serde_json::Value;

fn doctor(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sixtap"))
        .arg("doctor")
        .args(arguments)
        .output()
        .expect("sixtap")
}

/// Verdict and text of a topic.
fn finding(report: &Value, topic: &str) -> (String, String) {
    let findings = report["findings"].as_array().expect("findings");
    let found = findings.iter().find(|finding| finding["topic"] == topic);
    let found = found.unwrap_or_else(|| panic!("no finding on {topic}: {report:#}"));
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    (text("verdict"), text("text"))
}

fn report(arguments: &[&str]) -> (Option<i32>, Value) {
    let output = doctor(arguments);
    (output.status.code(), serde_json::from_slice(&output.stdout).expect("JSON"))
}

#[test]
fn each_topic_has_its_verdict() {
    in_namespace("doctor::each_topic_has_its_verdict", || {
        wire::pair(1500, 2);
        let (status, before) = report(&["rx", "--json"]);
        assert_eq!(status, Some(0), "{before:#}");
        assert_eq!(before["interface"], "rx");
        assert_eq!(finding(&before, "link").0, "good");
        assert_eq!(finding(&before, "addresses").0, "good");
        assert_eq!(finding(&before, "driver").0, "could-be-better");
        assert!(finding(&before, "queues").1.starts_with("2 in use"));
        wire::run("ip", &["address", "add", "192.0.2.1/24", "dev", "rx"]);
        let (status, owned) = report(&["rx", "--json"]);
        assert_eq!(status, Some(3));
        assert_eq!(owned["verdict"], "will-not-work");
        assert!(finding(&owned, "addresses").1.contains("192.0.2.1"));
        wire::run("ip", &["link", "set", "dev", "rx", "down"]);
        assert_eq!(finding(&report(&["rx", "--json"]).1, "link").0, "will-not-work");
    });
}

/// Every topic has its line, for root and for anybody; each that is not good says what helps.
#[cfg(feature = "xdp")]
#[test]
fn every_line_has_its_cure_for_root_and_for_anybody() {
    in_namespace("doctor::every_line_has_its_cure_for_root_and_for_anybody", || {
        wire::pair(9100, 4);
        let (_, root) = report(&["rx", "--json"]);
        let anybody = Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .args([env!("CARGO_BIN_EXE_sixtap"), "doctor", "rx", "--json"])
            .output()
            .expect("setpriv (package util-linux)");
        assert_eq!(anybody.status.code(), Some(0), "{anybody:?}");
        let anybody: Value = serde_json::from_slice(&anybody.stdout).expect("JSON");
        for report in [&root, &anybody] {
            for topic in [
                "kernel",
                "permission",
                "AF_XDP",
                "BPF compiler",
                "locked memory",
                "open files",
                "huge pages",
                "processors",
                "frequency",
                "clock",
                "link",
                "addresses",
                "XDP program",
                "driver",
                "largest frame",
                "queues",
                "RSS",
                "VLAN tags",
                "merging",
                "time stamps",
            ] {
                finding(report, topic);
            }
            for finding in report["findings"].as_array().expect("findings") {
                let good = finding["verdict"] == "good";
                let cure = finding["fix"].as_str().is_some_and(|fix| !fix.is_empty());
                assert_ne!(good, cure, "{finding:#}");
            }
        }
        assert_eq!(finding(&root, "permission").0, "good");
        assert_eq!(finding(&anybody, "permission").0, "could-be-better");
        assert!(finding(&root, "largest frame").1.contains("several buffers"));
    });
}

#[cfg(feature = "xdp")]
#[test]
fn trying_shows_the_mode_and_leaves_nothing() {
    in_namespace("doctor::trying_shows_the_mode_and_leaves_nothing", || {
        wire::pair(1500, 1);
        let (status, tried) = report(&["rx", "--json", "--try"]);
        assert_eq!(status, Some(0), "{tried:#}");
        assert!(finding(&tried, "tried").1.starts_with("native, copy, multi-buffer on 1 queue"));
        assert!(!wire::has_program("rx"));
    });
}

#[test]
fn words_that_cannot_be_meant_are_refused() {
    let missing = doctor(&["no-such-if"]);
    assert_eq!(missing.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("no interface no-such-if"));
    assert_eq!(doctor(&["--try"]).status.code(), Some(2));
    assert_eq!(doctor(&["--jsonn"]).status.code(), Some(2));
    let machine = doctor(&[]);
    assert!(String::from_utf8_lossy(&machine.stdout).contains("kernel"));
}
