//! The errors that people meet: one clear line that names the place, and the exit status of its kind (2 usage or configuration,
//! 3 environment, 1 damaged input).

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn sixtap(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sixtap"));
    command.args(words).stdin(Stdio::null());
    command
}

fn run(words: &[&str]) -> Output {
    sixtap(words).output().expect("sixtap starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A capture of six cases, 12 packets and more, in `folder`.
fn capture(folder: &Path) -> String {
    let path = folder.join("cases.pcap").display().to_string();
    let only = "udp,esp,segment-routing,fragments-3,vlan,icmpv6-echo-request";
    assert!(run(&["craft", "--only", only, "-w", &path]).status.success());
    path
}

/// The probe over a file, with `more` words: exit status and the last line of what it said.
fn probe(file: &str, more: &[&str]) -> (Option<i32>, String) {
    let output = run(&[&["probe", "--stats", "none", "-r", file], more].concat());
    let said = said(&output);
    (output.status.code(), said.trim_end().to_owned())
}

/// One line, with the words that matter in it.
fn one_line(what: &str, (status, said): (Option<i32>, String), expected: i32, words: &[&str]) {
    assert_eq!(status, Some(expected), "{what}: {said}");
    for word in words {
        assert!(said.contains(word), "{what}: no \"{word}\" in: {said}");
    }
    let lines = said.lines().filter(|line| !line.is_empty() && !line.starts_with("For more"));
    assert_eq!(lines.count(), 1, "{what}: {said}");
}

#[test]
fn what_is_no_capture_is_told_by_what_it_looks_like() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    fs::write(at("text"), "no capture, just text\n").expect("writable");
    fs::write(at("empty"), "").expect("writable");
    one_line("no file", probe(&at("nothing"), &[]), 2, &["nothing", "cannot be opened"]);
    one_line("a folder", probe(&at(""), &[]), 2, &["a directory"]);
    one_line("text", probe(&at("text"), &[]), 2, &["text, not a capture"]);
    one_line("empty", probe(&at("empty"), &[]), 2, &["an empty file"]);
}

/// What came before the damage is metered; the damage has its offset.
#[test]
fn damage_is_named_by_its_offset_and_the_rest_is_metered() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = capture(folder.path());
    let octets = fs::read(&whole).expect("readable");
    let damaged = folder.path().join("damaged").display().to_string();
    let first = 24 + 16 + u32::from_le_bytes([octets[32], octets[33], octets[34], octets[35]]);
    let mut corrupt = octets.clone();
    corrupt[first as usize + 8..first as usize + 12].fill(0xff);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&octets).expect("memory");
    let packed = packed.finish().expect("memory");
    for (what, octets, words) in [
        ("cut", &octets[..first as usize + 20], &["inside a record", "offset"][..]),
        ("corrupt", &corrupt[..], &["a record says it holds", &format!("at offset {first}")]),
        ("cut within gzip", &packed[..packed.len() / 2], &["ends early", "offset"]),
    ] {
        fs::write(&damaged, octets).expect("writable");
        let output = run(&["probe", "--stats", "none", "-r", &damaged, "-c", "json:-"]);
        let text = said(&output).trim_end().to_owned();
        one_line(what, (output.status.code(), text), 1, words);
        assert!(what.contains("gzip") || !output.stdout.is_empty(), "{what}: nothing was metered");
    }
}

#[test]
fn collectors_that_cannot_be_meant_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = capture(folder.path());
    for (collector, status, words) in [
        ("collector", 2, "begins with none of"),
        ("udp://2001:db8::1:4739", 2, "brackets"),
        ("udp://[::1]:99999", 2, "not a port"),
        ("file:/no/such/folder/out.ipfix", 3, "No such file"),
    ] {
        one_line(collector, probe(&file, &["-c", collector]), status, &[words]);
    }
}

#[test]
fn a_full_disk_is_told_and_counted_and_a_reader_that_leaves_is_no_failure() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = capture(folder.path());
    for collector in ["file:/dev/full", "json:/dev/full"] {
        let (status, said) = probe(&file, &["-c", collector]);
        assert_eq!(status, Some(3), "{said}");
        assert!(said.contains("records could not be written"), "{said}");
    }
    let full = File::options().write(true).open("/dev/full").expect("Linux has it");
    let output = sixtap(&["probe", "--stats", "json", "-r", &file]).stdout(full).output();
    let output = output.expect("sixtap starts");
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = sixtap(&["probe", "--stats", "none", "-r", &file]).stdout(writer).output();
    let output = output.expect("sixtap starts");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn templates_are_refused_by_line_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = capture(folder.path());
    let template = folder.path().join("mine.toml").display().to_string();
    one_line("a preset", probe(&file, &["--template", "fll"]), 2, &["default, full, covert"]);
    one_line("no file", probe(&file, &["--template", "nothing.toml"]), 2, &["nothing.toml"]);
    for (fields, words) in [
        ("[\"flowLabelIPv6\", \"noSuchElement\"]", &["mine.toml:2:", "noSuchElement"][..]),
        ("[\"flowLabelIpv6\"]", &["mine.toml:2:", "did you mean flowLabelIPv6?"]),
        ("[\"bgpSourceAsNumber\"]", &["mine.toml:2:", "cannot fill bgpSourceAsNumber"]),
        ("[{ element = \"sourceIPv6Address\", length = 4 }]", &["cannot be shortened"]),
        ("[]", &["at least one field"]),
    ] {
        fs::write(&template, format!("name = \"mine\"\nfields = {fields}\n")).expect("writable");
        one_line(fields, probe(&file, &["--template", &template]), 2, words);
    }
}

#[test]
fn interfaces_that_are_not_there_are_named_beside_those_that_are() {
    let output = run(&["probe", "-i", "no-such-if", "--for", "1", "--stats", "none"]);
    let text = said(&output).trim_end().to_owned();
    let root = rustix::process::geteuid().is_root();
    let words: &[&str] = if root { &["no interface no-such-if", "there are"] } else { &["sixtap"] };
    one_line("no interface", (output.status.code(), text), 3, words);
}

#[test]
fn without_the_capabilities_it_says_which() {
    if !rustix::process::geteuid().is_root() {
        println!("not run: the probe as another user: not root");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    // Where the build lies another user may not look.
    let program = folder.path().join("sixtap");
    fs::copy(env!("CARGO_BIN_EXE_sixtap"), &program).expect("copied");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(folder.path(), open).expect("permitted");
    for (more, word) in
        [(&["-i", "lo"][..], "CAP_NET_RAW"), (&["-i", "lo", "--packet-socket"], "CAP_NET_RAW")]
    {
        let output = Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&program)
            .args(["probe", "--for", "1", "--stats", "none"])
            .args(more)
            .output();
        let Ok(output) = output else {
            println!("not run: the probe as another user: no setpriv");
            return;
        };
        let text = said(&output).trim_end().to_owned();
        one_line("no capabilities", (output.status.code(), text), 3, &[word, "run as root"]);
    }
}
