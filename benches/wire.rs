//! Encoding and decoding, records a second on one core.
//!
//! Dimensions: a plain IPv6 flow record of 23 fields in 131 octets, messages of 1,420 octets, everything in cache.
//! `reserve` fills a record by slices, `record` by the writer; `fields` looks at each field's octets, `values` reads
//! each by its type, `json` writes each as text.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ie_registry::iana;
use sixtap::collect::{Collector, Event, Limits, Transport, json};
use sixtap::ipfix::{FieldSpecifier, MessageBuilder, Refused, Template, Value};
use std::hint::black_box;

const FIELDS: [u16; 23] =
    [27, 28, 7, 11, 4, 5, 6, 31, 1, 2, 154, 155, 136, 10, 25, 26, 52, 53, 192, 193, 60, 243, 139];
const RECORDS: u64 = 10_000;

fn template() -> Template {
    let fields: Vec<_> = FIELDS.iter().map(|&id| FieldSpecifier::of(iana(id).unwrap())).collect();
    Template::new(256, fields)
}

fn messages(template: &Template) -> Vec<Vec<u8>> {
    let mut builder = MessageBuilder::new(1420);
    let mut messages = Vec::new();
    builder.begin(1, 0);
    builder.template(template).unwrap();
    for number in 0..RECORDS {
        loop {
            let wrote = builder.record(256, |out| {
                for field in template.fields() {
                    out.octets(&[number as u8 & 1; 16][..usize::from(field.length)]);
                }
            });
            match wrote {
                Ok(()) => break,
                Err(Refused::Full) => {
                    messages.push(builder.finish(0).to_vec());
                    builder.begin(1, number as u32);
                }
                Err(Refused::TooLong) => unreachable!(),
            }
        }
    }
    messages.push(builder.finish(0).to_vec());
    messages
}

fn encode(c: &mut Criterion) {
    let template = template();
    let length = template.fixed_len().unwrap();
    let mut group = c.benchmark_group("encode");
    group.throughput(Throughput::Elements(RECORDS));
    let mut builder = MessageBuilder::new(1420);
    group.bench_function("reserve", |b| {
        b.iter(|| {
            builder.begin(1, 0);
            for number in 0..RECORDS {
                loop {
                    if let Ok(place) = builder.reserve(256, length) {
                        place.fill(number as u8);
                        break;
                    }
                    black_box(builder.finish(0));
                    builder.begin(1, 0);
                }
            }
        });
    });
    group.bench_function("record", |b| {
        b.iter(|| {
            builder.begin(1, 0);
            for number in 0..RECORDS {
                let wrote = builder.record(256, |out| {
                    out.octets(&[number as u8; 32]);
                    out.u16(number as u16);
                    out.u16(53);
                    out.u8(17);
                    out.u8(0);
                    out.u16(0);
                    out.u32(number as u32);
                    (0..4).for_each(|_| out.u64(number));
                    out.u8(1);
                    out.u32(2);
                    (0..2).for_each(|_| out.u64(number));
                    (0..5).for_each(|_| out.u8(64));
                    out.u16(1);
                    out.u16(2);
                });
                if wrote.is_err() {
                    black_box(builder.finish(0));
                    builder.begin(1, 0);
                }
            }
        });
    });
    group.finish();
}

fn decode(c: &mut Criterion) {
    let messages = messages(&template());
    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Elements(RECORDS));
    let mut run = |name: &str, mut each: Box<dyn FnMut(&sixtap::collect::Record<'_>)>| {
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut collector = Collector::new(Limits::default(), 32473);
                for message in &messages {
                    let transport = Transport::file(message.len(), 0);
                    collector.message(&transport, message, &mut |event| {
                        if let Event::Record(record) = event {
                            each(&record);
                        }
                    });
                }
            });
        });
    };
    run(
        "records",
        Box::new(|record| {
            black_box(record.octets);
        }),
    );
    run(
        "fields",
        Box::new(|record| {
            for field in record.fields() {
                black_box(field.octets);
            }
        }),
    );
    run(
        "values",
        Box::new(|record| {
            for field in record.fields() {
                let data_type = record.names().data_type(&field.specifier).unwrap();
                let _ = black_box(Value::decode(data_type, field.octets));
            }
        }),
    );
    let mut text = String::new();
    run(
        "json",
        Box::new(move |record| {
            text.clear();
            json::record_to_json(record, &mut text);
            black_box(&text);
        }),
    );
    group.finish();
}

criterion_group!(benches, encode, decode);
criterion_main!(benches);
