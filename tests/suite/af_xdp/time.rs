//! Time stamps: of the batch, of the packet, of the NIC.

use std::time::Duration;

use sixtap::capture::xdp::{self, NicClock, Options, Timestamps};
use sixtap::capture::{Poll, Source};

use crate::af_xdp::{assert_balanced, open_one};
use crate::wire::{self, Sender, in_namespace};

/// How late time stamps are: the sender puts its clock into each frame. Shown with --nocapture; docs/capture.md has the figures.
#[test]
fn time_stamps_are_soon_after_the_sending() {
    in_namespace("af_xdp::time::time_stamps_are_soon_after_the_sending", || {
        wire::pair(1500, 1);
        let plain = Options::new("rx");
        let busy = Options { busy_poll: Some(xdp::BusyPoll::default()), ..plain.clone() };
        let packet = Options { timestamps: Timestamps::Packet, ..plain.clone() };
        let busy_packet = Options { timestamps: Timestamps::Packet, ..busy.clone() };
        for (name, options, behind) in [
            ("batch", &plain, Duration::ZERO),
            ("batch, busy polling", &busy, Duration::ZERO),
            ("packet", &packet, Duration::ZERO),
            ("packet, busy polling", &busy_packet, Duration::ZERO),
            ("batch, worker behind", &plain, BEHIND),
            ("packet, worker behind", &packet, BEHIND),
        ] {
            // As the probe has it: a worker pauses when it has emptied its ring.
            let mut source = xdp::share(xdp::open(options).expect("open"), 1).remove(0);
            let mut late = lateness(&mut source, behind);
            let counters = source.counters();
            assert_eq!(counters.unstamped, 0);
            assert_balanced(&counters);
            late.sort_unstable();
            let at = |percent: usize| Duration::from_nanos(late[late.len() * percent / 100]);
            println!("{name}: median {:?}, 99 of 100 {:?}", at(50), at(99));
            // Only the program's stamp does not know of the worker's delay.
            let least = match options.timestamps {
                Timestamps::Batch => behind / 4,
                _ => Duration::ZERO,
            };
            assert!(at(50) >= least && at(50) < least + 5 * BEHIND, "{name}: {:?}", at(50));
            if options.timestamps == Timestamps::Packet {
                assert!(at(50) < BEHIND / 4, "{name}: {:?}", at(50));
            }
        }
    });
}

/// How long a worker that is behind leaves frames lying: some 50, less than a batch.
const BEHIND: Duration = Duration::from_millis(10);

/// From before the send call to the stamp, in nanoseconds, for 2000 frames.
fn lateness(source: &mut xdp::Group, behind: Duration) -> Vec<u64> {
    let mut late = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut sender = Sender::open("tx");
            let mut frame = wire::frame(0, 80);
            for _ in 0..2000 {
                std::thread::sleep(Duration::from_micros(200));
                let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
                wire::set_sequence(&mut frame, now.as_nanos() as u64);
                assert!(sender.send(&frame));
            }
        });
        while late.len() < 2000 {
            let poll = source.poll(Duration::from_secs(5), &mut |frames| {
                for frame in frames {
                    assert_eq!((frame.data.len(), frame.wire_length), (80, 80));
                    let sent = wire::sequence(frame.data);
                    assert!(frame.time.0 >= sent, "stamped before it was sent");
                    late.push(frame.time.0 - sent);
                }
            });
            assert_ne!(poll.expect("poll"), Poll::Idle, "{} of 2000", late.len());
            std::thread::sleep(behind);
        }
    });
    late
}

