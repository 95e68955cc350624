//! The hot path, stage by stage, for valgrind to count: `scripts/instructions` runs this and holds each count against
//! `benches/instructions/limits.json`.
//!
//! In: nothing. Out: one line a stage, `NAME COUNT`, COUNT being the packets, flows or records it ran over. What stands between
//! two lines of the output is made ready outside of [`counted`], and so not counted.

#![allow(dead_code, unused_imports, reason = "whole modules, of which the hot path is a part")]
#![allow(unreachable_pub, reason = "they are a library's")]
#![allow(clippy::unwrap_used, reason = "a benchmark")]

/// What a meter sees of a source.
#[path = "../../../src/capture"]
pub mod capture {
    mod frame;
    pub use frame::{Frame, LinkType, Timestamp};

    /// As `sixtap::capture::BATCH`: the meter's rings are made for it.
    pub const BATCH: usize = 64;
}
#[path = "../../../src/ipfix/mod.rs"]
pub mod ipfix;
#[path = "../../../src/meter/mod.rs"]
pub mod meter;
/// From flows to records.
#[path = "../../../src/export"]
pub mod export {
    pub mod preset;
    pub mod record;
}
#[path = "../../../src/cli/bench/frames.rs"]
mod frames;

use capture::{BATCH, Frame, LinkType, Timestamp};
use export::preset::Preset;
use export::record::Records;
use frames::{Arena, Lots, Shape};
use meter::flow::{FlowBatch, FlowMeter, Key, Outlet, Settings};
use meter::packet::{self, Options, Packets};
use std::hint::black_box;

/// Packets, flows or records of each stage.
const FRAMES: usize = 4096;
/// Flows in the table: instructions, unlike time, hardly grow with it.
const FLOWS: u64 = 4096;
/// 2023-11-14.
const START: u64 = 1_700_000_000_000_000_000;
/// Idle timeout.
const IDLE: u64 = 1_000_000_000;

/// Gives batches back as soon as they come, or keeps them.
#[derive(Default)]
struct Sink {
    empty: Vec<Box<FlowBatch>>,
    kept: Vec<Box<FlowBatch>>,
    keep: bool,
}

impl Outlet for Sink {
    fn empty(&mut self) -> Option<Box<FlowBatch>> {
        Some(self.empty.pop().unwrap_or_else(|| Box::new(FlowBatch::with_room())))
    }

    fn ended(&mut self, mut batch: Box<FlowBatch>) {
        if self.keep {
            return self.kept.push(batch);
        }
        batch.clear();
        self.empty.push(batch);
    }
}

/// What valgrind counts, by this name.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    work();
    // So that the call above is no jump, which valgrind would take for the end of this function.
    black_box(());
}

fn stage(name: &str, count: usize, mut work: impl FnMut()) {
    println!("{name} {count}");
    counted(&mut work);
}

fn arena(shape: Shape, flows: u64) -> Arena {
    let (mut arena, mut lots) = (Arena::new(shape, FRAMES), Lots::new(3));
    arena.renumber(|| lots.below(flows));
    arena
}

/// Every frame another flow.
fn renumbered(arena: &mut Arena, number: &mut u64) {
    arena.renumber(|| {
        *number += 1;
        *number
    });
}

fn lent(arena: &Arena, time: u64) -> Vec<Frame<'_>> {
    let lend = |data| Frame {
        data,
        wire_length: 0,
        interface: 1,
        link: LinkType::Ethernet,
        time: Timestamp(time),
    };
    arena.frames().map(lend).collect()
}

fn meter() -> FlowMeter {
    let settings =
        Settings { capacity: 3 * FRAMES, extras: 3 * FRAMES, idle: IDLE, ..Settings::default() };
    FlowMeter::new(settings, std::array::from_fn(|at| (at as u8).wrapping_mul(73) ^ 0x5a)).unwrap()
}

