//! Collectors of the crates registry over an IPFIX file: one JSON object a Data Record, element name to value, as the collector says it.
//!
//! usage: registry-collectors netflow_parser|netgauze FILE.ipfix

use serde_json::{Map, Value, json};
use std::process::ExitCode;

/// The messages of an IPFIX file (RFC 5655): each says its own length.
fn messages(octets: &[u8]) -> Vec<&[u8]> {
    let mut rest = octets;
    let mut found = Vec::new();
    while let [_, _, high, low, ..] = *rest {
        let length = usize::from(u16::from_be_bytes([high, low])).clamp(16, rest.len());
        let (message, behind) = rest.split_at(length);
        found.push(message);
        rest = behind;
    }
    found
}

fn netflow_parser(messages: &[&[u8]]) {
    use netflow_parser::NetflowPacket;
    use netflow_parser::variable_versions::ipfix::FlowSetBody;
    let mut parser = netflow_parser::NetflowParser::default();
    for message in messages {
        let result = parser.parse_bytes(message);
        if let Some(error) = result.error {
            eprintln!("{error:?}");
        }
        for packet in result.packets {
            let NetflowPacket::IPFix(packet) = packet else { continue };
            for set in packet.flowsets {
                let FlowSetBody::Data(data) = set.body else { continue };
                for record in data.fields {
                    let mut object = Map::new();
                    for (field, value) in record {
                        // "IANA(SourceIpv6address)"
                        let name = format!("{field:?}");
                        let name = name.strip_prefix("IANA(").and_then(|name| name.strip_suffix(')'));
                        if let Some(name) = name {
                            object.insert(name.to_owned(), json!(value));
                        }
                    }
                    println!("{}", Value::Object(object));
                }
            }
        }
    }
}

fn netgauze(messages: &[&[u8]]) {
    use netgauze_flow_pkt::ipfix::{IpfixPacket, Set};
    use netgauze_parse_utils::{reader::SliceReader, traits::ParseFromWithOneInput};
    let mut templates = std::collections::HashMap::new();
    for message in messages {
        let mut reader = SliceReader::new(message);
        let packet = match IpfixPacket::parse(&mut reader, &mut templates) {
            Ok(packet) => packet,
            Err(error) => {
                eprintln!("{error:?}");
                continue;
            }
        };
        for set in packet.sets() {
            let Set::Data { records, .. } = set else { continue };
            for record in records.iter().filter(|record| record.scope_fields().is_empty()) {
                let mut object = Map::new();
                for field in record.fields() {
                    if let Value::Object(one) = json!(field) {
                        object.extend(one);
                    }
                }
                println!("{}", Value::Object(object));
            }
        }
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [collector, file] = &words[..] else {
        eprintln!("usage: registry-collectors netflow_parser|netgauze FILE.ipfix");
        return ExitCode::from(2);
    };
    let octets = match std::fs::read(file) {
        Ok(octets) => octets,
        Err(error) => {
            eprintln!("{file}: {error}");
            return ExitCode::from(3);
        }
    };
    match collector.as_str() {
        "netflow_parser" => netflow_parser(&messages(&octets)),
        "netgauze" => netgauze(&messages(&octets)),
        other => {
            eprintln!("{other}: no such collector");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
