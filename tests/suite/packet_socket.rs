//! The packet socket on a veth pair: every frame lent or counted, tags in place, pairs of hosts kept together.
//!
//! Needs root; each test says so by name where it has none.

#![allow(unsafe_code, reason = "system calls of the sender")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::wire::{self, Sender, in_namespace};
use sixtap::capture::packet_socket::{self, Options, PacketSocket};
use sixtap::capture::{CaptureError, Frame, Poll, Source};

const TICK: Duration = Duration::from_millis(100);

fn open_one(options: &Options) -> PacketSocket {
    let mut sources = packet_socket::open(options).expect("packet socket on veth");
    assert_eq!(sources.len(), 1);
    sources.remove(0)
}

fn drain(source: &mut PacketSocket, mut each: impl FnMut(&Frame<'_>)) {
    while source.poll(TICK, &mut |frames| frames.iter().for_each(&mut each)).expect("poll")
        != Poll::Idle
    {}
}

#[test]
fn frames_arrive_whole_and_in_order() {
    in_namespace("packet_socket::frames_arrive_whole_and_in_order", || {
        wire::pair(9100, 1);
        let mut source = open_one(&Options::new("rx"));
        let mut sender = Sender::open("tx");
        let lengths: Vec<usize> =
            (0..5000).map(|number| [80, 1514, 9000, 71][number % 4]).collect();
        let mut expected = 0;
        let mut last = sixtap::capture::Timestamp::default();
        let mut check = |frame: &Frame<'_>| {
            assert_eq!(wire::sequence(frame.data), expected);
            assert_eq!(frame.data.len(), lengths[expected as usize]);
            assert_eq!(frame.wire_length as usize, frame.data.len());
            assert!(frame.time >= last && frame.time.seconds() > 1_600_000_000);
            last = frame.time;
            expected += 1;
        };
        for (number, &length) in lengths.iter().enumerate() {
            assert!(sender.send(&wire::frame(number as u64, length)));
            if number % 500 == 499 {
                drain(&mut source, &mut check);
            }
        }
        source.stop();
        drain(&mut source, &mut check);
        assert_eq!(expected, 5000);
        let counters = source.counters();
        assert_eq!((counters.delivered, counters.kernel_dropped), (5000, 0));
        assert_eq!((counters.nic_received, counters.nic_missed), (5000, 0));
    });
}

#[test]
fn every_frame_lost_under_overload_is_counted_once() {
    in_namespace("packet_socket::every_frame_lost_under_overload_is_counted_once", || {
        wire::pair(1500, 1);
        let mut source = open_one(&Options { ring: 1 << 20, ..Options::new("rx") });
        let mut sender = Sender::open("tx");
        let frame = wire::frame(0, 200);
        for number in 0..100_000 {
            sender.send(&frame);
            if number % 20_000 == 0 {
                source.poll(TICK, &mut |_| {}).expect("poll");
            }
        }
        source.stop();
        drain(&mut source, |_| {});
        let counters = source.counters();
        assert!(counters.kernel_dropped > 0, "{counters:?}");
        assert_eq!(
            sender.attempted,
            counters.delivered + counters.kernel_dropped + counters.nic_missed,
            "{counters:?}"
        );
        assert!(
            !sender.send(&frame) || {
                drain(&mut source, |_| panic!("stopped"));
                true
            }
        );
    });
}

#[test]
fn vlan_tags_are_in_the_frame() {
    in_namespace("packet_socket::vlan_tags_are_in_the_frame", || {
        wire::pair(1500, 1);
        let mut source = open_one(&Options::new("rx"));
        let mut sender = Sender::open("tx");
        let plain = wire::frame(7, 80);
        let tagged = |tags: &[u8]| [&plain[..12], tags, &plain[12..]].concat();
        let sent = [
            plain.clone(),
            tagged(&[0x81, 0x00, 0x20, 0x64]),
            tagged(&[0x88, 0xa8, 0x00, 0x05, 0x81, 0x00, 0x00, 0x64]),
        ];
        for frame in &sent {
            assert!(sender.send(frame));
        }
        let mut seen = Vec::new();
        drain(&mut source, |frame| {
            assert_eq!(frame.wire_length as usize, frame.data.len());
            seen.push(frame.data.to_vec());
        });
        assert_eq!(seen, sent);
    });
}

