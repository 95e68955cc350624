//! The measurements of one thread: CPU time of the thread, frames made outside of it, the median of several rounds.

use super::frames::{Arena, Lots, Shape};
use crate::capture::{BATCH, Frame, LinkType, Timestamp};
use crate::cli::Failure;
use crate::export::preset::Preset;
use crate::export::record::Records;
use crate::export::{ExportPlan, Exporter, Statistics};
use crate::meter::flow::{FlowBatch, FlowMeter, Outlet, Settings};
use crate::meter::packet::{self, Options, Packets};
use std::hint::black_box;
use std::net::UdpSocket;

/// Frames of one arena: what a reader's buffer of 256 KiB holds, so that they lie in the second-level cache.
pub(super) const ARENA: usize = 2048;
/// Time that passes from arena to arena: 10 million packets a second.
const STEP: u64 = 204_800;
/// Time of the first frame: 2023-11-14.
pub(super) const START: u64 = 1_700_000_000_000_000_000;

/// Nanoseconds for one packet, flow or record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Figure {
    /// Median of the rounds.
    pub(super) median: f64,
    /// The quickest round.
    pub(super) least: f64,
    /// The slowest round.
    pub(super) most: f64,
}

impl Figure {
    fn of(rounds: impl Iterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = rounds.collect();
        figures.sort_by(f64::total_cmp);
        let at = |index: usize| figures.get(index).copied().unwrap_or(0.0);
        Self {
            median: at(figures.len() / 2),
            least: at(0),
            most: at(figures.len().saturating_sub(1)),
        }
    }
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    /// Rounds of each measurement.
    pub(super) rounds: usize,
    /// Arenas of one round.
    pub(super) arenas: usize,
}

/// CPU time of this thread, nanoseconds: other load on the machine is not in it.
pub(super) fn cpu_time() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

impl Effort {
    /// Runs `round`, which returns CPU time and how many it was for, several times.
    fn median(self, mut round: impl FnMut() -> (u64, u64)) -> Figure {
        Figure::of((0..self.rounds.max(1)).map(|_| {
            let (nanoseconds, count) = round();
            nanoseconds as f64 / count.max(1) as f64
        }))
    }

    /// For each arena of a round: `fill` outside the clock, `work` within.
    fn arenas(
        self,
        arena: &mut Arena,
        mut fill: impl FnMut(&mut Arena),
        mut work: impl FnMut(&[Frame<'_>]),
        mut time: impl FnMut() -> u64,
    ) -> Figure {
        self.median(|| {
            let mut sum = (0, 0);
            for _ in 0..self.arenas {
                fill(arena);
                let frames = as_frames(arena, time());
                let begun = cpu_time();
                work(&frames);
                sum.0 += cpu_time() - begun;
                sum.1 += frames.len() as u64;
            }
            sum
        })
    }
}

/// The frames of an arena as a source lends them.
pub(super) fn as_frames(arena: &Arena, time: u64) -> Vec<Frame<'_>> {
    let frame = |data| as_frame(data, time);
    arena.frames().map(frame).collect()
}

/// One frame as a source lends it.
pub(super) fn as_frame(data: &[u8], time: u64) -> Frame<'_> {
    Frame {
        data,
        wire_length: data.len() as u32,
        interface: 1,
        link: LinkType::Ethernet,
        time: Timestamp(time),
    }
}

/// Takes ended flows and gives the batches back; keeps the first `keep` of them.
#[derive(Default)]
pub(super) struct Sink {
    empty: Vec<Box<FlowBatch>>,
    kept: Vec<Box<FlowBatch>>,
    keep: usize,
    /// Flows that ended.
    pub(super) flows: u64,
}

impl Outlet for Sink {
    fn empty(&mut self) -> Option<Box<FlowBatch>> {
        Some(self.empty.pop().unwrap_or_else(|| Box::new(FlowBatch::with_room())))
    }

    fn ended(&mut self, mut batch: Box<FlowBatch>) {
        self.flows += batch.flows.len() as u64;
        if self.kept.len() < self.keep {
            self.kept.push(batch);
            return;
        }
        batch.clear();
        self.empty.push(batch);
    }
}

/// A meter, the flows in it, and the next frames.
pub(super) struct Bed {
    /// The meter.
    pub(super) meter: FlowMeter,
    /// Where its flows go.
    pub(super) sink: Sink,
    arena: Arena,
    lots: Lots,
    flows: u64,
    now: u64,
}

