//! From flow to octets and back through [`crate::ipfix`].

mod change;
mod ending;
mod files;
mod group;
mod interop;
mod pacing;
mod property;
mod session;
mod tcp;
#[cfg(feature = "tls")]
mod tls;

use super::*;
use crate::capture::Timestamp;
use crate::ipfix::{
    self, Fields, MessageHeader, Records as DataRecords, SetHeader, Sets, TemplateRecord,
    TemplateSet,
};
use crate::meter::flow::{
    Chain, Distinct, Extra, FlowBatch, FlowRecord, Fragments, Key, Layer2, Section, Segments,
    TcpOptions, Tunnel, TunnelKind, end_reason, feature,
};
use ie_registry::ie;
use std::collections::BTreeMap;
use std::path::Path;

pub(super) const NOW: Timestamp = Timestamp::new(1_700_000_100, 0);

pub(super) fn key6(source: u16, destination: u16, protocol: u8) -> Key {
    let word = |octets: [u8; 8]| u64::from_le_bytes(octets);
    let mut key = Key::default();
    key.0[0] = word([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0]);
    key.0[1] = word([0, 0, 0, 0, 0, 0, 0, 1]);
    key.0[2] = key.0[0];
    key.0[3] = word([0, 0, 0, 0, 0, 0, 0, 2]);
    key.0[4] = Key::word4(source, destination, 0, 0, protocol);
    key.0[5] = Key::word5(0, 0, 0, 0, 1);
    key
}

pub(super) fn key4(source: u16, destination: u16, protocol: u8) -> Key {
    let mut key = Key::default();
    key.0[0] = u64::from_le_bytes([192, 0, 2, 1, 0, 0, 0, 0]);
    key.0[2] = u64::from_le_bytes([198, 51, 100, 2, 0, 0, 0, 0]);
    key.0[4] = Key::word4(source, destination, 0, 0, protocol);
    key
}

pub(super) fn flow(key: Key) -> FlowRecord {
    FlowRecord {
        key,
        octets: 5_000_000_123,
        packets: 4_000_000,
        first: Timestamp::new(1_700_000_000, 123_456_789),
        last: Timestamp::new(1_700_000_007, 987_654_321),
        min_length: 40,
        max_length: 1_500,
        label: 0x12345,
        extra: FlowRecord::NO_EXTRA,
        interface: 7,
        tcp_flags: 0x1b,
        hop_limit: 64,
        min_hop_limit: 60,
        max_hop_limit: 65,
        traffic_class: 0xb8,
        next_header: key.protocol(),
        end_reason: end_reason::END,
        ..FlowRecord::default()
    }
}

/// One flow of each plain kind.
pub(super) fn plain_batch() -> FlowBatch {
    let mut batch = FlowBatch::default();
    for key in [
        key6(1234, 443, 6),
        key6(1234, 53, 17),
        key6(0, 0x8700, 58),
        key6(0, 0, 89),
        key4(1234, 443, 6),
        key4(1234, 53, 17),
        key4(0, 0x0800, 1),
    ] {
        batch.flows.push(flow(key));
    }
    batch
}

/// Adds a flow with everything there is.
pub(super) fn push_rich(batch: &mut FlowBatch, chains: &[Chain]) {
    let mut record = flow(key6(1234, 443, 6));
    record.features = feature::HEADERS
        | feature::FRAGMENT
        | feature::SEGMENTS
        | feature::SPI
        | feature::MPLS
        | feature::TUNNEL
        | feature::TCP_OPTIONS
        | feature::CHANGED
        | feature::LAYER2;
    record.headers = chains.iter().fold(0, |bits, chain| bits | chain.headers);
    record.extra = batch.extras.len() as u32;
    let mut octets = Section::default();
    octets.0[..8].copy_from_slice(&[17, 4, 4, 1, 1, 0x08, 0x12, 0x34]);
    octets.0[8..24].fill(0xfd);
    octets.0[24..40].fill(0xfe);
    let distinct = Distinct { count: 9, min: 3, max: 200, ..Distinct::default() };
    let mut extra = Extra {
        layer2: Layer2 {
            source: [2, 0, 0, 0, 0, 1],
            destination: [2, 0, 0, 0, 0, 2],
            tag: 0xb064,
            customer_tag: 0x2065,
            tags: 2,
            ether_type: 0x86dd,
            octets: 5_100_000_000,
        },
        fragments: Fragments {
            identification: 0xdead_beef,
            offset: 185,
            flags: 0x20,
            min_offset: 2,
            packets: 11,
            atomic: 1,
            duplicates: 2,
            overlaps: 3,
            out_of_order: 4,
            incomplete: 5,
            ports_rewritten: true,
            rewritten_port: 22,
            tiny: 6,
        },
        segments: Segments {
            flags: 0x08,
            tag: 0x1234,
            left: 1,
            count: 2,
            total: 2,
            whole: 40,
            octets,
            active: [0xfe; 16],
        },
        tcp_options: TcpOptions {
            kinds: [0b1101, 0, 0, 3 << 61],
            exids16: [0x0348, 0x454e, 0, 0],
            exids16_count: 2,
            exids32: [0xe2d4_c3d9, 0, 0, 0],
            exids32_count: 1,
        },
        tunnel: Tunnel {
            kind: TunnelKind::Vxlan,
            outer_ipv6: true,
            source: [0xaa; 16],
            destination: [0xbb; 16],
            identifier: 4711,
        },
        labels: distinct,
        traffic_classes: distinct,
        hop_limits: distinct,
        spi: 0x0102_0304,
        mpls: [0x0001_0140, 0x0002_0140, 0x0003_0340],
        mpls_depth: 3,
        ..Extra::default()
    };
    extra.first_chain = batch.chains.len() as u32;
    extra.chain_count = chains.len() as u8;
    batch.flows.push(record);
    batch.extras.push(extra);
    batch.chains.extend_from_slice(chains);
}

