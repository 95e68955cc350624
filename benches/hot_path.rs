//! The hot path by stage, traffic and number of flows: `STAGE/TRAFFIC/FLOWS`.
//!
//! | stage | what runs |
//! |---|---|
//! | `parse` | frame to facts; `parse_etherparse` is `etherparse::LaxSlicedPacket` over the same frames |
//! | `hash` | the keyed hash of a key that was read before |
//! | `lookup` | hash and search by the full key, one key after the other, nothing brought near before |
//! | `update` | the whole meter over packets of one flow: no cache miss, the record is written |
//! | `whole` | frames to flows in batches: parse, hash, lookup, update, expiry's share |
//! | `expire` | the sweep over idle flows, for one flow |
//! | `churn` | every packet a new flow: begun, ended by the idle timeout, handed on |
//!
//! `benches/encode.rs` has the stage after that. Frames are made outside the clock and lie in the second-level cache,
//! where a reader's buffer is; every flow is as likely as any other. `mixed` is 61 % IPv6, as the comparison captures.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use etherparse::LaxSlicedPacket;
use sixtap::capture::{BATCH, Frame, LinkType, Timestamp};
use sixtap::meter::flow::{FlowBatch, FlowMeter, Key, Outlet, Settings};
use sixtap::meter::packet::{self, Options, Packets};
use std::hint::black_box;
use std::time::{Duration, Instant};

#[allow(dead_code, reason = "shared with the command and the tests")]
#[path = "../src/cli/bench/frames.rs"]
mod frames;

use frames::{Arena, Lots, Shape};

/// Frames of one turn.
const FRAMES: usize = 2048;
/// 2023-11-14.
const START: u64 = 1_700_000_000_000_000_000;
/// Time from turn to turn.
const STEP: u64 = 204_800;
/// Longer than any run.
const NEVER: u64 = 1_000_000_000_000_000;

/// Frames of one or two shapes.
struct Traffic {
    ipv4: Option<Arena>,
    other: Option<Arena>,
}

impl Traffic {
    const NAMES: [&str; 7] =
        ["ipv4", "ipv6", "mixed", "headers_1", "headers_2", "headers_3", "headers_181"];

    fn new(name: &str) -> Self {
        let only = |shape| Self { ipv4: None, other: Some(Arena::new(shape, FRAMES)) };
        match name {
            "ipv4" => Self { ipv4: Some(Arena::new(Shape::Ipv4, FRAMES)), other: None },
            "mixed" => {
                let ipv6 = FRAMES * 61 / 100;
                Self {
                    ipv4: Some(Arena::new(Shape::Ipv4, FRAMES - ipv6)),
                    other: Some(Arena::new(Shape::Ipv6, ipv6)),
                }
            }
            "headers_1" => only(Shape::Headers(1)),
            "headers_2" => only(Shape::Headers(2)),
            "headers_3" => only(Shape::Headers(3)),
            "headers_181" => only(Shape::Longest),
            _ => only(Shape::Ipv6),
        }
    }

    fn renumber(&mut self, mut number: impl FnMut() -> u64) {
        for arena in [&mut self.ipv4, &mut self.other].into_iter().flatten() {
            arena.renumber(&mut number);
        }
    }

