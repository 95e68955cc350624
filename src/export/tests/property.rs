//! Random flows, however unlikely: what is encoded is what is read back, whatever the preset.

use super::*;
use crate::export::record::Records;
use crate::meter::flow::{Reverse, TcpOptions};
use proptest::prelude::*;

/// Any flow, with or without details, consistent or not.
fn any_flow() -> impl Strategy<Value = (FlowRecord, Option<(Extra, Vec<Chain>)>)> {
    let protocols = prop::sample::select(vec![0u8, 1, 6, 17, 50, 58, 59, 89, 132, 108]);
    let numbers = any::<([u64; 4], u64, u64, u64, [u32; 4], [u16; 4], [u8; 6])>();
    let details = any::<([u8; 16], [u32; 8], [u16; 8], [u8; 8], [bool; 4])>();
    (protocols, numbers, prop::option::of((details, 0usize..10))).prop_map(
        |(protocol, (addresses, octets, packets, first, n4, n2, n1), details)| {
            let mut key = Key::default();
            key.0[..4].copy_from_slice(&addresses);
            key.0[4] = Key::word4(n2[0], n2[1], n2[2] & n2[3], n2[3] & 1, protocol);
            key.0[5] = Key::word5(0, 0, 0, 0, n1[0] & 0x0f);
            let record = FlowRecord {
                key,
                octets,
                packets,
                first: Timestamp(first),
                last: Timestamp(first.saturating_add(octets)),
                min_length: n4[0],
                max_length: n4[1],
                label: n4[2] & 0xf_ffff,
                interface: n4[3],
                headers: n2[2] & 0x3fff,
                tcp_flags: n2[3] & 0x0fff,
                features: n2[0] ^ n2[1],
                hop_limit: n1[1],
                min_hop_limit: n1[2],
                max_hop_limit: n1[3],
                traffic_class: n1[4],
                next_header: n1[5],
                end_reason: 1,
                ..FlowRecord::default()
            };
            (record, details.map(|(details, chains)| any_details(details, chains)))
        },
    )
}

type Numbers = ([u8; 16], [u32; 8], [u16; 8], [u8; 8], [bool; 4]);

fn any_details((a, n4, n2, n1, flags): Numbers, chains: usize) -> (Extra, Vec<Chain>) {
    let mut chain = Chain { headers: n2[0] & 0x3fff, length: n4[0], ..Chain::default() };
    chain.run_count = n1[0] % 25;
    chain.runs = [(n1[1], n1[2]); 24];
    let chains = vec![chain; chains];
    let extra = Extra {
        fragments: Fragments {
            identification: n4[1],
            offset: n2[1] & 0x1fff,
            flags: n1[3] & 0x60,
            overlaps: n4[2],
            ports_rewritten: flags[0],
            ..Fragments::default()
        },
        segments: Segments {
            count: n1[4] % 9,
            whole: n1[4] % 177,
            active: a,
            octets: Section([n1[5]; 176]),
            ..Segments::default()
        },
        tcp_options: TcpOptions {
            kinds: [u64::from(n4[3]), 0, 0, u64::from(n4[4]) << 30],
            exids16_count: n1[5] % 5,
            exids32_count: n1[6] % 5,
            ..TcpOptions::default()
        },
        tunnel: Tunnel { outer_ipv6: flags[1], source: a, ..Tunnel::default() },
        reverse: Reverse { packets: u64::from(n4[5]), ..Reverse::default() },
        layer2: Layer2 { tags: n1[7] % 4, tag: n2[2], ..Layer2::default() },
        mpls_depth: n1[0] % 5,
        spi: n4[6],
        chain_count: chains.len().min(9) as u8,
        ..Extra::default()
    };
    (extra, chains)
}

fn batch_of(flows: Vec<(FlowRecord, Option<(Extra, Vec<Chain>)>)>) -> FlowBatch {
    let mut batch = FlowBatch::default();
    for (mut record, details) in flows {
        record.extra = FlowRecord::NO_EXTRA;
        if let Some((mut extra, chains)) = details {
            record.extra = batch.extras.len() as u32;
            extra.first_chain = batch.chains.len() as u32;
            extra.chain_count = chains.len().min(9) as u8;
            batch.extras.push(extra);
            batch.chains.extend(chains.into_iter().take(8));
        }
        batch.flows.push(record);
    }
    batch
}