/// Hop-by-Hop, Destination Options twice, Fragment, Destination Options.
pub(super) fn one_chain() -> Chain {
    let mut chain = Chain { headers: 0x13, length: 40, run_count: 4, ..Chain::default() };
    chain.runs[..4].copy_from_slice(&[(0, 1), (60, 2), (44, 1), (60, 1)]);
    chain
}

pub(super) type Decoded = BTreeMap<(u32, u16), Vec<u8>>;

/// Reads a stream of messages; checks framing and sequence numbers.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) templates: BTreeMap<u16, ipfix::Template>,
    pub(super) flows: Vec<Decoded>,
    pub(super) options: Vec<(u16, Decoded)>,
    pub(super) messages: usize,
    /// Templates, each time one comes.
    pub(super) announced: usize,
    pub(super) sequence: u32,
}

impl Reader {
    pub(super) fn read_all(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() {
            let header = MessageHeader::decode(octets).unwrap();
            let (message, rest) = octets.split_at(header.length.into());
            self.read(message);
            octets = rest;
        }
    }

    pub(super) fn read(&mut self, message: &[u8]) {
        let header = MessageHeader::decode(message).unwrap();
        assert_eq!(usize::from(header.length), message.len());
        assert_eq!(header.sequence, self.sequence, "message {}", self.messages);
        assert_eq!(header.domain, 1);
        assert!(message.len() > MessageHeader::LENGTH, "an empty message");
        self.messages += 1;
        for set in Sets::new(message, MessageHeader::LENGTH) {
            let set = set.unwrap();
            assert!(!set.contents.is_empty(), "an empty Set");
            if set.id < 256 {
                for record in TemplateSet::new(set) {
                    match record.unwrap().1 {
                        TemplateRecord::Definition(template) => {
                            self.announced += 1;
                            let known = self.templates.insert(template.id(), template.clone());
                            assert!(known.is_none_or(|known| known == template));
                        }
                        other => panic!("{other:?}"),
                    }
                }
                continue;
            }
            let template = self.templates.get(&set.id).expect("a template before its data");
            let offset = set.offset + SetHeader::LENGTH;
            let mut records = DataRecords::new(template, set.contents, offset);
            for record in &mut records {
                let mut decoded = Decoded::new();
                for field in Fields::new(template, record.unwrap()) {
                    let specifier = field.specifier;
                    let key = (specifier.enterprise, specifier.id);
                    decoded.entry(key).or_insert_with(|| field.octets.to_vec());
                }
                self.sequence = self.sequence.wrapping_add(1);
                if template.is_options() {
                    self.options.push((template.id(), decoded));
                } else {
                    self.flows.push(decoded);
                }
            }
            assert!(records.padding().1.is_empty());
        }
    }
}

pub(super) fn number(record: &Decoded, enterprise: u32, id: u16) -> Option<u64> {
    let octets = record.get(&(enterprise, id))?;
    Some(octets.iter().fold(0, |value, octet| value << 8 | u64::from(*octet)))
}

pub(super) fn file_plan(path: &Path, preset: preset::Preset) -> ExportPlan {
    let destinations = vec![Destination::File(Files::plain(path))];
    ExportPlan { destinations, preset, ..ExportPlan::default() }
}

