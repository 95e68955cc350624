//! Every vendor export of the corpus through the collector: no panic, and the counts of the corpus's own index.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end so")]

use ie_registry::ie;
use sixtap::collect::{Collector, Event, Input, Limits, Received, Record, Version};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the index counts otherwise, and why.
const DIFFERENCES: &[(&str, &str)] = &[
    ("netflow-v9-1.dat", "two datagrams one behind the other; the index reads the first"),
    (
        "spec_codecs_netflow5.dat",
        "twelve datagrams one behind the other; the index reads the first",
    ),
    (
        "malformed_6.pcap",
        "a set reaches beyond its datagram; the index drops the datagram, we name the fault",
    ),
];

fn corpus() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    if path.join("INDEX.csv").exists() {
        return Some(path);
    }
    eprintln!("NOT TESTED: ../shared/corpus is missing; vendor exports were not read");
    None
}

/// Rows of the index that are exports, by column name.
fn index(corpus: &Path) -> Vec<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(corpus.join("INDEX.csv")).unwrap();
    let mut lines = text.lines().map(fields);
    let header = lines.next().unwrap();
    lines
        .map(|row| header.iter().cloned().zip(row).collect::<BTreeMap<_, _>>())
        .filter(|row| row["category"] == "exporters")
        .collect()
}

fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            _ => fields.last_mut().unwrap().push(c),
        }
    }
    fields
}

#[derive(Debug, Default, PartialEq)]
struct Counts {
    versions: BTreeMap<u16, u64>,
    records: u64,
    options: u64,
    v6_records: u64,
    anomalies: BTreeMap<&'static str, u64>,
}

impl Counts {
    /// As the index writes it: `v5=5 v9=4`, sorted as text.
    fn versions(&self) -> String {
        let mut versions: Vec<_> =
            self.versions.iter().map(|(version, count)| format!("v{version}={count}")).collect();
        versions.sort();
        versions.join(" ")
    }

    fn record(&mut self, record: &Record<'_>, octets: &[u8]) {
        let mut last = 0;
        for field in record.fields() {
            assert_eq!(
                octets.get(field.offset..field.offset + field.octets.len()),
                Some(field.octets)
            );
            assert!(field.offset >= last);
            last = field.offset + field.octets.len();
        }
        if record.template.is_options() {
            self.options += 1;
        } else {
            self.records += 1;
            let said = |id| {
                let field = record.field(0, id);
                field.is_some_and(|field| field.octets.iter().any(|&octet| octet != 0))
            };
            let v6 = said(ie::SOURCE_IPV6_ADDRESS) || said(ie::DESTINATION_IPV6_ADDRESS);
            self.v6_records += u64::from(v6);
        }
    }
}

fn read(collector: &mut Collector, path: &Path) -> Counts {
    let mut counts = Counts::default();
    let mut input = Input::open(path.to_str().unwrap()).unwrap();
    while let Some(received) = input.next(Duration::ZERO).unwrap() {
        match received {
            Received::Message { transport, octets } => {
                collector.message(&transport, octets, &mut |event| match event {
                    Event::Message(message) if message.version != Version::Unknown => {
                        *counts.versions.entry(message.version.number()).or_default() += 1;
                    }
                    Event::Record(record) => counts.record(&record, octets),
                    Event::Anomaly { anomaly, .. } => {
                        *counts.anomalies.entry(anomaly.kind.name()).or_default() += 1;
                    }
                    _ => {}
                });
            }
            Received::Noise { anomaly, .. } => {
                *counts.anomalies.entry(anomaly.kind.name()).or_default() += 1;
            }
            Received::End { .. } | Received::Idle => {}
        }
    }
    counts
}

/// What the exports of one folder hold. Templates often stand in another file than their records: those files are read
/// first, and then the file itself.
fn read_with_templates(
    corpus: &Path,
    row: &BTreeMap<String, String>,
    all: &[BTreeMap<String, String>],
) -> Counts {
    let path = corpus.join(&row["file"]);
    let alone = read(&mut Collector::new(Limits::default(), 32473), &path);
    let said: u64 = row["records"].parse().unwrap();
    if !alone.anomalies.contains_key("no-template") || alone.records == said {
        return alone;
    }
    // The nearest file whose Templates give as many records as the index has.
    let folder = Path::new(&row["file"]).parent();
    let siblings = all.iter().filter(|other| Path::new(&other["file"]).parent() == folder);
    let mut together = Collector::new(Limits::default(), 32473);
    for other in siblings {
        let mut collector = Collector::new(Limits::default(), 32473);
        read_as_one_session(&mut collector, &corpus.join(&other["file"]));
        read_as_one_session(&mut together, &corpus.join(&other["file"]));
        let counts = read_as_one_session(&mut collector, &path);
        if counts.records == said {
            return counts;
        }
    }
    // Or all of the folder's together.
    read_as_one_session(&mut together, &path)
}

/// Reads a file as if all came from one exporter: addresses of captures are left out.
fn read_as_one_session(collector: &mut Collector, path: &Path) -> Counts {
    let mut counts = Counts::default();
    let mut input = Input::open(path.to_str().unwrap()).unwrap();
    while let Some(received) = input.next(Duration::ZERO).unwrap() {
        let Received::Message { mut transport, octets } = received else { continue };
        (transport.exporter, transport.collector) = (None, None);
        collector.message(&transport, octets, &mut |event| match event {
            Event::Message(message) => {
                *counts.versions.entry(message.version.number()).or_default() += 1;
            }
            Event::Record(record) => counts.record(&record, octets),
            _ => {}
        });
    }
    counts
}

#[test]
fn every_export_has_the_counts_of_the_index() {
    let Some(corpus) = corpus() else { return };
    let rows = index(&corpus);
    let (mut same, mut wrong) = (0, Vec::new());
    for row in &rows {
        let counts = read_with_templates(&corpus, row, &rows);
        let found = (counts.versions(), counts.records.to_string(), counts.v6_records.to_string());
        let said = (row["versions"].clone(), row["records"].clone(), row["v6_records"].clone());
        let known = DIFFERENCES.iter().find(|(end, _)| row["file"].ends_with(end));
        match known {
            Some((_, reason)) => {
                assert_ne!(found, said, "{}: no difference any more ({reason})", row["file"]);
            }
            None if found == said => same += 1,
            None => wrong.push(format!("{}: found {found:?}, index {said:?}", row["file"])),
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    assert_eq!(same + DIFFERENCES.len(), rows.len());
}

/// Every export, with single octets changed and cut short at many places: no panic, and the work stays bounded.
#[test]
fn damaged_exports_are_survived() {
    let Some(corpus) = corpus() else { return };
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    };
    for row in index(&corpus) {
        let octets = std::fs::read(corpus.join(&row["file"])).unwrap();
        let octets = &octets[..octets.len().min(20_000)];
        for _ in 0..20 {
            let mut damaged = octets[..random() % octets.len().max(1)].to_vec();
            for _ in 0..random() % 8 {
                if !damaged.is_empty() {
                    let at = random() % damaged.len();
                    damaged[at] = random() as u8;
                }
            }
            let Ok(mut input) = Input::from_reader(std::io::Cursor::new(damaged), "damaged") else {
                continue;
            };
            let mut collector = Collector::new(Limits::default(), 32473);
            while let Some(received) = input.next(Duration::ZERO).unwrap() {
                if let Received::Message { transport, octets } = received {
                    collector.message(&transport, octets, &mut |event| {
                        if let Event::Record(record) = event {
                            Counts::default().record(&record, octets);
                        }
                    });
                }
            }
        }
    }
}
