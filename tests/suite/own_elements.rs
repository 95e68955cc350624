//! Elements of a user's own (`--elements FILE.toml`) and biflows, from frames made here, octet by octet.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end so")]

use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::Command;

/// An Ethernet frame with an IPv6 packet.
fn ipv6(source: u8, destination: [u8; 16], next: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60, 0, 0, 0];
    frame.extend((payload.len() as u16).to_be_bytes());
    frame.extend([next, 64]);
    frame.extend(host(source));
    frame.extend(destination);
    frame.extend(payload);
    frame
}

fn host(number: u8) -> [u8; 16] {
    let mut address = [0; 16];
    address[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    address[15] = number;
    address
}

fn tcp(source: u16, destination: u16, flags: u8, window: u16) -> Vec<u8> {
    let mut segment = Vec::new();
    segment.extend(source.to_be_bytes());
    segment.extend(destination.to_be_bytes());
    segment.extend([0; 8]);
    segment.extend([0x50, flags]);
    segment.extend(window.to_be_bytes());
    segment.extend([0; 4]);
    segment
}

fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    datagram.extend(source.to_be_bytes());
    datagram.extend(destination.to_be_bytes());
    datagram.extend((8 + payload.len() as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    datagram
}

/// A classic pcap file (microseconds, Ethernet), a frame a millisecond.
fn write(path: &Path, frames: &[Vec<u8>]) {
    let mut file = std::fs::File::create(path).unwrap();
    let mut octets = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1u32] {
        octets.extend(word.to_le_bytes());
    }
    for (number, frame) in frames.iter().enumerate() {
        for word in [1_700_000_000, number as u32 * 1000, frame.len() as u32, frame.len() as u32] {
            octets.extend(word.to_le_bytes());
        }
        octets.extend(frame);
    }
    file.write_all(&octets).unwrap();
}

fn probe(frames: &[Vec<u8>], elements: Option<&str>, words: &[&str]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("frames.pcap");
    write(&capture, frames);
    let mut command = Command::new(env!("CARGO_BIN_EXE_sixtap"));
    command.args(["probe", "--quiet", "--stats", "none", "-c", "json:-", "-r"]).arg(&capture);
    if let Some(text) = elements {
        let file = folder.path().join("mine.toml");
        std::fs::write(&file, text).unwrap();
        command.arg("--elements").arg(file);
    }
    let output = command.args(words).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn tcp_window_minimum() {
    let elements = r#"
[[element]]
name = "tcpWindowMinimum"
id = 1000
layer = "tcp"
offset = 14
width = 2
combine = "minimum"
"#;
    let frames = [900, 70, 4000].map(|window| ipv6(1, host(2), 6, &tcp(1000, 80, 0x10, window)));
    let records = probe(&frames, Some(elements), &[]);
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["sixtap:tcpWindowMinimum"], 70);
    assert_eq!(records[0]["packetDeltaCount"], 3);
}

#[test]
fn dhcpv6_message_types_seen() {
    let elements = r#"
[[element]]
name = "dhcpv6MessageType"
id = 1001
layer = "payload"
offset = 0
width = 1
combine = "first"
protocol = 17
port = 547

[[element]]
name = "dhcpv6MessageTypes"
id = 1002
layer = "payload"
offset = 0
width = 1
combine = "distinct"
protocol = 17
port = 547
"#;
    let solicit = ipv6(1, host(2), 17, &udp(546, 547, &[1, 0, 0, 1]));
    let request = ipv6(1, host(2), 17, &udp(546, 547, &[3, 0, 0, 2]));
    let other = ipv6(1, host(2), 17, &udp(1000, 2000, &[9, 9]));
    let records = probe(&[solicit, request, other], Some(elements), &[]);
    let dhcp = records.iter().find(|r| r["destinationTransportPort"] == 547).unwrap();
    assert_eq!(dhcp["sixtap:dhcpv6MessageType"], 1);
    assert_eq!(dhcp["sixtap:dhcpv6MessageTypes"], 2);
    let other = records.iter().find(|r| r["destinationTransportPort"] == 2000).unwrap();
    assert_eq!(other["sixtap:dhcpv6MessageType"], 0, "the condition is not met: no value");
}

#[test]
fn mld_groups_and_the_router_alert_before_them() {
    let elements = r#"
[[element]]
name = "mldRecords"
id = 1003
layer = "icmpv6"
offset = 6
width = 2
combine = "sum"
when = { layer = "icmpv6", offset = 0, width = 1, equals = 143 }

[[element]]
name = "routerAlert"
id = 1004
layer = "option:0:5"
offset = 0
width = 2
combine = "maximum"
"#;
    let report = |groups: u16| {
        let mut packet = vec![58, 0, 1, 0, 5, 2, 0, 7];
        packet.extend([143, 0, 0, 0, 0, 0]);
        packet.extend(groups.to_be_bytes());
        ipv6(1, host(22), 0, &packet)
    };
    let records = probe(&[report(2), report(3)], Some(elements), &[]);
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["sixtap:mldRecords"], 5);
    assert_eq!(records[0]["sixtap:routerAlert"], 7);
}

