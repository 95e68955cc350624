//! AF_XDP on a veth pair: every frame lent or counted, and nothing left behind.
//!
//! Needs root; each test says so by name where it has none.

#![cfg(feature = "xdp")]
#![allow(unsafe_code, reason = "system calls of the sender")]

mod life;
mod queues;
mod time;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::wire::{self, Sender, in_namespace};
use sixtap::capture::xdp::{self, Options, Require, XdpSource};
use sixtap::capture::{CaptureError, Poll, Source, SourceCounters};

const TICK: Duration = Duration::from_millis(50);

fn open_one(options: &Options) -> XdpSource {
    let mut sources = xdp::open(options).expect("AF_XDP on veth");
    assert_eq!(sources.len(), 1);
    sources.remove(0)
}

/// Every frame the program saw is redirected, passed or failed; every redirected frame is lent or lost in one place.
#[track_caller]
fn assert_balanced(counters: &SourceCounters) {
    assert_eq!(
        counters.program_seen,
        counters.program_redirected + counters.program_passed + counters.program_failed,
        "{counters:?}"
    );
    assert_eq!(
        counters.program_redirected,
        counters.delivered
            + counters.ring_full
            + counters.fill_empty
            + counters.dropped
            + counters.invalid,
        "{counters:?}"
    );
}

fn drain(source: &mut XdpSource) {
    while source.poll(TICK, &mut |_| {}).expect("poll") != Poll::Idle {}
}

#[test]
fn a_million_frames_are_all_counted() {
    const FRAMES: u64 = 1_000_000;
    /// Fewer than veth's ring has entries, so that no loss is allowed.
    const ON_THE_WAY: u64 = 192;
    in_namespace("af_xdp::a_million_frames_are_all_counted", || {
        wire::pair(1500, 1);
        let mut source = open_one(&Options::new("rx"));
        assert!(source.mode().native && !source.mode().zero_copy, "{:?}", source.steps());
        assert!(source.mode().multi_buffer, "{:?}", source.steps());
        let lent = AtomicU64::new(0);
        let start = Instant::now();
        let in_time = || start.elapsed() < Duration::from_secs(120);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut sender = Sender::open("tx");
                let mut frame = wire::frame(0, 80);
                for sequence in 0..FRAMES {
                    while sequence - lent.load(Ordering::Acquire) >= ON_THE_WAY && in_time() {
                        std::thread::yield_now();
                    }
                    wire::set_sequence(&mut frame, sequence);
                    assert!(
                        sender.send(&frame),
                        "veth lost frame {sequence} with room in its ring"
                    );
                }
            });
            let mut expected = 0;
            while expected < FRAMES {
                assert!(in_time(), "stuck at {expected} after {:?}", source.counters());
                source
                    .poll(TICK, &mut |frames| {
                        for frame in frames {
                            assert_eq!(wire::sequence(frame.data), expected, "order");
                            assert_eq!((frame.data.len(), frame.wire_length), (80, 80));
                            expected += 1;
                        }
                        lent.store(expected, Ordering::Release);
                    })
                    .expect("poll");
            }
        });
        source.stop();
        drain(&mut source);
        let counters = source.counters();
        assert_eq!(counters.delivered, FRAMES);
        assert_eq!(counters.program_seen, FRAMES);
        assert_eq!(counters.nic_received, FRAMES);
        assert_eq!(counters.nic_missed, 0);
        assert_balanced(&counters);
        println!("{FRAMES} frames in {:.1?}, mode {}", start.elapsed(), source.mode());
    });
}

#[test]
fn every_frame_lost_under_overload_is_counted_once() {
    in_namespace("af_xdp::every_frame_lost_under_overload_is_counted_once", || {
        wire::pair(1500, 1);
        let mut source = open_one(&Options { ring: 1024, ..Options::new("rx") });
        let mut sender = Sender::open("tx");
        let done = AtomicBool::new(false);
        let attempted = AtomicU64::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let frame = wire::frame(0, 80);
                for _ in 0..300_000 {
                    sender.send(&frame);
                }
                attempted.store(sender.attempted, Ordering::Release);
                done.store(true, Ordering::Release);
            });
            while !done.load(Ordering::Acquire) {
                source
                    .poll(TICK, &mut |_| std::thread::sleep(Duration::from_millis(5)))
                    .expect("poll");
            }
        });
        drain(&mut source);
        source.stop();
        drain(&mut source);
        let counters = source.counters();
        assert!(counters.ring_full > 0, "the ring never filled: {counters:?}");
        assert_eq!(
            attempted.into_inner(),
            counters.nic_missed + counters.program_seen,
            "{counters:?}"
        );
        assert_balanced(&counters);
        println!("{counters:?}");
    });
}

