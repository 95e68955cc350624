//! `sixtap show` as a user meets it: what it prints, what it records, how it ends.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end so")]

use sixtap::ipfix::{FieldSpecifier, MessageBuilder, Template};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

fn show() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sixtap"));
    command.arg("show").stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    show().args(arguments).output().unwrap()
}

/// A file of `messages` messages with three flows each and an options record.
fn export(messages: u32) -> Vec<u8> {
    let iana = |id| FieldSpecifier::of(ie_registry::iana(id).unwrap());
    let flow = Template::new(256, [27, 28, 7, 11, 4, 31, 1, 2, 152, 153, 515].map(iana));
    let options = Template::options(257, 1, [149, 41].map(iana));
    let mut builder = MessageBuilder::new(9000);
    let mut file = Vec::new();
    for number in 0..messages {
        builder.begin(1, number * 4);
        builder.template(&flow).unwrap();
        builder.template(&options).unwrap();
        for port in 1..=3 {
            let write = |out: &mut sixtap::ipfix::Writer<'_>| {
                out.octets(&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
                out.octets(&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
                out.u16(port);
                out.u16(443);
                out.u8(6);
                out.u32(0x12345);
                out.u64(1000);
                out.u64(10);
                out.u64(1_700_000_000_000);
                out.u64(1_700_000_001_500);
                out.reduced(0x21, 32);
            };
            builder.record(256, write).unwrap();
        }
        builder
            .record(257, |out| {
                out.u32(1);
                out.u64(u64::from(number));
            })
            .unwrap();
        file.extend_from_slice(builder.finish(1_700_000_002));
    }
    file
}

fn written(folder: &Path, octets: &[u8]) -> String {
    let path = folder.join("export.ipfix");
    std::fs::write(&path, octets).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn one_json_object_a_record() {
    let folder = tempfile::tempdir().unwrap();
    let file = written(folder.path(), &export(5));
    let output = run(&[&file]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 20);
    assert_eq!(lines[0]["flowLabelIPv6"], 74565);
    assert_eq!(lines[0]["flowStartMilliseconds"], "2023-11-14T22:13:20.000Z");
    assert_eq!(lines[3]["exportedMessageTotalCount"], 0);
    assert_eq!(run(&[&file, "-n", "7"]).stdout.lines().count(), 7);
    let origin = run(&[&file, "--origin", "-n", "1"]).stdout;
    let origin: serde_json::Value = serde_json::from_slice(&origin).unwrap();
    assert_eq!(origin["sixtap:message"]["template"], 256);
}

#[test]
fn a_table_of_flows() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(&[&written(folder.path(), &export(1)), "--table"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<_> = text.lines().collect();
    assert_eq!(rows.len(), 4, "{text}");
    let cells: Vec<_> = rows[1].split_whitespace().collect();
    let expected = [
        "2023-11-14T22:13:20.000Z",
        "1.500",
        "TCP",
        "[2001:db8::1]:1",
        "[2001:db8::2]:443",
        "10",
        "1000",
        "-",
        "0x12345",
        "DST,RH",
    ];
    assert_eq!(cells, expected);
    assert_eq!(rows[0].find("LABEL"), rows[1].find("0x12345"), "aligned");
}

/// What is recorded is what came, octet for octet.
#[test]
fn messages_are_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let octets = export(5);
    let file = written(folder.path(), &octets);
    let copy = folder.path().join("copy.ipfix");
    let output = run(&[&file, "-w", copy.to_str().unwrap()]);
    assert_eq!((output.status.code(), output.stdout), (Some(0), vec![]));
    assert_eq!(std::fs::read(copy).unwrap(), octets);
}

#[test]
fn standard_input_is_read() {
    let mut child = show().arg("-").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&export(2)).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stdout.lines().count()), (Some(0), 8));
}

#[test]
fn what_cannot_be_shown_is_said_in_one_line() {
    for (input, code) in [("/nonexistent.ipfix", 2), ("smoke://x", 2), ("udp://[2001:db8::1]:1", 3)]
    {
        let output = run(&[input]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.lines().count() == 1 && text.contains(input), "{text}");
    }
    assert_eq!(run(&["x", "--table", "-w", "y"]).status.code(), Some(2));
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = written(folder.path(), &export(2000));
    let mut child = show().arg(file).stdout(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// Kills the child if a test fails while it runs.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Listens at a port of its own choice, shows each message when it comes, and ends when its time is over.
#[test]
fn a_socket_is_shown_until_its_time_is_over() {
    let arguments = ["udp://[::1]:0", "--for", "3"];
    let spawned = show().args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = Running(spawned.unwrap());
    let mut said = BufReader::new(child.0.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    let address = line.trim().rsplit(' ').next().unwrap().to_owned();
    let exporter = UdpSocket::bind("[::1]:0").unwrap();
    exporter.send_to(&export(1), address).unwrap();
    let mut shown = BufReader::new(child.0.stdout.take().unwrap());
    let mut first = String::new();
    shown.read_line(&mut first).unwrap();
    assert!(first.contains("\"flowLabelIPv6\":74565"), "{first}");
    assert_eq!(child.0.wait().unwrap().code(), Some(0));
}
