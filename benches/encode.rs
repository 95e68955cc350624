//! Cost of a flow record: encoding alone, and the whole exporter into a UDP socket on loopback and into a file.

#![allow(missing_docs, reason = "criterion's macros make public functions")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sixtap::capture::Timestamp;
use sixtap::export::preset::Preset;
use sixtap::export::record::Records;
use sixtap::export::{ExportPlan, Exporter, Statistics};
use sixtap::meter::flow::{Chain, Extra, FlowBatch, FlowRecord, Key, end_reason, feature};
use std::hint::black_box;
use std::net::UdpSocket;
use std::time::Duration;

const NOW: Timestamp = Timestamp::new(1_700_000_100, 0);

fn flow(number: u64, ipv6: bool, protocol: u8) -> FlowRecord {
    let mut key = Key::default();
    key.0[0] = 0xb80d_0120 | number << 32;
    key.0[2] = 0xb80d_0120;
    key.0[4] = Key::word4(number as u16, 443, 0, 0, protocol);
    key.0[5] = Key::word5(0, 0, 0, 0, u8::from(ipv6));
    FlowRecord {
        key,
        octets: 123_456,
        packets: 100,
        first: Timestamp::new(1_700_000_000, number as u32),
        last: Timestamp::new(1_700_000_050, 999),
        min_length: 60,
        max_length: 1_500,
        label: 0x12345,
        extra: FlowRecord::NO_EXTRA,
        tcp_flags: 0x1b,
        hop_limit: 64,
        min_hop_limit: 64,
        max_hop_limit: 64,
        next_header: protocol,
        end_reason: end_reason::IDLE,
        ..FlowRecord::default()
    }
}

/// The mix of the comparison captures: 61 % IPv6; TCP and UDP.
fn mixed() -> Vec<FlowBatch> {
    let mut number = 0;
    (0..100)
        .map(|_| {
            let mut batch = FlowBatch::default();
            while batch.flows.len() < FlowBatch::CAPACITY {
                number += 1;
                let protocol = if number % 3 == 0 { 17 } else { 6 };
                batch.flows.push(flow(number, number * 61 % 100 < 61, protocol));
            }
            batch
        })
        .collect()
}

/// IPv6 TCP flows with Hop-by-Hop, Destination Options and Fragment headers.
fn with_headers() -> FlowBatch {
    let mut batch = FlowBatch::default();
    let mut chain = Chain { headers: 0x13, length: 24, run_count: 3, ..Chain::default() };
    chain.runs[..3].copy_from_slice(&[(0, 1), (60, 1), (44, 1)]);
    for number in 0..FlowBatch::CAPACITY as u32 {
        let mut record = flow(u64::from(number), true, 6);
        record.features = feature::HEADERS | feature::FRAGMENT;
        record.headers = chain.headers;
        record.extra = number;
        batch.flows.push(record);
        batch.extras.push(Extra { chain_count: 1, first_chain: number, ..Extra::default() });
        batch.chains.push(chain);
    }
    batch
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    let mut plain = FlowBatch::default();
    plain.flows.extend((0..FlowBatch::CAPACITY as u64).map(|number| flow(number, true, 6)));
    let cases = [
        ("default_ipv6_tcp", Preset::standard(), plain),
        ("default_with_headers", Preset::standard(), with_headers()),
        ("full_with_headers", Preset::full(), with_headers()),
    ];
    for (name, preset, batch) in cases {
        group.throughput(Throughput::Elements(batch.flows.len() as u64));
        let mut records = Records::new(&preset, 32473, 300, 30);
        let mut out = vec![0; 65_535];
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut at = 0;
                for flow in batch.iter(0) {
                    let index = records.prepare(&flow);
                    at += records.encode(index, &flow, &mut out[at..]).unwrap_or_default();
                }
                black_box(&out[..at]);
            });
        });
    }
    group.finish();
}

fn export(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("export");
    let batches = mixed();
    group.throughput(Throughput::Elements(batches.iter().map(|b| b.flows.len() as u64).sum()));
    // One socket that nobody reads (a full buffer: the kernel drops), one that a thread empties as a collector would.
    let unread = UdpSocket::bind("[::1]:0").ok();
    let read = UdpSocket::bind("[::1]:0").ok();
    let destination = |socket: &Option<UdpSocket>| {
        let address = socket.as_ref().and_then(|socket| socket.local_addr().ok());
        address.map(|address| format!("udp://{address}")).unwrap_or_default()
    };
    let (udp_unread, udp) = (destination(&unread), destination(&read));
    std::thread::spawn(move || {
        let mut octets = [0; 2048];
        while read.as_ref().is_some_and(|socket| socket.recv(&mut octets).is_ok()) {}
    });
    for (name, destination) in
        [("udp", udp.as_str()), ("udp_unread", &udp_unread), ("file", "file:/dev/null")]
    {
        let Ok(destination) = destination.parse() else { continue };
        let plan = ExportPlan { destinations: vec![destination], ..ExportPlan::default() };
        let Ok(mut exporter) = Exporter::new(&plan) else { continue };
        let mut now = NOW;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for batch in &batches {
                    // Time enough for the pace: what is measured is sending, not holding back.
                    now.0 += 10_000_000;
                    exporter.consume(batch, now);
                }
                exporter.tick(now, &Statistics::default());
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(3)).without_plots();
    targets = encode, export
}
criterion_main!(benches);
