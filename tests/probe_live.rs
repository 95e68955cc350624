//! `sixtap probe -i` on a veth pair: the whole way from a frame to a record, by AF_XDP and by packet socket.
//!
//! Needs root; each test says so by name where it has none.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end so")]
#![cfg(feature = "xdp")]
#![allow(unsafe_code, reason = "system calls of the sender")]

mod wire;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use wire::{Sender, in_namespace};

fn probe(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_sixtap"))
        .args(["probe", "-i", "rx", "-c", "json:-", "--stats", "json"])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("sixtap")
}

/// Waits until the probe takes frames.
fn until_promiscuous() {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !wire::output("ip", &["-details", "link", "show", "dev", "rx"]).contains("promiscuity 1 ")
    {
        assert!(Instant::now() < deadline, "the probe does not open rx");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Interrupts the probe; gives its records and its ledger.
fn ended(mut child: Child) -> (Vec<Value>, Value) {
    let process = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(process, rustix::process::Signal::INT).expect("SIGINT");
    let records = BufReader::new(child.stdout.take().expect("stdout"))
        .lines()
        .map_while(Result::ok)
        .map(|line| serde_json::from_str(&line).expect("a JSON line"))
        .collect();
    let mut rest = String::new();
    child.stderr.take().expect("stderr").read_to_string(&mut rest).expect("stderr");
    assert!(child.wait().expect("wait").success(), "{rest}");
    let json =
        rest.find('{').map(|start| &rest[start..]).unwrap_or_else(|| panic!("no ledger: {rest}"));
    (records, serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {rest}")))
}

fn number(of: &Value, path: &str) -> u64 {
    of.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {path}: {of:#}"))
}

/// 20 flows of 50 packets; every one is in a record.
fn all_packets_are_in_records(arguments: &[&str]) -> Value {
    let child = probe(arguments);
    until_promiscuous();
    std::thread::sleep(Duration::from_millis(300));
    let mut sender = Sender::open("tx");
    for packet in 0..1000u16 {
        let mut frame = wire::frame(u64::from(packet), 100);
        frame[54..56].copy_from_slice(&(5000 + packet % 20).to_be_bytes());
        assert!(sender.send(&frame));
    }
    std::thread::sleep(Duration::from_millis(300));
    let (records, ledger) = ended(child);
    // The kernel chooses veth's queue by the sender's processor, so a flow may have a record from each worker.
    let mut packets = std::collections::BTreeMap::<u64, u64>::new();
    for flow in records.iter().filter(|record| record["sourceTransportPort"].is_number()) {
        let count = number(flow, "/packetDeltaCount");
        *packets.entry(number(flow, "/sourceTransportPort")).or_default() += count;
        assert_eq!(number(flow, "/octetDeltaCount"), count * 86, "{flow:#}");
        assert_eq!(flow["sourceIPv6Address"], "2001:db8::1");
    }
    assert_eq!(packets.len(), 20, "{records:#?}");
    assert!(packets.values().all(|&count| count == 50), "{arguments:?} {packets:?} {ledger:#}");
    ledger
}

#[test]
fn a_probe_by_af_xdp_meters_every_packet() {
    in_namespace("a_probe_by_af_xdp_meters_every_packet", || {
        wire::pair(1500, 2);
        for options in [&["--quiet"][..], &["--busy-poll"], &["--keep-settings", "--ring", "2048"]]
        {
            let ledger = all_packets_are_in_records(options);
            assert_eq!(number(&ledger, "/capture/program_seen"), 1000, "{ledger:#}");
            assert_eq!(number(&ledger, "/capture/delivered"), 1000, "{ledger:#}");
            assert_eq!(number(&ledger, "/capture/nic_missed"), 0, "{ledger:#}");
            assert!(!wire::has_program("rx"));
        }
    });
}

#[test]
fn a_probe_by_packet_socket_meters_every_packet() {
    in_namespace("a_probe_by_packet_socket_meters_every_packet", || {
        wire::pair(1500, 1);
        for options in [&["--packet-socket"][..], &["--packet-socket=2"]] {
            let ledger = all_packets_are_in_records(options);
            assert_eq!(number(&ledger, "/capture/delivered"), 1000, "{ledger:#}");
            assert_eq!(number(&ledger, "/capture/kernel_dropped"), 0, "{ledger:#}");
        }
    });
}

/// As a systemd unit with AmbientCapabilities has it: another user, three capabilities, no more.
#[test]
fn three_capabilities_are_enough() {
    in_namespace("three_capabilities_are_enough", || {
        wire::pair(1500, 1);
        // Limits can be lowered everywhere, so the small ring stands for memory enough.
        const ENOUGH: &str = "6000000";
        const NOT_ENOUGH: &str = "1000000";
        let bounded = |capabilities: &str, memory: &str| {
            Command::new("prlimit")
                .arg(format!("--memlock={memory}"))
                .args(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
                .arg(format!("--inh-caps=-all{capabilities}"))
                .arg(format!("--ambient-caps=-all{capabilities}"))
                .arg("--bounding-set=-all,+net_raw,+net_admin,+bpf")
                .arg(env!("CARGO_BIN_EXE_sixtap"))
                .args([
                    "probe", "-i", "rx", "-c", "json:-", "--for", "1", "--stats", "json", "--ring",
                    "64",
                ])
                .output()
                .expect("prlimit and setpriv (package util-linux)")
        };
        let all = ",+net_raw,+net_admin,+bpf";
        let enough = bounded(all, ENOUGH);
        let said = String::from_utf8_lossy(&enough.stderr).into_owned();
        assert!(enough.status.success() && said.contains("program_seen"), "{said}");
        for (capabilities, memory, reason) in [
            (",+net_raw,+net_admin", ENOUGH, "CAP_BPF"),
            ("", ENOUGH, "CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF"),
            (all, NOT_ENOUGH, "LimitMEMLOCK"),
        ] {
            let refused = bounded(capabilities, memory);
            let said = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert_eq!(refused.status.code(), Some(3), "{said}");
            assert_eq!(said.matches("sixtap:").count(), 1, "{said}");
            assert!(said.contains(reason), "{said}");
        }
        assert!(!wire::has_program("rx"));
    });
}