/// What a file of these batches says.
pub(super) fn through_a_file(preset: preset::Preset, batches: &[FlowBatch]) -> Reader {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.ipfix");
    let mut exporter = Exporter::new(&file_plan(&path, preset)).unwrap();
    for batch in batches {
        exporter.consume(batch, NOW);
    }
    exporter.tick(NOW, &Statistics::default());
    exporter.finish(NOW, &Statistics::default());
    let (_, counters) = exporter.counters().next().unwrap();
    let octets = std::fs::read(&path).unwrap();
    let mut reader = Reader::default();
    reader.read_all(&octets);
    assert_eq!(counters.held(), 0);
    assert_eq!(counters.sent, reader.flows.len() as u64);
    assert_eq!(counters.options, reader.options.len() as u64);
    assert_eq!(counters.messages, reader.messages as u64);
    assert_eq!(counters.octets, octets.len() as u64);
    assert_eq!(u64::from(reader.sequence), counters.sent + counters.options);
    reader
}

#[test]
fn plain_flows_of_the_default_preset() {
    let reader = through_a_file(preset::Preset::standard(), &[plain_batch()]);
    assert_eq!(reader.flows.len(), 7);
    let find = |protocol, version| {
        let found = reader.flows.iter().find(|flow| {
            number(flow, 0, 4) == Some(protocol) && number(flow, 0, 60) == Some(version)
        });
        found.unwrap()
    };
    let tcp = find(6, 6);
    let expected: &[(u16, u64)] = &[
        (ie::SOURCE_TRANSPORT_PORT, 1234),
        (ie::DESTINATION_TRANSPORT_PORT, 443),
        (ie::FLOW_START_MILLISECONDS, 1_700_000_000_123),
        (ie::FLOW_END_MILLISECONDS, 1_700_000_007_987),
        (ie::OCTET_DELTA_COUNT, 5_000_000_123),
        (ie::PACKET_DELTA_COUNT, 4_000_000),
        (ie::TCP_CONTROL_BITS, 0x1b),
        (ie::FLOW_LABEL_IPV6, 0x12345),
        (ie::IP_CLASS_OF_SERVICE, 0xb8),
        (ie::IP_TTL, 64),
        (ie::MINIMUM_TTL, 60),
        (ie::MAXIMUM_TTL, 65),
        (ie::MINIMUM_IP_TOTAL_LENGTH, 40),
        (ie::MAXIMUM_IP_TOTAL_LENGTH, 1_500),
        (ie::NEXT_HEADER_IPV6, 6),
        (ie::INGRESS_INTERFACE, 7),
        (ie::FLOW_END_REASON, 3),
    ];
    for (id, value) in expected {
        assert_eq!(number(tcp, 0, *id), Some(*value), "{id}");
    }
    let address = std::net::Ipv6Addr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]).octets();
    assert_eq!(tcp[&(0, 27)], address);
    // ICMPv6: the v6 elements only, no ports, no flags; and the other way round.
    let icmp6 = find(58, 6);
    assert_eq!(number(icmp6, 0, 139), Some(0x8700));
    assert_eq!((number(icmp6, 0, 178), number(icmp6, 0, 179)), (Some(0x87), Some(0)));
    for absent in [7, 11, 6, 32, 176, 177, 64, 515, 517, 54, 88, 197, 243] {
        assert_eq!(number(icmp6, 0, absent), None, "{absent}");
    }
    let icmp = find(1, 4);
    assert_eq!(number(icmp, 0, 32), Some(0x0800));
    assert_eq!((number(icmp, 0, 176), number(icmp, 0, 177)), (Some(8), Some(0)));
    assert_eq!(
        (number(icmp, 0, 139), number(icmp, 0, 31), number(icmp, 0, 27)),
        (None, None, None)
    );
    assert_eq!(icmp[&(0, 8)], [192, 0, 2, 1]);
    assert_eq!(icmp[&(0, 12)], [198, 51, 100, 2]);
    assert_eq!(number(find(89, 6), 0, 7), None);
    assert_eq!(number(find(17, 4), 0, 11), Some(53));
    // A plain IPv6 TCP record is as short as it can be.
    let template = reader
        .templates
        .values()
        .find(|t| t.position(0, 27).is_some() && t.position(0, 6).is_some())
        .unwrap();
    assert_eq!(template.fixed_len(), Some(94));
}

