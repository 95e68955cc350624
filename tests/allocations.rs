//! Once running, no packet and no new flow allocates: counted by an allocator that counts.
//!
//! Reader, meter and exporter run in the test's thread, in the order in which a packet meets them; allocations of other
//! threads are not counted. UDP costs one allocation a burst of messages (the control message of the segmented send),
//! which is some three hundred records; files none.

#![allow(clippy::unwrap_used, reason = "tests")]

#[allow(dead_code, reason = "shared with the benchmarks")]
#[path = "../src/cli/bench/frames.rs"]
mod frames;

use frames::{Arena, Lots, Shape};
use sixtap::capture::{BATCH, Frame, LinkType, Poll, Source, Timestamp, pcap};
use sixtap::export::{ExportPlan, Exporter};
use sixtap::meter::flow::{FlowBatch, FlowMeter, Outlet, Settings};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::UdpSocket;
use std::time::Duration;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[expect(
    unsafe_code,
    reason = "an allocator is unsafe to implement; this one only counts and hands on"
)]
// SAFETY: every call goes to the system's allocator with the caller's own arguments, so its promises are kept as they are.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that ends has no counter any more: nobody asks for it.
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are those of the call.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are those of the call.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are those of the call.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of this thread while `work` ran.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = COUNT.get();
    work();
    COUNT.get() - before
}

/// Exports what ends at once, and gives the batch back.
struct Sink {
    exporter: Exporter,
    empty: Vec<Box<FlowBatch>>,
    flows: u64,
    now: Timestamp,
}

impl Sink {
    fn new(destination: &str) -> Self {
        let destinations = vec![destination.parse().unwrap()];
        let plan = ExportPlan { destinations, ..ExportPlan::default() };
        let exporter = Exporter::new(&plan).unwrap();
        let now = Timestamp(1_700_000_000_000_000_000);
        Self { exporter, empty: vec![Box::new(FlowBatch::with_room())], flows: 0, now }
    }

    fn sent(&self) -> u64 {
        self.exporter.counters().map(|(_, counters)| counters.sent).sum()
    }
}

impl Outlet for Sink {
    fn empty(&mut self) -> Option<Box<FlowBatch>> {
        self.empty.pop()
    }

    fn ended(&mut self, mut batch: Box<FlowBatch>) {
        self.flows += batch.flows.len() as u64;
        // Time enough for the pace of UDP: what waits for it is copied.
        self.now.0 += 10_000_000;
        self.exporter.consume(&batch, self.now);
        batch.clear();
        self.empty.push(batch);
    }
}

const SECOND: u64 = 1_000_000_000;

fn meter() -> FlowMeter {
    let settings = Settings { capacity: 20_000, idle: SECOND, ..Settings::default() };
    FlowMeter::new(settings, [7; 96]).unwrap()
}

/// Meters the arena as it is at `time`.
fn run(meter: &mut FlowMeter, arena: &Arena, time: u64, sink: &mut Sink) {
    let mut frames = arena.frames().map(|data| Frame {
        data,
        wire_length: data.len() as u32,
        interface: 1,
        link: LinkType::Ethernet,
        time: Timestamp(time),
    });
    loop {
        let mut batch = [frames.next(); BATCH];
        batch[1..].fill_with(|| frames.next());
        let batch: Vec<Frame<'_>> = uncounted(|| batch.into_iter().flatten().collect());
        if batch.is_empty() {
            return;
        }
        meter.frames(&batch, sink);
        uncounted(|| drop(batch));
    }
}

/// Does what the test itself allocates for.
fn uncounted<T>(work: impl FnOnce() -> T) -> T {
    let before = COUNT.get();
    let result = work();
    COUNT.set(before);
    result
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(vec![1_u8]))), 1);
    assert_eq!(allocations(|| ()), 0);
}