    /// The frames; of two shapes in turn, so that no branch learns an order of blocks.
    fn frames(&self, time: u64) -> Vec<Frame<'_>> {
        let lend = |data| Frame {
            data,
            wire_length: 0,
            interface: 1,
            link: LinkType::Ethernet,
            time: Timestamp(time),
        };
        let mut ipv4 = self.ipv4.iter().flat_map(Arena::frames).map(lend);
        let mut other = self.other.iter().flat_map(Arena::frames).map(lend);
        let mut lots = Lots::new(7);
        let mut frames = Vec::with_capacity(FRAMES);
        loop {
            let next = if lots.below(100) < 61 {
                other.next().or_else(|| ipv4.next())
            } else {
                ipv4.next().or_else(|| other.next())
            };
            match next {
                Some(frame) => frames.push(frame),
                None => return frames,
            }
        }
    }

    /// Time that `work` takes over `turns` turns, each with new numbers.
    fn timed(
        &mut self,
        turns: u64,
        mut number: impl FnMut() -> u64,
        mut time: impl FnMut() -> u64,
        mut work: impl FnMut(&[Frame<'_>]),
    ) -> Duration {
        let mut sum = Duration::ZERO;
        for _ in 0..turns {
            self.renumber(&mut number);
            let frames = self.frames(time());
            let begun = Instant::now();
            work(&frames);
            sum += begun.elapsed();
        }
        sum
    }
}

/// Gives batches back as soon as they come.
#[derive(Default)]
struct Sink(Vec<Box<FlowBatch>>);

impl Outlet for Sink {
    fn empty(&mut self) -> Option<Box<FlowBatch>> {
        Some(self.0.pop().unwrap_or_else(|| Box::new(FlowBatch::with_room())))
    }

    fn ended(&mut self, mut batch: Box<FlowBatch>) {
        batch.clear();
        self.0.push(batch);
    }
}

fn meter(flows: u64, extras: usize, idle: u64) -> FlowMeter {
    let capacity = (flows as usize * 9 / 8).max(4096);
    let settings = Settings { capacity, extras, idle, active: NEVER, ..Settings::default() };
    FlowMeter::new(settings, std::array::from_fn(|at| (at as u8).wrapping_mul(73) ^ 0x5a)).unwrap()
}

/// A meter with `flows` flows in it, and the time by which they are there.
fn filled(traffic: &mut Traffic, flows: u64, extras: usize, sink: &mut Sink) -> (FlowMeter, u64) {
    let mut meter = meter(flows, extras, NEVER);
    let (mut next, mut now) = (0, START);
    while next < flows {
        now += STEP;
        traffic.renumber(|| {
            next += 1;
            (next - 1) % flows
        });
        traffic.frames(now).chunks(BATCH).for_each(|frames| meter.frames(frames, sink));
    }
    (meter, now)
}

fn keys(traffic: &Traffic) -> Vec<Key> {
    let (options, mut packets) = (Options::default(), Packets::default());
    let mut keys = Vec::new();
    for frames in traffic.frames(START).chunks(BATCH) {
        packets.clear();
        frames.iter().for_each(|frame| packet::read(frame, &options, &mut packets));
        keys.extend(packets.facts().iter().map(|facts| facts.key));
    }
    keys
}

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    group.throughput(Throughput::Elements(FRAMES as u64));
    for name in Traffic::NAMES {
        let mut traffic = Traffic::new(name);
        let mut lots = Lots::new(1);
        traffic.renumber(|| lots.below(1 << 32));
        let frames = traffic.frames(START);
        let (options, mut packets) = (Options::default(), Packets::default());
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for frames in frames.chunks(BATCH) {
                    packets.clear();
                    frames.iter().for_each(|frame| packet::read(frame, &options, &mut packets));
                    black_box(packets.facts());
                }
            });
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("parse_etherparse");
    group.throughput(Throughput::Elements(FRAMES as u64));
    for name in Traffic::NAMES {
        let mut traffic = Traffic::new(name);
        let mut lots = Lots::new(1);
        traffic.renumber(|| lots.below(1 << 32));
        let frames = traffic.frames(START);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for frame in &frames {
                    black_box(LaxSlicedPacket::from_ethernet(frame.data).is_ok());
                }
            });
        });
    }
    group.finish();
}

