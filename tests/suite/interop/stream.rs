//! Runs `sixtap probe` over a capture and hands its export to everybody who listens.

use crate::sink::Sink;
use std::fs;
use std::io::{self, Write as _};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Timeouts so long that every flow is one record, unless its TCP connection ended in between.
const ONE_RECORD_A_FLOW: [&str; 4] = ["--active", "36000", "--idle", "36000"];

/// Meters `capture` and returns the datagrams of its export.
pub(crate) fn export(capture: &Path) -> Vec<Vec<u8>> {
    let sink = Sink::listen("127.0.0.1:0").expect("a socket on loopback");
    let output = probe(capture, &[format!("udp://127.0.0.1:{}", sink.port)]);
    assert!(output.status.success(), "probe: {}", String::from_utf8_lossy(&output.stderr));
    sink.datagrams()
}

/// Sends datagrams from one socket, no faster than `read` says that the collector reads.
pub(crate) fn replay(datagrams: &[Vec<u8>], port: u16, read: impl Fn(u16)) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket on loopback");
    for few in datagrams.chunks(16) {
        for datagram in few {
            socket.send_to(datagram, ("127.0.0.1", port)).expect("sent on loopback");
        }
        read(port);
    }
}

/// Meters `capture` and exports to all of `collectors`.
pub(crate) fn probe(capture: &Path, collectors: &[String]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sixtap"));
    command.args(["probe", "-r"]).arg(capture).args(ONE_RECORD_A_FLOW);
    for collector in collectors {
        command.args(["-c", collector]);
    }
    command.output().expect("sixtap runs")
}

/// The crafted suite as a capture file in `folder`, and its truth.
pub(crate) fn craft(folder: &Path) -> (PathBuf, PathBuf) {
    let (capture, truth) = (folder.join("crafted.pcap"), folder.join("crafted.json"));
    let output = Command::new(env!("CARGO_BIN_EXE_sixtap"))
        .args(["craft", "--only", "all", "-w"])
        .arg(&capture)
        .arg("--truth")
        .arg(&truth)
        .output()
        .expect("sixtap runs");
    assert!(output.status.success(), "craft: {}", String::from_utf8_lossy(&output.stderr));
    (capture, truth)
}

/// The datagrams as a capture file of UDP packets to port 4739, for tshark.
pub(crate) fn write_capture(datagrams: &[Vec<u8>], path: PathBuf) -> io::Result<PathBuf> {
    const RAW: u32 = 101;
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, RAW] {
        file.extend(word.to_le_bytes());
    }
    for (second, datagram) in datagrams.iter().enumerate() {
        let packet = udp_packet(datagram);
        let (second, length) = (second as u32, packet.len() as u32);
        for word in [second, 0, length, length] {
            file.extend(word.to_le_bytes());
        }
        file.extend(packet);
    }
    fs::File::create(&path)?.write_all(&file)?;
    Ok(path)
}

fn udp_packet(payload: &[u8]) -> Vec<u8> {
    let builder =
        etherparse::PacketBuilder::ipv4([127, 0, 0, 1], [127, 0, 0, 1], 64).udp(40_000, 4739);
    let mut packet = Vec::with_capacity(builder.size(payload.len()));
    builder.write(&mut packet, payload).expect("a vector takes all");
    packet
}

/// The datagrams one after the other: an IPFIX file (RFC 5655 section 4).
pub(crate) fn write_file(datagrams: &[Vec<u8>], path: PathBuf) -> io::Result<PathBuf> {
    fs::write(&path, datagrams.concat())?;
    Ok(path)
}