#[test]
fn a_packet_of_a_known_flow_allocates_nothing() {
    for shape in [Shape::Ipv4, Shape::Ipv6] {
        let (mut meter, mut sink) = (meter(), Sink::new("file:/dev/null"));
        let (mut arena, mut lots) = (Arena::new(shape, 4096), Lots::new(1));
        arena.renumber(|| lots.below(1000));
        run(&mut meter, &arena, SECOND, &mut sink);
        let count = allocations(|| {
            for turn in 0..50 {
                arena.renumber(|| lots.below(1000));
                run(&mut meter, &arena, SECOND + turn, &mut sink);
            }
        });
        assert_eq!(meter.outcomes().metered, 51 * 4096);
        assert_eq!(count, 0, "{shape:?}");
    }
}

/// A file's thread gives its buffers back. Where it is behind there are more of them, whatever the number of flows: 64 of two
/// allocations each, and the lists that hold them.
const BUFFERS: u64 = 150;

/// Every packet a new flow that goes in, idles out, is encoded and sent; and the table is full half of the time.
fn churn(shape: Shape, destination: &str) -> (u64, u64) {
    let (mut meter, mut sink) = (meter(), Sink::new(destination));
    let (mut arena, mut number, mut now) = (Arena::new(shape, 4096), 0, SECOND);
    let mut turns = |count: u64, meter: &mut FlowMeter, sink: &mut Sink| {
        for turn in 0..count {
            arena.renumber(|| {
                number += 1;
                number
            });
            now += if turn % 20 < 10 { SECOND / 50 } else { SECOND / 2 };
            run(meter, &arena, now, sink);
        }
    };
    turns(100, &mut meter, &mut sink);
    let before = (sink.flows, sink.sent());
    let count = allocations(|| turns(200, &mut meter, &mut sink));
    let (flows, sent) = (sink.flows - before.0, sink.sent() - before.1);
    let ended = meter.counters().ended;
    assert!(ended[1] > 0 && ended[5] > 0, "neither idle nor out of room: {ended:?}");
    assert!(flows > 700_000 && sent > 700_000, "{flows} flows, {sent} sent");
    (count, flows)
}

#[test]
fn a_new_flow_allocates_nothing() {
    for shape in [Shape::Ipv4, Shape::Ipv6] {
        let (count, flows) = churn(shape, "file:/dev/null");
        assert!(count <= BUFFERS, "{shape:?}, {count} for {flows} flows");
    }
}

#[test]
fn a_new_flow_with_extension_headers_allocates_nothing() {
    for shape in [Shape::Headers(1), Shape::Headers(3)] {
        let (count, flows) = churn(shape, "file:/dev/null");
        assert!(count <= BUFFERS, "{shape:?}, {count} for {flows} flows");
    }
}

#[test]
fn a_burst_over_udp_allocates_once() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let destination = format!("udp://{}", socket.local_addr().unwrap());
    let (count, flows) = churn(Shape::Ipv6, &destination);
    // 131 octets or more a record, at most 1,400 a message, 16 messages a burst.
    assert!(count <= flows / 100, "{count} allocations for {flows} flows");
}

/// A capture of `count` frames of `shape`, as octets.
fn capture(shape: Shape, count: usize) -> Vec<u8> {
    let mut octets =
        vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];
    let (mut arena, mut number) = (Arena::new(shape, count), 0_u64);
    arena.renumber(|| {
        number += 1;
        number % 5000
    });
    for (index, frame) in arena.frames().enumerate() {
        let length = frame.len() as u32;
        for word in [1_700_000_000, index as u32, length, length] {
            octets.extend(word.to_le_bytes());
        }
        octets.extend(frame);
    }
    octets
}

#[test]
fn a_frame_from_a_file_allocates_nothing() {
    let octets = capture(Shape::Ipv6, 200_000);
    let mut source = pcap::from_reader(std::io::Cursor::new(octets), "test").unwrap();
    let (mut meter, mut sink) = (meter(), Sink::new("file:/dev/null"));
    let mut poll = |meter: &mut FlowMeter, sink: &mut Sink| {
        source.poll(Duration::ZERO, &mut |frames| meter.frames(frames, sink)).unwrap()
    };
    for _ in 0..100 {
        poll(&mut meter, &mut sink);
    }
    let count = allocations(|| while poll(&mut meter, &mut sink) != Poll::End {});
    assert_eq!(meter.outcomes().metered, 200_000);
    assert!(count <= BUFFERS, "{count}");
}