fn run(frames: &[Frame<'_>], meter: &mut FlowMeter, sink: &mut Sink) {
    frames.chunks(BATCH).for_each(|frames| meter.frames(frames, sink));
}

fn read(frames: &[Frame<'_>], packets: &mut Packets, mut each: impl FnMut(&Packets)) {
    let options = Options::default();
    for frames in frames.chunks(BATCH) {
        packets.clear();
        frames.iter().for_each(|frame| packet::read(frame, &options, packets));
        each(packets);
    }
}

const SHAPES: [(&str, Shape); 7] = [
    ("IPv4", Shape::Ipv4),
    ("IPv6", Shape::Ipv6),
    ("1 header", Shape::Headers(1)),
    ("2 headers", Shape::Headers(2)),
    ("3 headers", Shape::Headers(3)),
    ("fragments", Shape::Fragments),
    ("181 headers", Shape::Longest),
];

fn main() {
    for (name, shape) in SHAPES {
        reading(name, shape);
    }
    keys();
    for (name, shape) in SHAPES {
        updates(name, shape);
        churn(name, shape);
    }
    expiry();
    for (name, shape) in [SHAPES[0], SHAPES[1], SHAPES[4], SHAPES[5]] {
        records(&format!("default, {name}"), shape, &Preset::standard());
    }
    records("full, 3 headers", Shape::Headers(3), &Preset::full());
}

fn reading(name: &str, shape: Shape) {
    let arena = arena(shape, FLOWS);
    let (frames, mut packets) = (lent(&arena, START), Packets::default());
    read(&frames, &mut packets, |_| {});
    stage(&format!("parse, {name}"), FRAMES, || {
        read(&frames, &mut packets, |packets| _ = black_box(packets.facts()));
    });
}

fn keys() {
    let arena = arena(Shape::Ipv6, FLOWS);
    let (frames, mut packets) = (lent(&arena, START), Packets::default());
    let (mut meter, mut sink, mut keys) = (meter(), Sink::default(), Vec::new());
    read(&frames, &mut packets, |packets| {
        keys.extend(packets.facts().iter().map(|facts| facts.key));
    });
    run(&frames, &mut meter, &mut sink);
    stage("key's hash", FRAMES, || {
        black_box(keys.iter().fold(0, |sum, key| sum ^ meter.hash(key)));
    });
    stage("lookup", FRAMES, || {
        black_box(keys.iter().filter(|key| meter.record(key).is_some()).count());
    });
}

/// The whole meter over packets of flows that are in the table.
fn updates(name: &str, shape: Shape) {
    let (mut meter, mut sink) = (meter(), Sink::default());
    let mut arena = arena(shape, FLOWS);
    run(&lent(&arena, START), &mut meter, &mut sink);
    let mut lots = Lots::new(3);
    arena.renumber(|| lots.below(FLOWS));
    let frames = lent(&arena, START + 1000);
    stage(&format!("whole meter, {name}"), FRAMES, || run(&frames, &mut meter, &mut sink));
}

/// A meter that is full of flows which the sweep has not yet come to, and as many new ones: each ends one and begins one.
fn churn(name: &str, shape: Shape) {
    let (mut meter, mut sink) = (meter(), Sink::default());
    let (mut arena, mut number) = (Arena::new(shape, FRAMES), 0);
    for turn in 0..3 {
        renumbered(&mut arena, &mut number);
        run(&lent(&arena, START + turn), &mut meter, &mut sink);
    }
    renumbered(&mut arena, &mut number);
    let frames = lent(&arena, START + 2 * IDLE);
    stage(&format!("new flows, {name}"), FRAMES, || run(&frames, &mut meter, &mut sink));
}

/// One pass of the sweep over flows that stay.
fn expiry() {
    let (mut meter, mut sink) = (meter(), Sink::default());
    run(&lent(&arena(Shape::Ipv6, FLOWS), START), &mut meter, &mut sink);
    let flows = meter.fill().0;
    stage("expire, idle flows", flows, || {
        for turn in 1..=10 {
            meter.idle(Timestamp(START + turn * IDLE / 10), &mut sink);
        }
    });
}

/// Records of ended flows.
fn records(name: &str, shape: Shape, preset: &Preset) {
    let (mut meter, mut sink) = (meter(), Sink { keep: true, ..Sink::default() });
    let (mut arena, mut number) = (Arena::new(shape, FRAMES), 0);
    renumbered(&mut arena, &mut number);
    run(&lent(&arena, START), &mut meter, &mut sink);
    meter.finish(&mut sink);
    let mut records = Records::new(preset, ie_registry::SIXTAP_DEFAULT_PEN, 300, 30);
    let mut out = vec![0; 1 << 18];
    let mut encode = |batches: &[Box<FlowBatch>]| {
        for batch in batches {
            let mut at = 0;
            for flow in batch.iter(0) {
                let index = records.prepare(&flow);
                at += records.encode(index, &flow, &mut out[at..]).unwrap();
            }
            black_box(&out[..at]);
        }
    };
    // The Template is made now, not among what is counted.
    encode(&sink.kept[..1]);
    let count = sink.kept.iter().map(|batch| batch.flows.len()).sum();
    stage(&format!("encode, {name}"), count, || encode(&sink.kept));
}