fn find(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hash");
    group.throughput(Throughput::Elements(FRAMES as u64));
    for name in ["ipv4", "ipv6"] {
        let mut traffic = Traffic::new(name);
        let mut lots = Lots::new(1);
        traffic.renumber(|| lots.below(1 << 32));
        let (keys, meter) = (keys(&traffic), meter(1, 1, NEVER));
        group.bench_function(name, |bencher| {
            bencher.iter(|| keys.iter().fold(0, |sum, key| sum ^ meter.hash(black_box(key))));
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("lookup");
    group.throughput(Throughput::Elements(FRAMES as u64));
    for flows in [1_000, 100_000, 1_000_000] {
        let (mut traffic, mut sink) = (Traffic::new("ipv6"), Sink::default());
        let (meter, _) = filled(&mut traffic, flows, 1, &mut sink);
        let mut lots = Lots::new(flows);
        group.bench_function(BenchmarkId::new("ipv6", flows), |bencher| {
            bencher.iter_custom(|turns| {
                let mut sum = Duration::ZERO;
                for _ in 0..turns {
                    traffic.renumber(|| lots.below(flows));
                    let keys = keys(&traffic);
                    let begun = Instant::now();
                    let found = keys.iter().filter(|key| meter.record(key).is_some()).count();
                    sum += begun.elapsed();
                    assert_eq!(found, FRAMES);
                }
                sum
            });
        });
    }
    group.finish();
}

fn whole(criterion: &mut Criterion) {
    for (stage, names, flows) in [
        ("update", &["ipv4", "ipv6"][..], &[1][..]),
        ("whole", &["ipv4", "ipv6", "mixed"], &[1_000, 100_000, 1_000_000, 8_000_000]),
        ("whole", &["headers_1", "headers_2", "headers_3"], &[100_000]),
        ("whole", &["headers_181"], &[1_000]),
    ] {
        let mut group = criterion.benchmark_group(stage);
        group.throughput(Throughput::Elements(FRAMES as u64));
        for name in names {
            for flows in flows {
                let extras = if name.starts_with("headers") { *flows as usize } else { 1 };
                let (mut traffic, mut sink) = (Traffic::new(name), Sink::default());
                let (mut meter, mut now) = filled(&mut traffic, *flows, extras, &mut sink);
                let mut lots = Lots::new(*flows);
                group.bench_function(BenchmarkId::new(*name, flows), |bencher| {
                    bencher.iter_custom(|turns| {
                        let time = || {
                            now += STEP;
                            now
                        };
                        traffic.timed(
                            turns,
                            || lots.below(*flows),
                            time,
                            |frames| {
                                let batches = frames.chunks(BATCH);
                                batches.for_each(|frames| meter.frames(frames, &mut sink));
                            },
                        )
                    });
                });
            }
        }
        group.finish();
    }
}

fn end(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("expire");
    for flows in [100_000, 1_000_000, 8_000_000] {
        let (mut traffic, mut sink) = (Traffic::new("ipv6"), Sink::default());
        let (mut meter, mut now) = filled(&mut traffic, flows, 1, &mut sink);
        // The sweep passes the whole table in a second of the frames' time: that many turns of a millisecond.
        group.throughput(Throughput::Elements(flows));
        group.bench_function(BenchmarkId::new("idle", flows), |bencher| {
            bencher.iter(|| {
                for _ in 0..1000 {
                    now += 1_000_000;
                    meter.idle(Timestamp(now), &mut sink);
                }
            });
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("churn");
    group.throughput(Throughput::Elements(FRAMES as u64));
    for name in ["ipv4", "ipv6", "mixed"] {
        let (mut traffic, mut sink) = (Traffic::new(name), Sink::default());
        // 625,000 new flows a second, 100 ms of silence, and the sweep's second: some 700,000 flows in the table.
        let (mut meter, mut number, mut now) = (meter(1 << 20, 1, 100_000_000), 0, START);
        let mut turns = |turns, traffic: &mut Traffic| {
            traffic.timed(
                turns,
                || {
                    number += 1;
                    number
                },
                || {
                    now += 16 * STEP;
                    now
                },
                |frames| frames.chunks(BATCH).for_each(|frames| meter.frames(frames, &mut sink)),
            )
        };
        turns(400, &mut traffic);
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|count| turns(count, &mut traffic));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
        .without_plots();
    targets = parse, find, whole, end
}
criterion_main!(benches);
