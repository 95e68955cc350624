//! Receive queues and who reads them.

use std::process::Command;
use std::time::{Duration, Instant};

use sixtap::capture::xdp::{self, Options, XdpSource};
use sixtap::capture::{Poll, Source, SourceCounters};

use crate::af_xdp::{TICK, assert_balanced, drain};
use crate::wire::{self, Sender, in_namespace};

#[test]
fn each_queue_has_its_own_source() {
    in_namespace("af_xdp::queues::each_queue_has_its_own_source", || {
        wire::pair(1500, 4);
        let sources = xdp::open(&Options::new("rx")).expect("four queues");
        assert_eq!(sources.iter().map(XdpSource::queue).collect::<Vec<_>>(), [0, 1, 2, 3]);
        drop(sources);
        let mut some =
            xdp::open(&Options { queues: Some(vec![2, 1]), ..Options::new("rx") }).expect("two");
        assert_eq!(some.iter().map(XdpSource::queue).collect::<Vec<_>>(), [1, 2]);
        // veth takes the queue of the sending CPU's hash; whatever it is, no frame is unseen.
        let mut sender = Sender::open("tx");
        for sequence in 0..1000 {
            sender.send(&wire::frame(sequence, 80));
        }
        for source in &mut some {
            drain(source);
        }
        let all: Vec<SourceCounters> = some.iter_mut().map(Source::counters).collect();
        let sum = |of: fn(&SourceCounters) -> u64| all.iter().map(of).sum::<u64>();
        assert_eq!(
            sum(|counters| counters.program_seen) + sum(|counters| counters.nic_missed),
            1000
        );
        assert_eq!(
            sum(|counters| counters.delivered) + sum(|counters| counters.program_passed),
            1000
        );
        let error = xdp::open(&Options { queues: Some(vec![0, 9]), ..Options::new("tx") })
            .expect_err("queue 9");
        assert!(error.to_string().contains("4 receive queues"), "{error}");
    });
}

/// One worker may read several queues; none waits for another, and nothing is lost.
#[test]
fn a_worker_reads_several_queues() {
    in_namespace("af_xdp::queues::a_worker_reads_several_queues", || {
        wire::pair(1500, 4);
        let sources = xdp::open(&Options::new("rx")).expect("four queues");
        let mut groups = xdp::share(sources, 3);
        let queues: Vec<Vec<u32>> = groups.iter().map(xdp::Group::queues).collect();
        assert_eq!(queues, [vec![0, 3], vec![1], vec![2]]);
        drop(groups.drain(1..));
        let sources = xdp::open(&Options::new("rx"));
        assert!(sources.is_err(), "the interface is still captured");
        drop(groups);
        let mut one = xdp::share(xdp::open(&Options::new("rx")).expect("again"), 1).remove(0);
        assert_eq!(one.queues(), [0, 1, 2, 3]);
        let mut sender = Sender::open("tx");
        let mut seen = 0;
        for sequence in 0..2000 {
            // The kernel spreads over veth's queues by the sending processor.
            pin(sequence as usize % 2);
            assert!(sender.send(&wire::frame(sequence, 80)));
            if sequence % 100 == 99 {
                while one.poll(TICK, &mut |frames| seen += frames.len()).expect("poll")
                    != Poll::Idle
                {}
            }
        }
        assert_eq!(seen, 2000);
        one.stop();
        let counters = one.counters();
        assert_eq!((counters.delivered, counters.nic_received), (2000, 2000));
        assert_balanced(&counters);
        let description = one.describe().expect("live");
        assert_eq!((description.mode, description.queues), ("copy", vec![0, 1, 2, 3]));
        assert!(description.not_had.iter().any(|line| line.contains("zero-copy")));
    });
}

fn pin(processor: usize) {
    let mut set = rustix::thread::CpuSet::new();
    set.set(processor % std::thread::available_parallelism().map_or(1, usize::from));
    let _ = rustix::thread::sched_setaffinity(None, &set);
}

/// Queues that an interface gets while it is captured are captured too; queues with a socket cannot be taken away.
#[test]
fn more_queues_are_taken_over() {
    in_namespace("af_xdp::queues::more_queues_are_taken_over", || {
        wire::pair(1500, 4);
        wire::run("ethtool", &["-L", "rx", "rx", "1"]);
        let mut group = xdp::share(xdp::open(&Options::new("rx")).expect("open"), 8).remove(0);
        assert_eq!(group.queues(), [0]);
        wire::run("ethtool", &["-L", "rx", "rx", "3"]);
        let deadline = Instant::now() + Duration::from_secs(10);
        while group.queues().len() < 3 {
            assert!(Instant::now() < deadline, "{:?}", group.queues());
            group.poll(TICK, &mut |_| {}).expect("poll");
        }
        let refused = Command::new("ethtool").args(["-L", "rx", "rx", "1"]).output();
        assert!(!refused.expect("ethtool").status.success(), "a queue with a socket was removed");
        let mut sender = Sender::open("tx");
        let mut seen = 0;
        for sequence in 0..300 {
            pin(sequence as usize % 2);
            assert!(sender.send(&wire::frame(sequence, 80)));
        }
        while group.poll(TICK, &mut |frames| seen += frames.len()).expect("poll") != Poll::Idle {}
        group.stop();
        let counters = group.counters();
        assert_eq!(seen, 300);
        assert_eq!((counters.program_seen, counters.program_passed), (300, 0));
        assert_balanced(&counters);
    });
}