/// Never: longer than any measurement.
const NEVER: u64 = 1_000_000_000_000_000;

/// A table for `flows`, with the room that the default leaves.
pub(super) fn settings(shape: Shape, flows: u64) -> Settings {
    let capacity = (flows as usize * 9 / 8).max(4096);
    let plain = matches!(shape, Shape::Ipv4 | Shape::Ipv6);
    Settings {
        capacity,
        extras: if plain { 1024 } else { capacity },
        idle: NEVER,
        active: NEVER,
        ..Settings::default()
    }
}

/// A meter with a secret of its own.
pub(super) fn new_meter(settings: Settings, secret: u8) -> Result<FlowMeter, Failure> {
    let random: [u8; 96] =
        std::array::from_fn(|at| (at as u8).wrapping_mul(73).wrapping_add(secret) ^ 0x5a);
    FlowMeter::new(settings, random).map_err(Failure::environment)
}

impl Bed {
    /// With `flows` flows of `shape` in the table.
    pub(super) fn new(shape: Shape, flows: u64) -> Result<Self, Failure> {
        let mut bed = Self {
            meter: new_meter(settings(shape, flows), 1)?,
            sink: Sink::default(),
            arena: Arena::new(shape, ARENA.min(flows as usize)),
            lots: Lots::new(flows),
            flows,
            now: START,
        };
        let mut next = 0;
        while next < flows {
            bed.arena.renumber(|| {
                next += 1;
                (next - 1) % flows
            });
            bed.meter_arena();
        }
        Ok(bed)
    }

    fn meter_arena(&mut self) {
        self.now += STEP;
        for frames in as_frames(&self.arena, self.now).chunks(BATCH) {
            self.meter.frames(frames, &mut self.sink);
        }
    }

    /// Nanoseconds a packet of the whole meter, `batch` frames at a time, every flow as likely as any other.
    pub(super) fn whole(&mut self, effort: Effort, batch: usize) -> Figure {
        let Self { meter, sink, arena, lots, flows, now } = self;
        effort.arenas(
            arena,
            |arena| arena.renumber(|| lots.below(*flows)),
            |frames| frames.chunks(batch).for_each(|frames| meter.frames(frames, sink)),
            || {
                *now += STEP;
                *now
            },
        )
    }

    /// Share of one CPU that the sweep for expired flows takes while all flows are idle.
    pub(super) fn sweep(&mut self, effort: Effort) -> Figure {
        const TURN: u64 = 1_000_000;
        let Self { meter, sink, now, .. } = self;
        let share = effort.median(|| {
            let begun = cpu_time();
            for _ in 0..1000 {
                *now += TURN;
                meter.idle(Timestamp(*now), sink);
            }
            (cpu_time() - begun, 1000 * TURN)
        });
        black_box(sink.flows);
        share
    }
}

