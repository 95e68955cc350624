//! The captures of the corpus, field by field against an independent reader: tshark.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end so")]

use ie_registry::ie;
use sixtap::collect::{Collector, Event, Input, Limits, Protocol, Received};
use sixtap::ipfix::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Elements that tshark shows one to one, and how it calls them.
const FIELDS: [(u16, &str); 7] = [
    (ie::SOURCE_IPV6_ADDRESS, "cflow.srcaddrv6"),
    (ie::DESTINATION_IPV6_ADDRESS, "cflow.dstaddrv6"),
    (ie::SOURCE_IPV4_ADDRESS, "cflow.srcaddr"),
    (ie::PROTOCOL_IDENTIFIER, "cflow.protocol"),
    (ie::PACKET_DELTA_COUNT, "cflow.packets"),
    (ie::OCTET_DELTA_COUNT, "cflow.octets"),
    (ie::FLOW_LABEL_IPV6, "cflow.ipv6flowlabel"),
];

/// Files in which tshark and we differ, and why.
const DIFFERENCES: &[(&str, &str)] = &[];

/// Values of one packet, by place in [`FIELDS`].
type Values = BTreeMap<(u64, usize), Vec<String>>;

fn ours(path: &Path) -> (Values, BTreeSet<u16>) {
    let mut input = Input::open(path.to_str().unwrap()).unwrap();
    let mut collector = Collector::new(Limits::default(), 32473);
    let (mut values, mut ports) = (Values::new(), BTreeSet::new());
    while let Some(received) = input.next(Duration::ZERO).unwrap() {
        let Received::Message { transport, octets } = received else { continue };
        if transport.protocol == Protocol::Udp {
            ports.insert(transport.collector.unwrap().port());
        }
        collector.message(&transport, octets, &mut |event| {
            let Event::Record(record) = event else { return };
            for field in record.fields().filter(|field| field.specifier.enterprise == 0) {
                let known = FIELDS.iter().position(|(id, _)| *id == field.specifier.id);
                let (Some(place), false) = (known, record.is_scope(&field)) else { continue };
                let data_type = ie_registry::iana(field.specifier.id).unwrap().data_type;
                let text = match Value::decode(data_type, field.octets) {
                    Ok(Value::Unsigned(value)) => value.to_string(),
                    Ok(Value::Ipv4(address)) => address.to_string(),
                    Ok(Value::Ipv6(address)) => address.to_string(),
                    other => format!("{other:?}"),
                };
                values.entry((transport.position.number(), place)).or_default().push(text);
            }
        });
    }
    (values, ports)
}

fn theirs(path: &Path, ports: &BTreeSet<u16>) -> Option<Values> {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(path).args(["-n", "-T", "fields", "-E", "separator=|"]);
    command.args(["-e", "frame.number"]);
    for (_, name) in FIELDS {
        command.args(["-e", name]);
    }
    for port in ports {
        command.arg("-d").arg(format!("udp.port=={port},cflow"));
    }
    let output = command.output().ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut values = Values::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let mut columns = line.split('|');
        let frame: u64 = columns.next().unwrap().parse().unwrap();
        for (place, column) in columns.enumerate().filter(|(_, column)| !column.is_empty()) {
            let list = column.split(',').map(plain).collect();
            values.insert((frame, place), list);
        }
    }
    Some(values)
}

/// Some numbers are shown in hexadecimal.
fn plain(text: &str) -> String {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).unwrap().to_string(),
        None => text.to_owned(),
    }
}

fn captures() -> Vec<PathBuf> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/exporters");
    let Ok(folders) = std::fs::read_dir(&corpus) else { return Vec::new() };
    let files = folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap());
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "pcap"));
    paths.sort();
    paths
}

#[test]
fn tshark_reads_the_same_values() {
    let captures = captures();
    if captures.is_empty() {
        eprintln!("NOT TESTED: ../shared/corpus is missing; nothing was compared with tshark");
        return;
    }
    let (mut compared, mut wrong) = (0, Vec::new());
    for path in &captures {
        let (ours, ports) = ours(path);
        if ports.is_empty() {
            continue;
        }
        let Some(theirs) = theirs(path, &ports) else {
            eprintln!("NOT TESTED: tshark is missing; values were not compared");
            return;
        };
        compared += ours.values().map(Vec::len).sum::<usize>();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let different =
            ours.keys().chain(theirs.keys()).find(|key| ours.get(key) != theirs.get(key));
        let known = DIFFERENCES.iter().any(|(file, _)| *file == name);
        match different {
            Some(key) if !known => wrong.push(format!(
                "{name} packet {} {}: ours {:?}, tshark {:?}",
                key.0,
                FIELDS[key.1].1,
                ours.get(key),
                theirs.get(key)
            )),
            None if known => wrong.push(format!("{name}: no difference any more")),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared > 10_000, "only {compared} values were compared");
}