#[test]
fn a_flow_with_everything_in_the_full_preset() {
    let mut batch = FlowBatch::default();
    push_rich(&mut batch, &[one_chain()]);
    let second = Chain { headers: 0x02, length: 8, run_count: 1, ..Chain::default() };
    push_rich(&mut batch, &[one_chain(), second]);
    let reader = through_a_file(preset::Preset::full(), &[batch]);
    let [one, several] = [0, 1].map(|order| {
        let has = |flow: &&Decoded| flow.contains_key(&(0, 516)) == (order == 0);
        reader.flows.iter().find(has).unwrap()
    });
    // One chain: 516 and 518, not 515 (RFC 9740 section 3).
    let list = &one[&(0, 516)];
    let id = u16::from_be_bytes([list[1], list[2]]);
    assert_eq!(list[0], 4, "ordered");
    assert_eq!(list[3..], [0, 1, 60, 2, 44, 1, 60, 1]);
    assert_eq!(reader.templates[&id].fields().iter().map(|f| f.id).collect::<Vec<_>>(), [513, 514]);
    assert_eq!((number(one, 0, 518), number(one, 0, 517)), (Some(40), Some(1)));
    assert_eq!((one.get(&(0, 515)), one.get(&(0, 519))), (None, None));
    // Several: 519.
    let list = &several[&(0, 519)];
    assert_eq!(list[0], 3, "all of");
    assert_eq!(list[3..], [0, 0x13, 0, 0, 0, 40, 0, 2, 0, 0, 0, 8]);
    for absent in [515, 516, 518] {
        assert_eq!(several.get(&(0, absent)), None);
    }
    let expected: &[(u32, u16, u64)] = &[
        (0, ie::IPV6_EXTENSION_HEADERS, 0x13),
        (0, ie::FRAGMENT_IDENTIFICATION, 0xdead_beef),
        (0, ie::FRAGMENT_OFFSET, 185),
        (0, ie::FRAGMENT_FLAGS, 0x20),
        (0, ie::IPSEC_SPI, 0x0102_0304),
        (0, ie::DOT1Q_VLAN_ID, 0x064),
        (0, ie::DOT1Q_PRIORITY, 5),
        (0, ie::DOT1Q_DEI, 1),
        (0, ie::DOT1Q_CUSTOMER_VLAN_ID, 0x065),
        (0, ie::DOT1Q_CUSTOMER_PRIORITY, 1),
        (0, ie::DOT1Q_CUSTOMER_DEI, 2),
        (0, ie::ETHERNET_TYPE, 0x86dd),
        (0, ie::LAYER2_OCTET_DELTA_COUNT, 5_100_000_000),
        (0, ie::SOURCE_MAC_ADDRESS, 0x0200_0000_0001),
        (0, ie::MPLS_TOP_LABEL_STACK_SECTION, 0x000101),
        (0, ie::MPLS_LABEL_STACK_SECTION3, 0x000303),
        (0, ie::SRH_FLAGS_IPV6, 8),
        (0, ie::SRH_TAG_IPV6, 0x1234),
        (0, ie::SRH_SEGMENTS_IPV6_LEFT, 1),
        (0, ie::TCP_OPTIONS_FULL, 0b1101),
        (0, ie::IP_DIFF_SERV_CODE_POINT, 46),
        (32473, 1, 2),
        (32473, 2, 11),
        (32473, 5, 3),
        (32473, 9, 1),
        (32473, 10, 22),
        (32473, 11, 9),
        (32473, 13, 200),
        (32473, 16, 200),
        (32473, 18, 1),
        (32473, 19, 6),
        (32473, 21, 4711),
    ];
    for (enterprise, id, value) in expected {
        assert_eq!(number(one, *enterprise, *id), Some(*value), "{enterprise}/{id}");
    }
    assert_eq!(one[&(0, 496)][..5], [4, 1, 0xee, 0, 16]);
    assert_eq!(one[&(0, 496)].len(), 5 + 32);
    assert_eq!(one[&(0, 523)], [3, 2, 9, 0, 2, 3, 0x48, 0x45, 0x4e]);
    assert_eq!(one[&(0, 524)], [3, 2, 10, 0, 4, 0xe2, 0xd4, 0xc3, 0xd9]);
    // Rule 9 of RFC 9740: bits 253 and 254 are not set beside the lists, so 8 octets are enough.
    assert_eq!(one[&(0, 520)].len(), 8);
    assert_eq!(one[&(32473, 24)], [0xaa; 16]);
    assert_eq!(one.get(&(32473, 22)), None);
}