/// Nanoseconds a packet of reading alone: frame to facts.
pub(super) fn parse(effort: Effort, shape: Shape) -> Figure {
    let (options, mut packets) = (Options::default(), Packets::default());
    let mut arena = Arena::new(shape, ARENA);
    let mut lots = Lots::new(1);
    let fill = |arena: &mut Arena| arena.renumber(|| lots.below(1 << 32));
    let work = |frames: &[Frame<'_>]| read_all(frames, &options, &mut packets);
    effort.arenas(&mut arena, fill, work, || START)
}

fn read_all(frames: &[Frame<'_>], options: &Options, packets: &mut Packets) {
    for frames in frames.chunks(BATCH) {
        packets.clear();
        for frame in frames {
            packet::read(frame, options, packets);
        }
        black_box(packets.facts());
    }
}

/// Nanoseconds a packet of `etherparse::LaxSlicedPacket` over frames of this shape, for comparison.
pub(super) fn parse_etherparse(effort: Effort, shape: Shape) -> Figure {
    let mut arena = Arena::new(shape, ARENA);
    let mut lots = Lots::new(1);
    let fill = |arena: &mut Arena| arena.renumber(|| lots.below(1 << 32));
    let work = |frames: &[Frame<'_>]| {
        for frame in frames {
            let _ = black_box(etherparse::LaxSlicedPacket::from_ethernet(frame.data));
        }
    };
    effort.arenas(&mut arena, fill, work, || START)
}

/// Nanoseconds a packet of reading and hashing the key.
pub(super) fn hash(effort: Effort, shape: Shape) -> Result<Figure, Failure> {
    let (options, mut packets) = (Options::default(), Packets::default());
    let meter = new_meter(settings(shape, 1), 1)?;
    let mut arena = Arena::new(shape, ARENA);
    let mut lots = Lots::new(1);
    let fill = |arena: &mut Arena| arena.renumber(|| lots.below(1 << 32));
    let work = |frames: &[Frame<'_>]| {
        for frames in frames.chunks(BATCH) {
            read_all(frames, &options, &mut packets);
            let hashes = packets.facts().iter().map(|facts| meter.hash(&facts.key));
            black_box(hashes.fold(0, |sum, hash| sum ^ hash));
        }
    };
    Ok(effort.arenas(&mut arena, fill, work, || START))
}

/// Idle timeout of the churn measurement; with the sweep's second, some 600,000 flows are in the table.
const CHURN_IDLE: u64 = 100_000_000;
/// Time from arena to arena of the churn measurement: 625,000 new flows a second.
const CHURN_STEP: u64 = 16 * STEP;

/// A meter whose every packet is a new flow: each goes in, idles out and is handed on.
pub(super) struct Churn {
    meter: FlowMeter,
    sink: Sink,
    shape: Shape,
    number: u64,
    now: u64,
}

impl Churn {
    /// With the table in its steady state.
    pub(super) fn new(shape: Shape) -> Result<Self, Failure> {
        let settings = Settings { idle: CHURN_IDLE, capacity: 1 << 20, ..settings(shape, 1) };
        let mut churn = Self {
            meter: new_meter(settings, 2)?,
            sink: Sink::default(),
            shape,
            number: 0,
            now: START,
        };
        // The sweep passes once a second: what is older than that and the idle time is gone.
        let arenas = (CHURN_IDLE + 1_200_000_000).div_ceil(CHURN_STEP) as usize;
        churn.run(Effort { rounds: 1, arenas });
        Ok(churn)
    }

    /// Nanoseconds for one flow that is begun and one that is ended.
    pub(super) fn run(&mut self, effort: Effort) -> Figure {
        let Self { meter, sink, number, now, shape } = self;
        let mut arena = Arena::new(*shape, ARENA);
        effort.arenas(
            &mut arena,
            |arena| {
                arena.renumber(|| {
                    *number += 1;
                    *number
                });
            },
            |frames| frames.chunks(BATCH).for_each(|frames| meter.frames(frames, sink)),
            || {
                *now += CHURN_STEP;
                *now
            },
        )
    }

    /// Ended flows of the steady state.
    pub(super) fn ended(&mut self, batches: usize) -> Vec<Box<FlowBatch>> {
        self.sink.keep = batches;
        while self.sink.kept.len() < batches {
            self.run(Effort { rounds: 1, arenas: 16 });
        }
        std::mem::take(&mut self.sink.kept)
    }
}

/// Nanoseconds a record: made from the flow in memory; made, put into messages and sent to a UDP socket that nobody reads.
pub(super) fn encode(
    effort: Effort,
    batches: &[Box<FlowBatch>],
) -> Result<(Figure, Figure), Failure> {
    let mut records = Records::new(&Preset::standard(), ie_registry::SIXTAP_DEFAULT_PEN, 300, 30);
    let mut out = vec![0; 65_535];
    let count: u64 = batches.iter().map(|batch| batch.flows.len() as u64).sum();
    let alone = effort.median(|| {
        let begun = cpu_time();
        for batch in batches {
            encode_batch(&mut records, batch, &mut out);
        }
        (cpu_time() - begun, count)
    });
    let (socket, mut exporter) = exporter()?;
    let mut now = Timestamp(START);
    let sent = effort.median(|| {
        let begun = cpu_time();
        for batch in batches {
            // Time enough for the pace: what is measured is sending, not holding back.
            now.0 += 10_000_000;
            exporter.consume(batch, now);
        }
        exporter.tick(now, &Statistics::default());
        (cpu_time() - begun, count)
    });
    drop(socket);
    Ok((alone, sent))
}

/// Makes the records of a batch, one after the other, over what is in `out`.
pub(super) fn encode_batch(records: &mut Records, batch: &FlowBatch, out: &mut [u8]) {
    let mut at = 0;
    for flow in batch.iter(0) {
        let index = records.prepare(&flow);
        at += records.encode(index, &flow, &mut out[at..]).unwrap_or_default();
    }
    black_box(&out[..at]);
}

/// A socket that nobody reads, and an exporter that sends to it.
fn exporter() -> Result<(UdpSocket, Exporter), Failure> {
    let (socket, destination) = discard()?;
    let plan = ExportPlan { destinations: vec![destination], ..ExportPlan::default() };
    Ok((socket, Exporter::new(&plan).map_err(Failure::environment)?))
}

/// A UDP socket on loopback that nobody reads: the kernel drops what does not fit into its buffer.
pub(super) fn discard() -> Result<(UdpSocket, crate::export::Destination), Failure> {
    let socket = UdpSocket::bind("127.0.0.1:0").map_err(Failure::environment)?;
    let address = socket.local_addr().map_err(Failure::environment)?;
    let destination = format!("udp://{address}").parse().map_err(Failure::environment)?;
    Ok((socket, destination))
}

/// Two figures that were measured in turn, round by round: what else the machine does falls on both.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    /// What the other is held against.
    pub(super) first: Figure,
    /// The other.
    pub(super) second: Figure,
    /// The first as a multiple of the second: the median of the rounds' own.
    pub(super) ratio: f64,
}

impl Pair {
    fn of(rounds: &[(f64, f64)]) -> Self {
        Self {
            first: Figure::of(rounds.iter().map(|(first, _)| *first)),
            second: Figure::of(rounds.iter().map(|(_, second)| *second)),
            ratio: Figure::of(rounds.iter().map(|(first, second)| first / second)).median,
        }
    }
}

/// Nanoseconds a packet over as many random keys, and over keys that all share 2⁻¹⁰ of the table under another secret.
pub(super) fn flood(effort: Effort) -> Result<Pair, Failure> {
    const KEYS: usize = 1 << 15;
    const MASK: u64 = (1 << 10) - 1;
    let shape = Shape::Ipv6;
    let known = new_meter(settings(shape, 1), 3)?;
    let mut arena = Arena::new(shape, ARENA);
    let (mut number, mut chosen) = (0, Vec::with_capacity(KEYS));
    let (options, mut packets) = (Options::default(), Packets::default());
    while chosen.len() < KEYS {
        let first = number;
        arena.renumber(|| {
            number += 1;
            number - 1
        });
        for (frame, number) in as_frames(&arena, START).iter().zip(first..) {
            packets.clear();
            packet::read(frame, &options, &mut packets);
            if packets.facts().iter().any(|facts| known.hash(&facts.key) & MASK == 0) {
                chosen.push(number);
            }
        }
    }
    let one = Effort { rounds: 1, ..effort };
    let mut lots = Lots::new(5);
    let mut over = |meter: &mut FlowMeter, numbers: &dyn Fn(u64) -> u64| {
        let mut sink = Sink::default();
        let fill = |arena: &mut Arena| arena.renumber(|| numbers(lots.below(KEYS as u64)));
        let work = |frames: &[Frame<'_>]| {
            frames.chunks(BATCH).for_each(|frames| meter.frames(frames, &mut sink));
        };
        one.arenas(&mut arena, fill, work, || START).median
    };
    let mut meters =
        [new_meter(settings(shape, KEYS as u64), 4)?, new_meter(settings(shape, KEYS as u64), 4)?];
    let [random, colliding] = &mut meters;
    let mut round = |_| {
        let key = |lot: u64| chosen.get(lot as usize).copied().unwrap_or_default();
        (over(random, &|lot| lot), over(colliding, &key))
    };
    // The first round makes the flows; what counts is their updates.
    round(0);
    Ok(Pair::of(&(0..effort.rounds.max(1)).map(round).collect::<Vec<_>>()))
}

/// Nanoseconds a packet of a meter that is alone, and of one that has another beside it, on a thread and with a table of its own;
/// the ratio is that of the packets in both cases.
pub(super) fn together(effort: Effort, shape: Shape, flows: u64) -> Result<Pair, Failure> {
    let one = Effort { rounds: 1, ..effort };
    let rounds = effort.rounds.max(1);
    let (mut own, mut other) = (Bed::new(shape, flows)?, Bed::new(shape, flows)?);
    let barrier = std::sync::Barrier::new(2);
    let measured = std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..rounds {
                barrier.wait();
                other.whole(one, BATCH);
                barrier.wait();
            }
        });
        let rounds = (0..rounds).map(|_| {
            let alone = own.whole(one, BATCH).median;
            barrier.wait();
            let beside = own.whole(one, BATCH).median;
            barrier.wait();
            (alone, beside)
        });
        rounds.collect::<Vec<_>>()
    });
    let pair = Pair::of(&measured);
    Ok(Pair { ratio: 2.0 * pair.ratio, ..pair })
}
