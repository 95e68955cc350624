//! `sixtap probe` into files that rotate, compress and were left by a run cut short; `sixtap show` reads them. And what is said
//! where a transport cannot be had.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end so")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn sixtap(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sixtap"));
    command.args(arguments).env("TZ", "UTC").output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Traffic to read.
fn cases(directory: &Path) -> PathBuf {
    let path = directory.join("cases.pcap");
    let output = sixtap(&["craft", "-w", path.to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
    path
}

fn shown(path: &Path) -> Vec<String> {
    let output = sixtap(&["show", path.to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut flows: Vec<String> =
        text.lines().filter(|line| line.contains("DeltaCount")).map(str::to_owned).collect();
    flows.sort();
    flows
}

#[test]
fn show_reads_what_rotates_and_compresses() {
    let directory = tempfile::tempdir().unwrap();
    let cases = cases(directory.path());
    let out = directory.path().join("out");
    std::fs::create_dir(&out).unwrap();
    // What a run of long ago left: one message (a Template of one field), and the begin of the next.
    let message = [
        0, 10, 0, 28, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 0, 12, 1, 0, 0, 1, 0, 4, 0, 1, 0,
        10,
    ];
    std::fs::write(out.join("f-2001.ipfix.current"), message).unwrap();
    let (plain, base) = (out.join("plain.ipfix"), out.display());
    let output = sixtap(&[
        "probe",
        "-r",
        cases.to_str().unwrap(),
        "-c",
        &format!("file:{}", plain.display()),
        "-c",
        &format!("file:{base}/f-%Y.ipfix?rotate=1d"),
        "-c",
        &format!("file:{base}/z-%Y.ipfix?size=1G&zstd=1"),
        "--stats",
        "json",
        "--quiet",
    ]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("2 octets of a torn end cut off"), "{}", said(&output));
    assert_eq!(std::fs::read(out.join("f-2001.ipfix")).unwrap(), message[..28]);
    assert!(said(&output).contains("\"balances\":true"), "{}", said(&output));
    let mut names: Vec<PathBuf> =
        std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert_eq!(names.len(), 4, "{names:?}");
    let expected = shown(&plain);
    assert!(expected.len() > 100);
    let rotated = names.iter().find(|path| path != &&out.join("f-2001.ipfix")).unwrap();
    assert_eq!(shown(rotated), expected, "{}", rotated.display());
    let compressed = names.last().unwrap();
    assert_eq!(compressed.extension().unwrap(), "zst");
    assert_eq!(shown(compressed), expected);
}

#[test]
fn what_cannot_be_had_is_said_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let cases = cases(directory.path());
    let mut expected = vec![
        ("dtls://collector.example", 2, "DTLS is not supported"),
        ("tls://collector.example", 2, "ca=FILE is missing"),
        ("file:/proc/nowhere/f-%Y?rotate=5m", 3, "/proc/nowhere"),
        ("failover:udp://[::1]", 2, "two collectors or more"),
    ];
    if cfg!(feature = "tls") {
        expected.push(("tls://[::1]?ca=/nowhere.pem", 3, "/nowhere.pem: No such file"));
    } else {
        expected.push(("tls://[::1]?ca=/nowhere.pem", 3, "built without TLS"));
    }
    let sctp = socket2::Socket::new(
        socket2::Domain::IPV4,
        socket2::Type::STREAM,
        Some(socket2::Protocol::SCTP),
    );
    if sctp.is_err() {
        expected.push(("sctp://[::1]", 3, "this kernel has no SCTP; load its module"));
    }
    for (collector, status, reason) in expected {
        let output = sixtap(&["probe", "-r", cases.to_str().unwrap(), "-c", collector]);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(status), "{collector}: {said}");
        assert!(said.contains(reason), "{collector}: {said}");
        let lines = said.lines().filter(|line| line.contains(reason)).count();
        assert_eq!(lines, 1, "{collector}: {said}");
    }
}