/// Whatever a record has must be the flow's; what it must not have, it has not.
fn check(read: &Decoded, flow: &FlowRecord) {
    let key = &flow.key;
    let expect = |id: u16, value: u64| {
        if let Some(found) = number(read, 0, id) {
            assert_eq!(found, value, "element {id}");
        }
    };
    expect(ie::OCTET_DELTA_COUNT, flow.octets);
    expect(ie::PACKET_DELTA_COUNT, flow.packets);
    expect(ie::MINIMUM_IP_TOTAL_LENGTH, flow.min_length.into());
    expect(ie::FLOW_LABEL_IPV6, flow.label.into());
    expect(ie::TCP_CONTROL_BITS, flow.tcp_flags.into());
    expect(ie::IPV6_EXTENSION_HEADERS_FULL, flow.headers.into());
    expect(ie::SOURCE_TRANSPORT_PORT, key.source_port().into());
    expect(ie::DESTINATION_TRANSPORT_PORT, key.destination_port().into());
    expect(ie::ICMP_TYPE_CODE_IPV6, key.destination_port().into());
    expect(ie::ICMP_TYPE_CODE_IPV4, key.destination_port().into());
    expect(ie::FLOW_START_MILLISECONDS, flow.first.milliseconds());
    expect(ie::FLOW_END_MILLISECONDS, flow.last.milliseconds());
    let has = |id: u16| read.contains_key(&(0, id));
    assert_eq!(has(ie::SOURCE_IPV6_ADDRESS), key.is_ipv6());
    assert_eq!(has(ie::SOURCE_IPV4_ADDRESS), !key.is_ipv6());
    if key.is_ipv6() {
        assert_eq!(read[&(0, ie::SOURCE_IPV6_ADDRESS)], key.source_octets());
        assert_eq!(read[&(0, ie::DESTINATION_IPV6_ADDRESS)], key.destination_octets());
        assert!(!has(ie::ICMP_TYPE_CODE_IPV4));
    } else {
        assert_eq!(read[&(0, ie::SOURCE_IPV4_ADDRESS)], key.source_octets()[..4]);
        assert!(!has(ie::IPV6_EXTENSION_HEADERS_FULL) && !has(ie::FLOW_LABEL_IPV6));
        assert!(!has(ie::ICMP_TYPE_CODE_IPV6) && !has(ie::NEXT_HEADER_IPV6));
    }
    assert!(!(has(515) && (has(516) || has(519))) && !(has(516) && has(519)));
    assert!(!has(ie::TCP_CONTROL_BITS) || key.protocol() == 6);
    assert!(!key.ports_unknown() || !has(ie::SOURCE_TRANSPORT_PORT));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn random_flows_are_read_back(
        flows in prop::collection::vec(any_flow(), 1..60),
        preset in prop::sample::select(preset::NAMES.to_vec()),
        reverse in any::<bool>(),
    ) {
        let expected: Vec<FlowRecord> = flows.iter().map(|(record, _)| *record).collect();
        let preset = preset::Preset::named(preset).unwrap();
        let preset = if reverse { preset.with_reverse() } else { preset };
        // Records come in order of their Templates: each flow is sent by itself to be known again.
        let mut records = Records::new(&preset, 32473, 300, 30);
        let mut out = vec![0; 65_535];
        let batch = batch_of(flows.clone());
        for (flow, expected) in batch.iter(0).zip(&expected) {
            let index = records.prepare(&flow);
            let length = records.encode(index, &flow, &mut out).unwrap();
            let template = &records.templates()[index];
            prop_assert!((template.minimum_length..=template.maximum_length).contains(&length));
            let octets = ipfix::RecordOctets { offset: 0, octets: &out[..length] };
            let mut decoded = Decoded::new();
            let mut used = 0;
            for field in Fields::new(&template.definition, octets) {
                used = field.offset + field.octets.len();
                decoded.insert((field.specifier.enterprise, field.specifier.id), field.octets.to_vec());
            }
            prop_assert_eq!(used, length);
            check(&decoded, expected);
        }
        // And as a stream: framing, Templates, sequence numbers, the books.
        let reader = through_a_file(preset, &[batch]);
        prop_assert_eq!(reader.flows.len(), expected.len());
    }
}

/// Somebody makes every kind of flow there is: the number of Templates stays bounded, every record is made.
#[test]
fn templates_are_bounded_whatever_the_flows() {
    let mut records = Records::new(&preset::Preset::full().with_reverse(), 32473, 300, 30);
    let mut out = vec![0; 65_535];
    let chain = one_chain();
    for number in 0..200_000u32 {
        let bits = number.wrapping_mul(0x9e37_79b1);
        let mut record = flow(key6(1, 2, if bits & 1 == 0 { 6 } else { 58 }));
        record.key.0[5] |= 0;
        record.features = (bits >> 16) as u16;
        let extra = Extra {
            layer2: Layer2 { tags: (bits >> 1 & 3) as u8, ..Layer2::default() },
            mpls_depth: (bits >> 3 & 3) as u8,
            chain_count: 1,
            ..Extra::default()
        };
        let finished = crate::meter::flow::FinishedFlow {
            record: &record,
            extra: (bits & 0x20 == 0).then_some(&extra),
            chains: if bits & 0x20 == 0 { std::slice::from_ref(&chain) } else { &[] },
            user: &[],
        };
        let index = records.prepare(&finished);
        let length = records.encode(index, &finished, &mut out).unwrap();
        let template = &records.templates()[index];
        let octets = ipfix::RecordOctets { offset: 0, octets: &out[..length] };
        let fields: Vec<_> = Fields::new(&template.definition, octets).collect();
        assert_eq!(fields.len(), template.definition.fields().len());
        let find = |id| fields.iter().find(|f| (f.specifier.enterprise, f.specifier.id) == (0, id));
        assert_eq!(find(ie::PACKET_DELTA_COUNT).unwrap().octets, 4_000_000u64.to_be_bytes());
        // Booleans are 1 or 2 also where a shared template has a field its flow has no fact for.
        if let Some(complete) = find(ie::IPV6_EXTENSION_HEADERS_LIMIT) {
            assert!(matches!(complete.octets, [1 | 2]));
        }
    }
    assert!(records.templates().len() <= Records::TEMPLATES);
    assert!(records.shared() > 0);
    let mut ids: Vec<u16> = records.templates().iter().map(|t| t.definition.id()).collect();
    ids.dedup();
    assert_eq!(ids.len(), records.templates().len());
    assert_eq!(ids.first(), Some(&256));
}
