//! Collectors over TCP that come late, go away, or do not read.

use super::*;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

fn exporter(address: std::net::SocketAddr) -> Exporter {
    let destinations = vec![format!("tcp://{address}").parse().unwrap()];
    let reconnect = Duration::from_millis(10);
    Exporter::new(&ExportPlan { destinations, reconnect, ..ExportPlan::default() }).unwrap()
}

/// Ticks until `done`, a few seconds at most.
fn tick_until(exporter: &mut Exporter, now: &mut Timestamp, done: impl Fn(&Exporter) -> bool) {
    let begin = Instant::now();
    while !done(exporter) {
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", exporter.counters().next());
        now.0 += 100_000_000;
        exporter.tick(*now, &Statistics::default());
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn sent(exporter: &Exporter) -> u64 {
    exporter.counters().next().unwrap().1.sent
}

fn read_some(stream: &mut TcpStream, reader: &mut Reader, flows: usize) {
    stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    while reader.flows.len() < flows {
        let mut header = [0; MessageHeader::LENGTH];
        stream.read_exact(&mut header).unwrap();
        let length = usize::from(MessageHeader::decode(&header).unwrap().length);
        let mut message = vec![0; length];
        message[..header.len()].copy_from_slice(&header);
        stream.read_exact(&mut message[header.len()..]).unwrap();
        reader.read(&message);
    }
}

/// Records made before the collector is there arrive when it comes; after it went away and came back there is a new
/// session: Templates again, numbers from 0.
#[test]
fn a_collector_that_comes_goes_and_comes_back() {
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut exporter = exporter(address);
    let mut now = NOW;
    exporter.consume(&plain_batch(), now);
    for _ in 0..20 {
        now.0 += 200_000_000;
        exporter.tick(now, &Statistics::default());
    }
    assert_eq!(sent(&exporter), 0);
    assert!(exporter.take_problems()[0].contains("records are held"));

    let listener = TcpListener::bind(address).unwrap();
    tick_until(&mut exporter, &mut now, |exporter| sent(exporter) == 7);
    assert!(exporter.take_problems().last().unwrap().contains("there again"));
    let (mut stream, _) = listener.accept().unwrap();
    let mut reader = Reader::default();
    read_some(&mut stream, &mut reader, 7);
    assert!(reader.options.len() > 7, "keys and types came too");

    // The collector goes away; what it did not read is lost with the connection, and counted as sent.
    drop(stream);
    now.0 += 100_000_000;
    exporter.tick(now, &Statistics::default());
    exporter.consume(&plain_batch(), now);
    tick_until(&mut exporter, &mut now, |exporter| sent(exporter) == 14);
    let (mut stream, _) = listener.accept().unwrap();
    let mut reader = Reader::default();
    read_some(&mut stream, &mut reader, 7);
    assert_eq!(exporter.counters().next().unwrap().1.sessions, 2);
    exporter.consume(&plain_batch(), now);
    exporter.finish(now, &Statistics::default());
    read_some(&mut stream, &mut reader, 14);
    let counters = exporter.counters().next().unwrap().1;
    assert_eq!((counters.records, counters.sent, counters.lost.total()), (21, 21, 0));
}

/// A collector that reads nothing: the queue is bounded, the rest is counted, nothing waits.
#[test]
fn a_collector_that_does_not_read_costs_records_not_time() {
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let mut exporter = exporter(listener.local_addr().unwrap());
    let mut now = NOW;
    tick_until(&mut exporter, &mut now, |exporter| {
        exporter.counters().next().unwrap().1.sessions == 1
    });
    let (mut stream, _) = listener.accept().unwrap();
    let mut batch = FlowBatch::default();
    for _ in 0..100 {
        batch.flows.extend_from_slice(&plain_batch().flows);
    }
    let begin = Instant::now();
    let mut made = 0;
    while exporter.counters().next().unwrap().1.lost.queue == 0 {
        exporter.consume(&batch, now);
        made += 700;
        assert!(made < 10_000_000 && begin.elapsed() < Duration::from_secs(20));
    }
    let counters = exporter.counters().next().unwrap().1;
    assert_eq!(counters.records, made);
    assert!(counters.not_sent_packets == counters.lost.queue * 4_000_000);
    // Once it reads, all that was not lost arrives, in order.
    let receiver = std::thread::spawn(move || {
        let mut octets = Vec::new();
        stream.read_to_end(&mut octets).unwrap();
        let mut reader = Reader::default();
        reader.read_all(&octets);
        reader.flows.len() as u64
    });
    exporter.finish(now, &Statistics::default());
    let counters = exporter.counters().next().unwrap().1;
    assert_eq!(counters.held(), 0);
    assert_eq!(counters.records, counters.sent + counters.lost.total());
    drop(exporter);
    assert_eq!(receiver.join().unwrap(), counters.sent);
}

/// Attempts become rarer, down to one a minute (RFC 7011 section 10.4.4).
#[test]
fn attempts_to_connect_become_rarer() {
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let destinations = vec![format!("tcp://{address}").parse().unwrap()];
    let mut exporter =
        Exporter::new(&ExportPlan { destinations, ..ExportPlan::default() }).unwrap();
    let mut attempts = Vec::new();
    for second in 0..400 {
        exporter.tick(Timestamp(NOW.0 + second * 1_000_000_000), &Statistics::default());
        // Over loopback the refusal is there at once.
        attempts.extend(exporter.take_problems().iter().map(|_| second));
    }
    let pauses: Vec<u64> = attempts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60]);
}
