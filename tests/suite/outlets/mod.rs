//! Where records go besides IPFIX collectors, and what happens to them on the way: NetFlow v9, sampling, anonymisation,
//! Kafka and Parquet; and that options records say what the ledger says.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod anonymise;
#[cfg(feature = "kafka")]
mod kafka;
mod netflow9;
mod options;
#[cfg(feature = "parquet")]
mod parquet;
mod sampling;
mod stream;

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A run of `sixtap probe` over a capture.
struct Run {
    /// What went to `json:-`.
    records: Vec<Value>,
    ledger: Value,
    error: String,
    status: i32,
}

impl Run {
    /// A counter of the only collector whose name begins with `scheme`.
    fn collector(&self, scheme: &str) -> &Value {
        let collectors = self.ledger["collectors"].as_array().expect("collectors");
        let found = collectors
            .iter()
            .find(|pair| pair[0].as_str().is_some_and(|name| name.starts_with(scheme)));
        &found.unwrap_or_else(|| panic!("no {scheme} in {collectors:?}"))[1]
    }

    fn balances(&self) {
        assert_eq!(self.ledger["balances"], true, "{}", self.ledger["equations"]);
    }
}

fn sixtap(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sixtap")).args(arguments).output().expect("sixtap runs")
}

/// Runs the probe over `capture`; timeouts so long that a flow is one record.
fn probe(capture: &Path, arguments: &[&str]) -> Run {
    let capture = capture.display().to_string();
    let mut words = vec!["probe", "-r", &capture, "--active", "36000", "--idle", "36000"];
    words.extend(["--stats", "json", "-q"]);
    words.extend(arguments);
    let output = sixtap(&words);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    let ledger = error.lines().rev().find(|line| line.starts_with('{'));
    let ledger = ledger.and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
    let text = String::from_utf8_lossy(&output.stdout);
    let records = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    Run { records, ledger, error, status: output.status.code().unwrap_or(-1) }
}

/// Writes the labelled suite.
fn suite(folder: &Path) -> PathBuf {
    craft(folder, &["--only", "all"])
}

/// Writes packets of ordinary flows.
fn load(folder: &Path, packets: u32, flows: u32) -> PathBuf {
    let (packets, flows) = (packets.to_string(), flows.to_string());
    craft(folder, &["--profile", "small", "--packets", &packets, "--flows", &flows])
}

fn craft(folder: &Path, arguments: &[&str]) -> PathBuf {
    let capture = folder.join("traffic.pcap");
    let path = capture.display().to_string();
    let mut words = vec!["craft", "-w", &path];
    words.extend(arguments);
    let output = sixtap(&words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    capture
}

/// Records of `sixtap show FILE`.
fn show(file: &Path) -> Vec<Value> {
    let output = sixtap(&["show", &file.display().to_string()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
}

/// Findings of a report of `sixtap validate` that are more than notes.
fn faults(report: &Value) -> Vec<&Value> {
    let findings = report["findings"].as_array().expect("findings");
    findings.iter().filter(|finding| finding["severity"] != "note").collect()
}

/// Whether `program` can be started; says so by name when not.
fn installed(program: &str, test: &str) -> bool {
    let folders = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/bin"];
    let found = folders.iter().any(|folder| Path::new(folder).join(program).exists());
    if !found {
        println!("not run: {test}: {program} is not installed");
    }
    found
}

fn number(record: &Value, name: &str) -> u64 {
    record[name].as_u64().unwrap_or_else(|| panic!("{name} of {record}"))
}

fn sum(records: &[Value], name: &str) -> u64 {
    records.iter().filter_map(|record| record[name].as_u64()).sum()
}