/// Plain packets, fragments and packets with extension headers of the same two hosts, both directions.
#[test]
fn a_pair_of_hosts_stays_in_one_socket() {
    in_namespace("packet_socket::a_pair_of_hosts_stays_in_one_socket", || {
        wire::pair(1500, 1);
        let mut sources =
            packet_socket::open(&Options { sockets: 4, ..Options::new("rx") }).expect("open");
        let mut sender = Sender::open("tx");
        let mut sent = 0;
        for host in 0..64u8 {
            for shape in 0..5 {
                let mut frame = wire::frame(u64::from(host), 100);
                frame[37] = host;
                match shape {
                    0 => frame[55] = host,                                   // another port
                    1 => frame[20] = 44,                                     // a fragment
                    2 => frame[20] = 60,                                     // an extension header
                    3 => frame[14..18].copy_from_slice(&[0x60, 1, 2, host]), // a flow label
                    _ => {
                        let (source, destination) = frame[22..54].split_at_mut(16);
                        source.swap_with_slice(destination);
                    }
                }
                for tag in [&[][..], &[0x81, 0, 0, 9], &[0x88, 0xa8, 0, 9, 0x81, 0, 0, 9]] {
                    assert!(sender.send(&[&frame[..12], tag, &frame[12..]].concat()));
                    sent += 1;
                }
            }
        }
        let mut sockets_of_host: BTreeMap<u64, BTreeSet<usize>> = BTreeMap::new();
        let mut loads = vec![0; sources.len()];
        for (number, source) in sources.iter_mut().enumerate() {
            drain(source, |frame| {
                let tags = frame.data.len() - 100;
                sockets_of_host
                    .entry(wire::sequence(&frame.data[tags..]))
                    .or_default()
                    .insert(number);
                loads[number] += 1;
            });
        }
        assert_eq!(loads.iter().sum::<u32>(), sent);
        assert!(sockets_of_host.values().all(|sockets| sockets.len() == 1), "{sockets_of_host:?}");
        assert!(loads.iter().all(|&load| load > sent / 16), "uneven: {loads:?}");
    });
}

/// The thread that reads has no capability left, as the probe's workers have none.
#[test]
fn an_interface_that_comes_back_is_read_again() {
    in_namespace("packet_socket::an_interface_that_comes_back_is_read_again", || {
        wire::pair(1500, 1);
        let mut source = open_one(&Options::new("rx"));
        let (seen, done) = (AtomicU64::new(0), AtomicBool::new(false));
        let round = |sender: &mut Sender| {
            let expected = seen.load(Ordering::Acquire) + 1;
            let deadline = Instant::now() + Duration::from_secs(10);
            while seen.load(Ordering::Acquire) < expected {
                assert!(Instant::now() < deadline, "{expected} are not seen");
                assert!(sender.send(&wire::frame(0, 80)));
                std::thread::sleep(Duration::from_millis(20));
            }
        };
        let promiscuous = || {
            wire::output("ip", &["-details", "link", "show", "dev", "rx"])
                .contains("promiscuity 1 ")
        };
        let counters = std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let none = rustix::thread::CapabilitySets {
                    effective: rustix::thread::CapabilitySet::empty(),
                    permitted: rustix::thread::CapabilitySet::empty(),
                    inheritable: rustix::thread::CapabilitySet::empty(),
                };
                rustix::thread::set_capabilities(None, none).expect("fewer are always allowed");
                while !done.load(Ordering::Acquire) {
                    drain(&mut source, |_| {
                        seen.fetch_add(1, Ordering::Release);
                    });
                    // What an interface counted after it was asked last goes with it.
                    source.counters();
                }
                source.counters()
            });
            // Ends the reader also when something below fails.
            let ended = Set(&done);
            round(&mut Sender::open("tx"));
            assert!(promiscuous());
            wire::run("ip", &["link", "set", "dev", "rx", "down"]);
            std::thread::sleep(2 * TICK);
            wire::run("ip", &["link", "set", "dev", "rx", "up"]);
            round(&mut Sender::open("tx"));
            std::thread::sleep(3 * TICK);
            wire::run("ip", &["link", "del", "dev", "rx"]);
            std::thread::sleep(2 * TICK);
            wire::pair(1500, 1);
            round(&mut Sender::open("tx"));
            assert!(promiscuous(), "not promiscuous again");
            drop(ended);
            reader.join().expect("reader")
        });
        assert_eq!(counters.delivered, seen.into_inner());
        assert!(counters.nic_received >= 3, "{counters:?}");
    });
}

/// Sets a flag when it goes.
struct Set<'a>(&'a AtomicBool);

impl Drop for Set<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn obstacles_are_named_with_their_cure() {
    in_namespace("packet_socket::obstacles_are_named_with_their_cure", || {
        wire::pair(1500, 1);
        let refusal = |options: &Options| packet_socket::open(options).expect_err("an obstacle");
        let error = refusal(&Options::new("eth7"));
        assert!(
            matches!(&error, CaptureError::Environment(line) if line.contains("rx, tx")),
            "{error}"
        );
        assert!(matches!(
            refusal(&Options { sockets: 0, ..Options::new("rx") }),
            CaptureError::Usage(_)
        ));
        assert!(matches!(
            refusal(&Options { ring: 4096, ..Options::new("rx") }),
            CaptureError::Usage(_)
        ));
        wire::run("ip", &["link", "set", "dev", "rx", "down"]);
        assert!(refusal(&Options::new("rx")).to_string().contains("ip link set rx up"));
    });
}
