//! `sixtap probe -i` on a veth pair: the whole way from a frame to a record, by AF_XDP and by packet socket.
//!
//! Needs root; each test says so by name where it has none.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end so")]
#![cfg(feature = "xdp")]
#![allow(unsafe_code, reason = "system calls of the sender")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::wire::{self, Sender, in_namespace};
use serde_json::Value;

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
    in_namespace("probe_live::a_probe_by_af_xdp_meters_every_packet", || {
        wire::pair(1500, 2);
        for options in [
            &["--quiet"][..],
            &["--busy-poll"],
            &["--keep-settings", "--ring", "2048"],
            &["--timestamps", "packet"],
            &["--workers", "1"],
        ] {
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
    in_namespace("probe_live::a_probe_by_packet_socket_meters_every_packet", || {
        wire::pair(1500, 1);
        for options in [&["--packet-socket"][..], &["--packet-socket=2"]] {
            let ledger = all_packets_are_in_records(options);
            assert_eq!(number(&ledger, "/capture/delivered"), 1000, "{ledger:#}");
            assert_eq!(number(&ledger, "/capture/kernel_dropped"), 0, "{ledger:#}");
        }
    });
}

/// A frame of several buffers whose extension headers lie across a boundary: Destination Options (RFC 8200 section 4.6) of so many
/// octets that the UDP header begins about where the first buffer of 2048 ends, or within it, or in the next.
#[test]
fn headers_that_straddle_buffers_are_read() {
    in_namespace("probe_live::headers_that_straddle_buffers_are_read", || {
        wire::pair(9100, 1);
        for options in [&["--timestamps", "packet"][..], &[]] {
            let child = probe(&[&["--template", "full", "--quiet"], options].concat());
            until_promiscuous();
            std::thread::sleep(Duration::from_millis(300));
            let mut sender = Sender::open("tx");
            let lengths: Vec<usize> = (1680..1800).step_by(8).chain([2040]).collect();
            for (number, &length) in lengths.iter().enumerate() {
                let frame = with_options(5000 + number as u16, length);
                while !sender.send(&frame) {}
            }
            std::thread::sleep(Duration::from_millis(300));
            let (records, ledger) = ended(child);
            for (port, length) in lengths.iter().enumerate() {
                let flow = records
                    .iter()
                    .find(|record| record["sourceTransportPort"] == 5000 + port)
                    .unwrap_or_else(|| panic!("no record, options of {length}: {ledger:#}"));
                assert_eq!(number(flow, "/octetDeltaCount"), 9000 - 14, "{flow:#}");
                assert_eq!(flow["protocolIdentifier"], 17, "{flow:#}");
            }
            assert_eq!(number(&ledger, "/capture/delivered"), lengths.len() as u64);
            assert_eq!(ledger["balances"], true, "{ledger:#}");
        }
    });
}

/// 9000 octets: IPv6, Destination Options of `length` octets, UDP from `port`.
fn with_options(port: u16, length: usize) -> Vec<u8> {
    let plain = wire::frame(0, 9000 - length);
    let mut frame = plain[..54].to_vec();
    frame[20] = 60;
    frame[18..20].copy_from_slice(&(9000u16 - 54).to_be_bytes());
    let mut header = vec![0u8; length];
    (header[0], header[1]) = (17, u8::try_from(length / 8 - 1).expect("at most 2048"));
    // PadN: type, length, and at most 255 octets. None is left with one octet, which would be a Pad1.
    let mut at = 2;
    while at < length {
        let option = (length - at).min(250);
        let option = if length - at - option == 1 { option - 1 } else { option };
        (header[at], header[at + 1]) = (1, u8::try_from(option - 2).expect("at most 248"));
        at += option;
    }
    frame.extend(header);
    frame.extend(&plain[54..]);
    frame[54 + length..56 + length].copy_from_slice(&port.to_be_bytes());
    assert_eq!(frame.len(), 9000);
    frame
}

/// The two directions of a tap: two interfaces, each with its own program and its number in the record.
#[test]
fn two_interfaces_are_captured_at_once() {
    in_namespace("probe_live::two_interfaces_are_captured_at_once", || {
        wire::pair(1500, 2);
        wire::run("ip", &["link", "add", "tx2", "type", "veth", "peer", "name", "rx2"]);
        for name in ["tx2", "rx2"] {
            wire::run("ip", &["link", "set", name, "up"]);
        }
        for options in [
            &["-i", "rx2"][..],
            &["-i", "rx2", "--workers", "1"],
            &["-i", "rx2", "--packet-socket"],
            &["-i", "rx2", "--packet-socket=2"],
        ] {
            let child = probe(&[&["--template", "full", "--quiet"], options].concat());
            until_promiscuous();
            std::thread::sleep(Duration::from_millis(500));
            for (interface, port) in [("tx", 6000u16), ("tx2", 6001)] {
                let mut sender = Sender::open(interface);
                for packet in 0..200 {
                    let mut frame = wire::frame(packet, 100);
                    frame[54..56].copy_from_slice(&port.to_be_bytes());
                    assert!(sender.send(&frame));
                }
            }
            std::thread::sleep(Duration::from_millis(300));
            let (records, ledger) = ended(child);
            for (interface, port) in [("rx", 6000), ("rx2", 6001)] {
                let index = wire::output("cat", &[&format!("/sys/class/net/{interface}/ifindex")]);
                let flows: Vec<&Value> =
                    records.iter().filter(|record| record["sourceTransportPort"] == port).collect();
                let packets: u64 = flows.iter().map(|flow| number(flow, "/packetDeltaCount")).sum();
                assert_eq!(packets, 200, "{ledger:#}");
                for flow in flows {
                    assert_eq!(flow["ingressInterface"].to_string(), index.trim(), "{flow:#}");
                }
            }
            let names: Vec<&Value> = ledger["interfaces"]
                .as_array()
                .expect("interfaces")
                .iter()
                .map(|interface| &interface["name"])
                .collect();
            assert_eq!(names, ["rx", "rx2"]);
            assert_eq!(number(&ledger, "/capture/delivered"), 400, "{ledger:#}");
            assert!(!wire::has_program("rx") && !wire::has_program("rx2"));
        }
    });
}

/// A sender faster than the probe: what was sent is what the interface lost and what the program saw; what the program saw is what
/// was lost on the way and what was metered; what was metered is in records.
#[test]
fn under_overload_every_packet_is_in_one_counter() {
    in_namespace("probe_live::under_overload_every_packet_is_in_one_counter", || {
        wire::pair(1500, 1);
        for options in [&["--ring", "256"][..], &["--ring", "256", "--timestamps", "packet"]] {
            let child = probe(&[&["--quiet"], options].concat());
            until_promiscuous();
            std::thread::sleep(Duration::from_millis(300));
            let process = rustix::process::Pid::from_child(&child);
            let signal = |signal| rustix::process::kill_process(process, signal).expect("signal");
            let mut sender = Sender::open("tx");
            for round in 0..20u64 {
                // The worker is away for a while, as if it were slow.
                signal(rustix::process::Signal::STOP);
                for packet in 0..2000 {
                    sender.send(&wire::frame(round * 2000 + packet, 100));
                }
                signal(rustix::process::Signal::CONT);
                std::thread::sleep(Duration::from_millis(5));
                for packet in 0..2000 {
                    sender.send(&wire::frame(packet, 100));
                }
            }
            std::thread::sleep(Duration::from_millis(500));
            let (records, ledger) = ended(child);
            let of = |name: &str| number(&ledger, &format!("/capture/{name}"));
            assert!(of("ring_full") + of("fill_empty") > 10_000, "no overload: {ledger:#}");
            let before =
                ["nic_missed", "nic_fifo", "nic_over", "nic_dropped"].map(of).iter().sum::<u64>();
            assert_eq!(sender.attempted, before + of("program_seen"), "{ledger:#}");
            let behind =
                ["ring_full", "fill_empty", "dropped", "invalid"].map(of).iter().sum::<u64>();
            assert_eq!(of("program_redirected"), of("delivered") + behind, "{ledger:#}");
            assert_eq!(ledger["balances"], true, "{ledger:#}");
            let in_records: u64 =
                records.iter().filter_map(|record| record["packetDeltaCount"].as_u64()).sum();
            assert_eq!(sender.attempted, in_records + before + behind, "{ledger:#}");
            assert_eq!(number(&ledger, "/lost"), before + behind);
        }
    });
}

/// Processors in order, one a worker; with fewer of them the workers take them in turn, and that is said.
#[test]
fn workers_stay_on_their_processors() {
    in_namespace("probe_live::workers_stay_on_their_processors", || {
        wire::pair(1500, 4);
        let last = std::thread::available_parallelism().map_or(1, usize::from) - 1;
        for (cpus, expected) in [
            (format!("0,{last},0,{last}"), vec![0, last, 0, last]),
            (format!("{last}"), vec![last; 4]),
            (format!("{last},0"), vec![last, 0, last, 0]),
        ] {
            let child = probe(&["--quiet", "--cpus", &cpus]);
            until_promiscuous();
            std::thread::sleep(Duration::from_millis(500));
            assert_eq!(processors_of_workers(child.id()), expected, "--cpus {cpus}");
            let fewer = said_at_end(child).contains("4 workers take the");
            assert_eq!(fewer, cpus.split(',').count() < 4, "--cpus {cpus}");
        }
        // Not there: said before the interface is touched.
        let output = probe(&["--cpus", "0,1023"]).wait_with_output().expect("sixtap");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("--cpus 0,1023: no worker can be on processor 1023"), "{said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    });
}

/// The processor of each worker, by the workers' numbers.
fn processors_of_workers(process: u32) -> Vec<usize> {
    let mut workers: Vec<(String, usize)> = std::fs::read_dir(format!("/proc/{process}/task"))
        .expect("tasks")
        .filter_map(|task| {
            let task = task.expect("a task").path();
            let name = std::fs::read_to_string(task.join("comm")).ok()?.trim().to_owned();
            let status = std::fs::read_to_string(task.join("status")).ok()?;
            let allowed =
                status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
            let worker = name.starts_with("worker-");
            worker.then(|| (name, allowed.trim().parse().expect("one processor")))
        })
        .collect();
    workers.sort();
    workers.into_iter().map(|(_, processor)| processor).collect()
}

/// Interrupts the probe; gives what it said.
fn said_at_end(child: Child) -> String {
    let process = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(process, rustix::process::Signal::INT).expect("SIGINT");
    let output = child.wait_with_output().expect("wait");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

/// Fragments and packets with extension headers of a flow come on other queues than the rest of it where the interface cannot be
/// told to spread by addresses, as veth. One worker for all queues makes one record of them all the same.
#[test]
fn a_flow_over_several_queues_is_one_record() {
    in_namespace("probe_live::a_flow_over_several_queues_is_one_record", || {
        wire::pair(1500, 4);
        let child = probe(&["--quiet", "--workers", "1"]);
        until_promiscuous();
        std::thread::sleep(Duration::from_millis(300));
        let mut sender = Sender::open("tx");
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        for packet in 0..120usize {
            // veth takes the queue of the sending processor: so a flow's packets come on several.
            let mut set = rustix::thread::CpuSet::new();
            set.set(packet % processors);
            rustix::thread::sched_setaffinity(None, &set).expect("affinity");
            assert!(sender.send(&one_of_a_flow(packet)));
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(300));
        let (records, ledger) = ended(child);
        let flows: Vec<&Value> =
            records.iter().filter(|record| record["packetDeltaCount"].is_number()).collect();
        assert_eq!(flows.len(), 1, "{records:#?}");
        assert_eq!(number(flows[0], "/packetDeltaCount"), 120);
        assert_eq!(flows[0]["sourceTransportPort"], 4000);
        assert_eq!(ledger["interfaces"][0]["queues"], serde_json::json!([0, 1, 2, 3]));
        assert_eq!(ledger["balances"], true);
    });
}

/// In turn: a plain packet, one with Destination Options, and the two fragments of a datagram.
fn one_of_a_flow(packet: usize) -> Vec<u8> {
    let plain = wire::frame(packet as u64, 118);
    let with_header = |kind: u8, header: [u8; 8], payload: &[u8]| {
        let mut frame = [&plain[..54], &header, payload].concat();
        frame[20] = kind;
        let length = (frame.len() - 54) as u16;
        frame[18..20].copy_from_slice(&length.to_be_bytes());
        frame
    };
    // RFC 8200 section 4.5: next header, reserved, offset in 8 octets and the M flag, identification.
    let fragment = |offset: u16, more: u16| {
        let [high, low] = (offset << 3 | more).to_be_bytes();
        [17, 0, high, low, 0, 0, 0, (packet / 4) as u8]
    };
    match packet % 4 {
        0 => plain,
        1 => with_header(60, [17, 0, 1, 4, 0, 0, 0, 0], &plain[54..]),
        2 => with_header(44, fragment(0, 1), &plain[54..86]),
        _ => with_header(44, fragment(4, 0), &plain[86..]),
    }
}

/// As a systemd unit with AmbientCapabilities has it: another user, three capabilities, no more.
#[test]
fn three_capabilities_are_enough() {
    in_namespace("probe_live::three_capabilities_are_enough", || {
        wire::pair(1500, 1);
        // Limits can be lowered everywhere, so the small ring stands for memory enough.
        const ENOUGH: &str = "6000000";
        const NOT_ENOUGH: &str = "1000000";
        let bounded = |capabilities: &str, memory: &str, timestamps: &str| {
            Command::new("prlimit")
                .arg(format!("--memlock={memory}"))
                .args(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
                .arg(format!("--inh-caps=-all{capabilities}"))
                .arg(format!("--ambient-caps=-all{capabilities}"))
                .arg("--bounding-set=-all,+net_raw,+net_admin,+bpf")
                .arg(env!("CARGO_BIN_EXE_sixtap"))
                .args([
                    "probe",
                    "-i",
                    "rx",
                    "-c",
                    "json:-",
                    "--for",
                    "1",
                    "--stats",
                    "json",
                    "--ring",
                    "64",
                    "--timestamps",
                    timestamps,
                ])
                .output()
                .expect("prlimit and setpriv (package util-linux)")
        };
        let all = ",+net_raw,+net_admin,+bpf";
        for timestamps in ["batch", "packet", "nic-utc"] {
            let enough = bounded(all, ENOUGH, timestamps);
            let said = String::from_utf8_lossy(&enough.stderr).into_owned();
            assert!(
                enough.status.success() && said.contains("program_seen"),
                "{timestamps}: {said}"
            );
        }
        for (capabilities, memory, reason) in [
            (",+net_raw,+net_admin", ENOUGH, "CAP_BPF"),
            ("", ENOUGH, "CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF"),
            (all, NOT_ENOUGH, "LimitMEMLOCK"),
        ] {
            let refused = bounded(capabilities, memory, "batch");
            let said = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert_eq!(refused.status.code(), Some(3), "{said}");
            assert_eq!(said.matches("sixtap:").count(), 1, "{said}");
            assert!(said.contains(reason), "{said}");
        }
        assert!(!wire::has_program("rx"));
    });
}