/// Through a UDP socket on loopback: bursts, mixed messages, Templates first, sequence numbers.
#[test]
fn a_udp_collector_gets_every_record_in_order() {
    let socket = std::net::UdpSocket::bind("[::1]:0").unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(2))).unwrap();
    let destination = format!("udp://{}", socket.local_addr().unwrap()).parse().unwrap();
    let plan = ExportPlan { destinations: vec![destination], ..ExportPlan::default() };
    let mut exporter = Exporter::new(&plan).unwrap();
    let receiver = std::thread::spawn(move || {
        let mut reader = Reader::default();
        let mut octets = [0; 65_535];
        let mut longest = 0;
        while reader.flows.len() < 7 * 200 {
            let length = socket.recv(&mut octets).unwrap();
            longest = longest.max(length);
            reader.read(&octets[..length]);
        }
        (reader, longest)
    });
    for round in 0..200 {
        exporter.consume(&plain_batch(), NOW);
        if round % 50 == 0 {
            exporter.tick(Timestamp(NOW.0 + round * 100_000_000), &Statistics::default());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
    exporter.finish(NOW, &Statistics::default());
    let (reader, longest) = receiver.join().unwrap();
    assert_eq!(reader.flows.len(), 1_400);
    assert!(longest <= 1_400);
    let (_, counters) = exporter.counters().next().unwrap();
    assert_eq!((counters.sent, counters.lost.total(), counters.held()), (1_400, 0, 0));
}

#[test]
fn a_udp_collector_that_is_away_stops_nothing() {
    // A port nobody listens on: one that was just given back.
    let address = std::net::UdpSocket::bind("[::1]:0").unwrap().local_addr().unwrap();
    let destination = format!("udp://{address}").parse().unwrap();
    let plan = ExportPlan { destinations: vec![destination], ..ExportPlan::default() };
    let mut exporter = Exporter::new(&plan).unwrap();
    let begin = std::time::Instant::now();
    for _ in 0..100 {
        exporter.consume(&plain_batch(), NOW);
        exporter.tick(NOW, &Statistics::default());
    }
    exporter.finish(NOW, &Statistics::default());
    assert!(begin.elapsed() < std::time::Duration::from_secs(2));
    let (_, counters) = exporter.counters().next().unwrap();
    assert_eq!(counters.records, 700);
    assert_eq!(counters.sent + counters.lost.send, 700);
    assert!(exporter.take_problems()[0].contains("refused"));
}

/// `json:` writes what `show` makes of the same records in a file.
#[test]
fn json_lines_are_those_of_the_collector() {
    use crate::collect::{self, Collector, Event, Limits};
    let mut batch = plain_batch();
    push_rich(&mut batch, &[one_chain()]);
    push_rich(&mut batch, &[one_chain(), Chain::default()]);
    let directory = tempfile::tempdir().unwrap();
    let (ipfix, lines) = (directory.path().join("out.ipfix"), directory.path().join("out.jsonl"));
    let mut plan = file_plan(&ipfix, preset::Preset::full());
    plan.destinations.push(Destination::Json(Some(Files::plain(&lines))));
    let mut exporter = Exporter::new(&plan).unwrap();
    exporter.consume(&batch, NOW);
    exporter.finish(NOW, &Statistics::default());
    let counters = exporter.counters().nth(1).unwrap().1;
    assert_eq!((counters.records, counters.sent, counters.held()), (9, 9, 0));
    let mut shown = Vec::new();
    let mut collector = Collector::new(Limits::default(), 32473);
    let octets = std::fs::read(&ipfix).unwrap();
    let mut rest = octets.as_slice();
    while !rest.is_empty() {
        let length = usize::from(MessageHeader::decode(rest).unwrap().length);
        let transport = collect::Transport::file(length, 0);
        collector.message(&transport, &rest[..length], &mut |event| match event {
            Event::Record(record) if !record.template.is_options() => {
                let mut line = String::new();
                collect::json::record_to_json(&record, &mut line);
                shown.push(line);
            }
            Event::Anomaly { anomaly, .. } => panic!("{anomaly}"),
            _ => {}
        });
        rest = &rest[length..];
    }
    let mut written: Vec<String> =
        std::fs::read_to_string(&lines).unwrap().lines().map(str::to_owned).collect();
    written.sort();
    shown.sort();
    assert_eq!(written, shown);
    assert!(written.iter().any(|line| line.contains("\"flowLabelIPv6\":74565")));
    assert!(written.iter().any(|line| line.contains("\"sixtap:fragmentPortsRewritten\":true")));
}