#[test]
fn a_jumbo_frame_is_one_frame() {
    in_namespace("af_xdp::a_jumbo_frame_is_one_frame", || {
        wire::pair(9100, 1);
        for frame_size in [2048, 4096] {
            let mut source =
                open_one(&Options { frame_size: Some(frame_size), ..Options::new("rx") });
            assert!(source.mode().multi_buffer, "{:?}", source.steps());
            let mut sender = Sender::open("tx");
            let lengths: Vec<usize> = (0..500)
                .map(|number| [80, 9000, 1514, 4000, 9114, 1793, 3841][number % 7])
                .collect();
            for (number, &length) in lengths.iter().enumerate() {
                let mut frame = wire::frame(number as u64, length);
                frame[length - 1] = number as u8;
                // Room for a frame of several buffers may be scarce for a moment.
                while !sender.send(&frame) {}
            }
            let mut seen = 0;
            while source
                .poll(TICK, &mut |frames| {
                    for frame in frames {
                        assert_eq!(frame.data.len(), lengths[seen]);
                        assert_eq!(frame.wire_length as usize, lengths[seen]);
                        assert_eq!(wire::sequence(frame.data), seen as u64);
                        assert_eq!(frame.data.last(), Some(&(seen as u8)));
                        seen += 1;
                    }
                })
                .expect("poll")
                != Poll::Idle
            {}
            assert_eq!(seen, lengths.len());
            assert_balanced(&source.counters());
        }
    });
}

#[test]
fn obstacles_are_named_with_their_cure() {
    in_namespace("af_xdp::obstacles_are_named_with_their_cure", || {
        wire::pair(1500, 1);
        let refusal = |options: &Options| match xdp::open(options) {
            Err(CaptureError::Environment(line)) => line,
            other => panic!("{other:?}"),
        };
        let line = refusal(&Options::new("eth7"));
        assert!(line.contains("no interface eth7") && line.contains("rx, tx"), "{line}");
        let line = refusal(&Options { require: Require::ZeroCopy, ..Options::new("rx") });
        assert!(line.contains("the driver has no zero-copy"), "{line}");
        wire::run("ip", &["link", "set", "dev", "rx", "down"]);
        let line = refusal(&Options::new("rx"));
        assert!(line.contains("ip link set rx up"), "{line}");
        wire::run("ip", &["link", "set", "dev", "rx", "up"]);
        wire::run("ip", &["address", "add", "192.0.2.1/24", "dev", "rx"]);
        let line = refusal(&Options::new("rx"));
        assert!(line.contains("192.0.2.1") && line.contains("--steal"), "{line}");
        drop(xdp::open(&Options { steal: true, ..Options::new("rx") }).expect("stolen"));
        wire::run("ip", &["address", "flush", "dev", "rx"]);
        wire::run("ip", &["link", "add", "link", "rx", "name", "lies-on-it", "type", "macvlan"]);
        wire::run("ip", &["address", "add", "192.0.2.9/24", "dev", "lies-on-it"]);
        let line = refusal(&Options::new("rx"));
        assert!(line.contains("lies-on-it") && line.contains("192.0.2.9"), "{line}");
        wire::run("ip", &["link", "del", "lies-on-it"]);
        wire::run("ip", &["link", "set", "lo", "up"]);
        let line = refusal(&Options::new("lo"));
        assert!(line.contains("not an Ethernet interface"), "{line}");
        drop(
            xdp::open(&Options { require: Require::Native, ..Options::new("rx") }).expect("native"),
        );
    });
}

#[test]
fn generic_mode_is_the_last_resort() {
    in_namespace("af_xdp::generic_mode_is_the_last_resort", || {
        wire::pair(1500, 1);
        wire::run(
            "ip",
            &["link", "add", "link", "rx", "name", "over", "type", "macvlan", "mode", "passthru"],
        );
        wire::run("ip", &["link", "set", "over", "up"]);
        let mut source = open_one(&Options::new("over"));
        assert!(!source.mode().native, "macvlan has no native XDP");
        assert!(
            source.steps().iter().any(|step| step.reason.contains("no native XDP")),
            "{:?}",
            source.steps()
        );
        let mut sender = Sender::open("tx");
        for sequence in 0..100 {
            sender.send(&wire::frame(sequence, 80));
        }
        let mut seen = 0;
        while source.poll(TICK, &mut |frames| seen += frames.len()).expect("poll") != Poll::Idle {}
        assert_eq!(seen, 100);
        assert_balanced(&source.counters());
    });
}

#[test]
fn busy_polling_delivers() {
    in_namespace("af_xdp::busy_polling_delivers", || {
        wire::pair(1500, 1);
        let options = Options { busy_poll: Some(xdp::BusyPoll::default()), ..Options::new("rx") };
        let mut source = open_one(&options);
        let mut sender = Sender::open("tx");
        for sequence in 0..100 {
            assert!(sender.send(&wire::frame(sequence, 80)));
        }
        let mut seen = 0;
        while source.poll(TICK, &mut |frames| seen += frames.len()).expect("poll") != Poll::Idle {}
        assert_eq!(seen, 100);
        assert_balanced(&source.counters());
    });
}
