//! Records that come all at once do not go all at once.

use super::*;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

const MILLISECOND: u64 = 1_000_000;

struct Receiver {
    socket: UdpSocket,
    reader: Reader,
    octets: usize,
    datagrams: usize,
}

impl Receiver {
    fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, reader: Reader::default(), octets: 0, datagrams: 0 }
    }

    /// What has come. Loopback delivers before the send returns.
    fn read(&mut self) -> usize {
        let mut octets = [0; 65_535];
        let before = self.octets;
        while let Ok(length) = self.socket.recv(&mut octets) {
            self.octets += length;
            self.datagrams += 1;
            // Fails where the sequence numbers have a gap.
            self.reader.read(&octets[..length]);
        }
        self.octets - before
    }

    fn exporter(&self, parameters: &str, patient: bool) -> Exporter {
        let address = self.socket.local_addr().unwrap();
        let destinations = vec![format!("udp://{address}{parameters}").parse().unwrap()];
        Exporter::new(&ExportPlan { destinations, patient, ..ExportPlan::default() }).unwrap()
    }
}

/// As many flows as an active timeout may end at once.
fn wave(flows: usize) -> FlowBatch {
    let mut batch = FlowBatch::default();
    for number in 0..flows {
        batch.flows.push(flow(key6(number as u16, (number >> 16) as u16, 6)));
    }
    batch
}

#[test]
fn a_wave_goes_at_the_rate_given_and_all_of_it_arrives_in_order() {
    let mut receiver = Receiver::new();
    // A megabyte a second.
    let mut exporter = receiver.exporter("?rate=8M", false);
    exporter.tick(NOW, &Statistics::default());
    exporter.consume(&wave(20_000), NOW);
    let at_once = receiver.read();
    assert!(at_once < 100_000, "{at_once}");
    assert_eq!(exporter.pause(Duration::from_millis(100)), Duration::from_millis(2));
    let mut now = NOW;
    for _ in 0..500 {
        now.0 += 2 * MILLISECOND;
        exporter.tick(now, &Statistics::default());
        let burst = receiver.read();
        assert!(burst < 60_000, "{burst}");
    }
    let second = receiver.octets - at_once;
    assert!((900_000..1_100_000).contains(&second), "{second}");
    let held = exporter.counters().next().unwrap().1.held();
    assert!(held > 0, "the wave is longer than a second");
    while exporter.counters().next().unwrap().1.held() > 0 {
        now.0 += 2 * MILLISECOND;
        exporter.tick(now, &Statistics::default());
        receiver.read();
        assert!(now.0 < NOW.0 + 10_000 * MILLISECOND);
    }
    assert_eq!(receiver.reader.flows.len(), 20_000);
    assert_eq!(exporter.pause(Duration::from_millis(100)), Duration::from_millis(100));
}

#[test]
fn without_a_rate_a_wave_is_spread_over_less_than_a_second() {
    let mut receiver = Receiver::new();
    let mut exporter = receiver.exporter("", false);
    exporter.tick(NOW, &Statistics::default());
    exporter.consume(&wave(60_000), NOW);
    assert!(receiver.read() < 100_000);
    let (mut now, mut most) = (NOW, 0);
    while exporter.counters().next().unwrap().1.held() > 0 {
        now.0 += 2 * MILLISECOND;
        exporter.tick(now, &Statistics::default());
        most = most.max(receiver.read());
    }
    assert!(now.0 - NOW.0 <= 1_100 * MILLISECOND, "{} ms", (now.0 - NOW.0) / MILLISECOND);
    assert!(most < 90_000, "{most}: what a socket with default settings holds");
    assert_eq!(receiver.reader.flows.len(), 60_000);
}

/// A pace that nobody asked for never costs a record: where the queue is full it gives way, also where short messages,
/// which make little room, stand in the queue among long ones.
#[test]
fn without_a_rate_a_full_queue_loses_nothing() {
    let receiver = Receiver::new();
    let mut exporter = receiver.exporter("", false);
    let mut now = NOW;
    exporter.tick(now, &Statistics::default());
    exporter.consume(&wave(60_000), now);
    for _ in 0..40 {
        exporter.consume(&wave(300), now);
        now.0 += 1_100 * MILLISECOND;
        exporter.tick(now, &Statistics::default());
    }
    for _ in 0..6 {
        exporter.consume(&wave(60_000), now);
    }
    let counters = exporter.counters().next().unwrap().1;
    assert_eq!(counters.lost.total(), 0, "{counters:?}");
    assert!(counters.held() > 100_000, "the queue was not full: {counters:?}");
}

#[test]
fn a_rate_too_small_costs_records_that_are_counted() {
    let mut receiver = Receiver::new();
    let mut exporter = receiver.exporter("?rate=8k", false);
    exporter.tick(NOW, &Statistics::default());
    let batch = wave(60_000);
    for _ in 0..6 {
        exporter.consume(&batch, NOW);
    }
    let counters = exporter.counters().next().unwrap().1;
    assert!(counters.lost.queue > 0, "{counters:?}");
    assert!(counters.held() > 100_000, "{counters:?}");
    receiver.read();
    // Without patience the end waits a few seconds, no more.
    let begin = Instant::now();
    exporter.finish(NOW, &Statistics::default());
    assert!(begin.elapsed() < Duration::from_secs(8));
    receiver.read();
    let counters = exporter.counters().next().unwrap().1;
    assert_eq!(counters.held(), 0);
    assert_eq!(counters.records, counters.sent + counters.lost.total());
    assert_eq!(receiver.reader.flows.len() as u64, counters.sent);
}

#[test]
fn a_run_over_a_file_waits_instead() {
    let mut receiver = Receiver::new();
    let mut exporter = receiver.exporter("?rate=8M", true);
    let begin = Instant::now();
    for _ in 0..5 {
        exporter.consume(&wave(2_000), NOW);
        receiver.read();
    }
    let reader = std::thread::spawn(move || {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(20) && receiver.reader.flows.len() < 10_000 {
            receiver.read();
            std::thread::sleep(Duration::from_millis(1));
        }
        receiver
    });
    exporter.finish(NOW, &Statistics::default());
    let receiver = reader.join().unwrap();
    let counters = exporter.counters().next().unwrap().1;
    assert_eq!((counters.sent, counters.lost.total()), (10_000, 0));
    assert_eq!(receiver.reader.flows.len(), 10_000);
    // 64 KiB go at once.
    let least = (receiver.octets as f64 - 100_000.0) / 1e6;
    assert!(begin.elapsed().as_secs_f64() > least, "{:?}", begin.elapsed());
}