#[test]
fn the_ipv4_address_within_a_nat64_destination() {
    let elements = r#"
[[element]]
name = "nat64Destination"
id = 1005
layer = "ipv6"
offset = 36
width = 4
type = "ipv4Address"
combine = "first"
when = { layer = "ipv6", offset = 24, width = 8, equals = 0x64_ff9b_0000_0000 }
"#;
    let mut translated = [0; 16];
    translated[..4].copy_from_slice(&[0, 0x64, 0xff, 0x9b]);
    translated[12..].copy_from_slice(&[192, 0, 2, 33]);
    let frames = [ipv6(1, translated, 17, &udp(1, 2, &[])), ipv6(1, host(9), 17, &udp(3, 4, &[]))];
    let records = probe(&frames, Some(elements), &[]);
    let of = |port: u16| records.iter().find(|r| r["sourceTransportPort"] == port).unwrap();
    assert_eq!(of(1)["sixtap:nat64Destination"], "192.0.2.33");
    assert_eq!(of(3)["sixtap:nat64Destination"], "0.0.0.0", "another prefix has none");
}

#[test]
fn a_file_with_an_error_is_refused_by_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    std::fs::write(&file, "[[element]]\nname = \"a\"\nid = 7\nlayer = \"tcp\"\noffset = 0\nwidth = 1\ncombine = \"first\"\n").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_sixtap"))
        .args(["probe", "-r", "-", "--elements"])
        .arg(&file)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}

/// RFC 5103: one record, the initiator as the source, whichever endpoint is the larger.
#[test]
fn a_biflow_has_the_initiator_as_source_and_both_directions() {
    for (client, server) in [(1, 2), (2, 1)] {
        let frames = [
            ipv6(client, host(server), 6, &tcp(5000, 80, 0x02, 100)),
            ipv6(server, host(client), 6, &tcp(80, 5000, 0x12, 200)),
            ipv6(client, host(server), 6, &tcp(5000, 80, 0x10, 100)),
        ];
        let records = probe(&frames, None, &["--biflow"]);
        assert_eq!(records.len(), 1, "{records:?}");
        let record = &records[0];
        assert_eq!(record["sourceTransportPort"], 5000);
        assert_eq!(record["destinationTransportPort"], 80);
        assert_eq!(record["packetDeltaCount"], 2);
        assert_eq!(record["reversePacketDeltaCount"], 1);
        assert_eq!(record["octetDeltaCount"], 120);
        assert_eq!(record["reverseOctetDeltaCount"], 60);
        assert_eq!(record["tcpControlBits"], 0x12);
        assert_eq!(record["reverseTcpControlBits"], 0x12);
        assert_eq!(record["biflowDirection"], 1);
    }
}

/// A flow with one direction has a template without reverse elements (RFC 5103 section 3).
#[test]
fn one_direction_alone_has_no_reverse_elements() {
    let records = probe(&[ipv6(1, host(2), 17, &udp(5, 6, &[]))], None, &["--biflow"]);
    assert_eq!(records.len(), 1);
    assert!(records[0].get("reversePacketDeltaCount").is_none(), "{}", records[0]);
}

/// With `--chain-key` packets with another chain of extension headers are another flow.
#[test]
fn the_chain_as_a_key_splits_a_flow() {
    let plain = ipv6(1, host(2), 17, &udp(5, 6, &[]));
    let mut options = vec![17, 0, 1, 4, 0, 0, 0, 0];
    options.extend(udp(5, 6, &[]));
    let chained = ipv6(1, host(2), 60, &options);
    let frames = [plain.clone(), chained.clone(), plain, chained];
    assert_eq!(probe(&frames, None, &[]).len(), 1);
    let records = probe(&frames, None, &["--chain-key"]);
    assert_eq!(records.len(), 2, "{records:?}");
    assert!(records.iter().all(|record| record["packetDeltaCount"] == 2));
}
