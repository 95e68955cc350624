//! Collectors that take nothing, and what they cost the others: nothing.

use super::*;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs::File;
use std::io::Read;
use std::net::TcpListener;
use std::time::{Duration, Instant};

fn exporter(destinations: &[String]) -> Exporter {
    let destinations = destinations.iter().map(|text| text.parse().unwrap()).collect();
    let reconnect = Duration::from_millis(10);
    Exporter::new(&ExportPlan { destinations, reconnect, ..ExportPlan::default() }).unwrap()
}

/// Flows enough to fill every buffer of a kernel and some of ours.
fn fill(exporter: &mut Exporter, batches: u64) -> u64 {
    let mut batch = FlowBatch::default();
    for _ in 0..100 {
        batch.flows.extend_from_slice(&plain_batch().flows);
    }
    for _ in 0..batches {
        exporter.consume(&batch, NOW);
        // As the probe's thread does between batches.
        exporter.tick(NOW, &Statistics::default());
    }
    batches * batch.flows.len() as u64
}

/// All books closed, whatever happened.
fn counters(exporter: &Exporter, place: usize) -> crate::telemetry::CollectorCounters {
    let counters = exporter.counters().nth(place).unwrap().1;
    assert_eq!(counters.records, counters.sent + counters.lost.total(), "{counters:?}");
    counters
}

/// A pipe with a name that somebody has open and does not read: what is written to it hangs, as on a disk that is gone.
fn hanging(directory: &Path) -> (String, File) {
    let path = directory.join("hangs");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let reader = File::options().read(true).write(true).open(&path).unwrap();
    (path.display().to_string(), reader)
}

#[test]
fn a_disk_that_hangs_costs_its_own_records_and_nobody_s_time() {
    for scheme in ["file", "json"] {
        let directory = tempfile::tempdir().unwrap();
        let (path, reader) = hanging(directory.path());
        let good = directory.path().join("good.ipfix");
        let mut exporter =
            exporter(&[format!("{scheme}:{path}"), format!("file:{}", good.display())]);
        let began = Instant::now();
        let made = fill(&mut exporter, 400);
        assert!(began.elapsed() < Duration::from_secs(20), "{scheme}: {:?}", began.elapsed());
        let before = Instant::now();
        exporter.finish_within(Duration::from_secs(2), NOW, &Statistics::default());
        assert!(before.elapsed() < Duration::from_secs(4), "{scheme}: {:?}", before.elapsed());
        let hangs = counters(&exporter, 0);
        assert!(hangs.lost.queue > made / 2, "{scheme}: {hangs:?}");
        assert_eq!(counters(&exporter, 1).sent, made);
        let problems = exporter.take_problems().join("\n");
        assert!(problems.contains("too slow, or hangs; records are lost"), "{problems}");
        assert!(problems.contains("records left at the end are lost"), "{problems}");
        let mut whole = Reader::default();
        whole.read_all(&std::fs::read(&good).unwrap());
        assert_eq!(whole.flows.len() as u64, made);
        drop(reader);
    }
}

#[test]
fn a_disk_that_hangs_for_a_while_has_every_record_in_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let (path, mut reader) = hanging(directory.path());
    let mut exporter = exporter(&[format!("file:{path}")]);
    let made = fill(&mut exporter, 20);
    assert!(exporter.counters().next().unwrap().1.sent < made, "the pipe took all of it");
    let octets = std::thread::spawn(move || {
        let (mut octets, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
        // The pipe has no end while this thread itself holds it open: the last record is the end.
        loop {
            let length = reader.read(&mut buffer).unwrap();
            octets.extend_from_slice(&buffer[..length]);
            if whole(&octets) {
                let mut reader = Reader::default();
                reader.read_all(&octets);
                if reader.flows.len() as u64 == made {
                    return reader;
                }
            }
        }
    });
    exporter.finish_within(Duration::from_secs(20), NOW, &Statistics::default());
    assert_eq!(counters(&exporter, 0).sent, made);
    // The reader checks the sequence numbers.
    assert_eq!(octets.join().unwrap().flows.len() as u64, made);
}

/// Whether these are whole messages.
fn whole(mut octets: &[u8]) -> bool {
    while let Some(length) = octets.get(2..4) {
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        let Some(rest) = octets.get(length..) else { return false };
        octets = rest;
    }
    octets.is_empty()
}

/// One that never reads, one at a rate that takes hours: neither holds up the end, nor takes a record of the third.
#[test]
fn the_end_is_bounded_and_the_others_get_all() {
    let stuck = TcpListener::bind("[::1]:0").unwrap();
    let slow = std::net::UdpSocket::bind("[::1]:0").unwrap();
    let good = TcpListener::bind("[::1]:0").unwrap();
    let mut exporter = exporter(&[
        format!("tcp://{}", stuck.local_addr().unwrap()),
        format!("udp://{}?rate=10k", slow.local_addr().unwrap()),
        format!("tcp://{}", good.local_addr().unwrap()),
    ]);
    exporter.wait_connected(NOW, Duration::from_secs(5));
    // It begins to read when the end has begun.
    let reader = std::thread::spawn(move || {
        let (mut stream, _) = good.accept().unwrap();
        std::thread::sleep(Duration::from_millis(1500));
        let mut octets = Vec::new();
        stream.read_to_end(&mut octets).unwrap();
        let mut reader = Reader::default();
        reader.read_all(&octets);
        reader
    });
    let made = fill(&mut exporter, 150);
    let began = Instant::now();
    exporter.finish_within(Duration::from_secs(4), NOW, &Statistics::default());
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(6), "{took:?}");
    for place in [0, 1] {
        let counters = counters(&exporter, place);
        assert!(counters.sent > 0 && counters.lost.queue > 0, "{counters:?}");
        assert!(counters.not_sent_packets > 0);
    }
    assert_eq!(counters(&exporter, 2).sent, made);
    drop(exporter);
    let reader = reader.join().unwrap();
    assert_eq!(reader.flows.len() as u64, made);
}