/// The program that asks the driver for the NIC's time. veth offers the call and has no clock: so it loads and runs, and each frame
/// is counted as one without a time of its own.
#[test]
fn a_nic_without_a_clock_is_told_of() {
    in_namespace("af_xdp::time::a_nic_without_a_clock_is_told_of", || {
        wire::pair(9100, 1);
        let compared = Timestamps::Nic(NicClock::Compared);
        let error = xdp::open(&Options { timestamps: compared, ..Options::new("rx") })
            .expect_err("veth has no clock")
            .to_string();
        assert!(error.contains("no clock") && error.contains("--timestamps packet"), "{error}");
        let utc = Timestamps::Nic(NicClock::Utc);
        let mut source = open_one(&Options { timestamps: utc, ..Options::new("rx") });
        assert!(source.mode().native);
        let mut sender = Sender::open("tx");
        let before = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos() as u64;
        let mut seen = 0;
        for length in [80, 1514, 9000] {
            assert!(sender.send(&wire::frame(seen, length)));
            let poll = source.poll(Duration::from_secs(5), &mut |frames| {
                for frame in frames {
                    assert_eq!(wire::sequence(frame.data), seen);
                    assert_eq!(frame.data.len(), length);
                    assert!(frame.time.0 >= before);
                    seen += 1;
                }
            });
            assert_eq!(poll.expect("poll"), Poll::Frames(1));
        }
        let counters = source.counters();
        assert_eq!((counters.delivered, counters.unstamped), (3, 3));
        assert_balanced(&counters);
        drop(source);
        // macvlan's driver does not offer it.
        wire::run("ip", &["link", "add", "link", "rx", "name", "over", "type", "macvlan"]);
        wire::run("ip", &["link", "set", "over", "up"]);
        let error = xdp::open(&Options { timestamps: utc, ..Options::new("over") })
            .expect_err("macvlan")
            .to_string();
        assert!(error.contains("the macvlan driver does not give"), "{error}");
    });
}

/// Frames that the program stamps arrive as they were sent, whatever their length; frames for the kernel are left alone.
#[test]
fn stamped_frames_are_whole() {
    in_namespace("af_xdp::time::stamped_frames_are_whole", || {
        wire::pair(9100, 2);
        for frame_size in [2048, 4096] {
            let mut sources = xdp::open(&Options {
                timestamps: Timestamps::Packet,
                frame_size: Some(frame_size),
                queues: Some(vec![0]),
                ..Options::new("rx")
            })
            .expect("open");
            let mut kernel = kernel_receiver("rx");
            let mut sender = Sender::open("tx");
            let room = (frame_size - 256) as usize;
            let lengths: Vec<usize> = (room - 20..room + 20)
                .chain(2 * room - 20..2 * room + 20)
                .chain([80, 1514, 9000, 9114])
                .collect();
            let mut seen = Vec::new();
            let mut passed = 0;
            for (number, &length) in lengths.iter().enumerate() {
                let mut frame = wire::frame(number as u64, length);
                frame[length - 1] = number as u8;
                while !sender.send(&frame) {}
                let mut lent = Vec::new();
                sources[0]
                    .poll(Duration::from_millis(20), &mut |frames| {
                        lent.extend(frames.iter().map(|frame| frame.data.to_vec()));
                    })
                    .expect("poll");
                if lent.is_empty() {
                    // It came on the other queue, and goes to the kernel as it is.
                    assert_eq!(kernel.next().expect("with the kernel"), frame);
                    passed += 1;
                } else {
                    assert_eq!(lent, [frame]);
                    seen.push(number);
                }
            }
            let counters = sources[0].counters();
            assert_eq!(counters.delivered, seen.len() as u64);
            assert_eq!(counters.program_passed, passed);
            assert_balanced(&counters);
            assert!(passed + counters.delivered == lengths.len() as u64);
        }
    });
}

/// What the kernel gets of an interface.
fn kernel_receiver(interface: &str) -> impl Iterator<Item = Vec<u8>> {
    use sixtap::capture::packet_socket;
    let options =
        packet_socket::Options { ring: 1 << 20, ..packet_socket::Options::new(interface) };
    let mut source = packet_socket::open(&options).expect("packet socket").remove(0);
    let mut waiting = std::collections::VecDeque::new();
    std::iter::from_fn(move || {
        if waiting.is_empty() {
            let mut take = |frames: &[sixtap::capture::Frame<'_>]| {
                waiting.extend(frames.iter().map(|frame| frame.data.to_vec()));
            };
            source.poll(Duration::from_secs(2), &mut take).expect("poll");
        }
        waiting.pop_front()
    })
}
