//! What a session says beside flow records, and when.

use super::*;
use crate::export::preset::{Preset, UserElement};
use crate::meter::flow::Reverse;
use std::net::UdpSocket;
use std::time::Duration;

const SECOND: u64 = 1_000_000_000;

/// An exporter to a socket, and what has come there since the last look.
struct Pair {
    exporter: Exporter,
    socket: UdpSocket,
    reader: Reader,
    longest: usize,
}

impl Pair {
    fn new(plan: ExportPlan) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let destinations = vec![format!("udp://{}", socket.local_addr().unwrap()).parse().unwrap()];
        let exporter = Exporter::new(&ExportPlan { destinations, ..plan }).unwrap();
        Self { exporter, socket, reader: Reader::default(), longest: 0 }
    }

    /// Templates, flow records and options records that came. Loopback delivers before the send returns.
    fn read(&mut self) -> (usize, usize, usize) {
        let reader = &self.reader;
        let before = (reader.flows.len(), reader.options.len(), reader.announced);
        let mut octets = [0; 65_535];
        while let Ok(length) = self.socket.recv(&mut octets) {
            self.longest = self.longest.max(length);
            self.reader.read(&octets[..length]);
        }
        let reader = &self.reader;
        (
            reader.announced - before.2,
            reader.flows.len() - before.0,
            reader.options.len() - before.1,
        )
    }
}

#[test]
fn templates_and_options_are_said_again_over_udp() {
    let mut pair = Pair::new(ExportPlan::default());
    let at = |seconds: u64| Timestamp(NOW.0 + seconds * SECOND);
    let statistics = Statistics { started: NOW, ..Statistics::default() };
    pair.exporter.tick(at(0), &statistics);
    pair.exporter.consume(&plain_batch(), at(0));
    pair.exporter.tick(at(1), &statistics);
    let (templates, flows, options) = pair.read();
    let all = templates;
    assert_eq!(flows, 7);
    assert!(options > 7 && all > 7, "{options} {all}");
    pair.exporter.tick(at(20), &statistics);
    // Nothing is due: nothing is sent.
    assert!(pair.socket.recv(&mut [0; 65_535]).is_err());
    pair.exporter.tick(at(31), &statistics);
    let (templates, flows, again) = pair.read();
    assert_eq!((templates, flows), (all, 0));
    assert_eq!(again, options, "the same, three records of statistics among them");
}

#[test]
fn templates_are_said_again_after_so_many_messages() {
    let intervals = Intervals { template_messages: 50, ..Intervals::default() };
    let mut pair = Pair::new(ExportPlan { intervals, ..ExportPlan::default() });
    pair.exporter.tick(NOW, &Statistics::default());
    pair.exporter.consume(&plain_batch(), NOW);
    let first = pair.read().0;
    // Fifteen flows a message or so: 90 messages. Those in the lanes go out with the tick.
    for _ in 0..200 {
        pair.exporter.consume(&plain_batch(), NOW);
    }
    pair.read();
    // The pace lets the last messages go, and a second later the Templates.
    pair.exporter.tick(Timestamp(NOW.0 + SECOND), &Statistics::default());
    pair.exporter.tick(Timestamp(NOW.0 + 2 * SECOND), &Statistics::default());
    assert_eq!(pair.read().0, first, "all of them again");
    pair.exporter.tick(Timestamp(NOW.0 + 2 * SECOND), &Statistics::default());
    assert_eq!(pair.read().0, 0, "and not again at once");
}

#[test]
fn statistics_are_those_of_the_supervisor_and_the_session() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.ipfix");
    let mut plan = file_plan(&path, Preset::standard());
    let vrf = Some((12, "blue".to_owned()));
    let description = "to the exchange".to_owned();
    let uplink = InterfaceName { description, vrf, ..InterfaceName::new(7, "eth1") };
    plan.interfaces = vec![uplink, InterfaceName::new(8, "eth2")];
    let mut exporter = Exporter::new(&plan).unwrap();
    exporter.consume(&plain_batch(), NOW);
    let statistics = Statistics {
        started: Timestamp(NOW.0 - 60 * SECOND),
        ignored_packets: 11,
        ignored_octets: 1_100,
        first_ignored: Timestamp(NOW.0 - 2 * SECOND),
        last_ignored: Timestamp(NOW.0 - SECOND),
        lost_flows: 3,
        lost_packets: 30,
        lost_octets: 300,
        ..Statistics::default()
    };
    exporter.finish(NOW, &statistics);
    let mut reader = Reader::default();
    reader.read_all(&std::fs::read(&path).unwrap());
    let last = |id: u16| &reader.options.iter().rev().find(|(found, _)| *found == id).unwrap().1;
    let metering = last(1024);
    assert_eq!(number(metering, 0, ie::OBSERVATION_DOMAIN_ID), Some(1));
    assert_eq!(number(metering, 0, ie::EXPORTED_FLOW_RECORD_TOTAL_COUNT), Some(7));
    let counters = exporter.counters().next().unwrap().1;
    assert_eq!(number(metering, 0, ie::EXPORTED_MESSAGE_TOTAL_COUNT), Some(counters.messages - 1));
    let ignored = last(1025);
    assert_eq!(number(ignored, 0, ie::IGNORED_PACKET_TOTAL_COUNT), Some(11));
    assert_eq!(number(ignored, 0, ie::IGNORED_OCTET_TOTAL_COUNT), Some(1_100));
    let first = statistics.first_ignored.milliseconds();
    assert_eq!(number(ignored, 0, ie::OBSERVATION_TIME_MILLISECONDS), Some(first));
    let lost = last(1026);
    assert_eq!(number(lost, 0, ie::NOT_SENT_FLOW_TOTAL_COUNT), Some(3));
    assert_eq!(number(lost, 0, ie::NOT_SENT_PACKET_TOTAL_COUNT), Some(30));
    // Nothing is known of when: the time since the start.
    let started = statistics.started.milliseconds();
    assert_eq!(number(lost, 0, ie::OBSERVATION_TIME_MILLISECONDS), Some(started));
    let all = |id: u16| -> Vec<&Decoded> {
        reader.options.iter().filter(|(found, _)| *found == id).map(|(_, record)| record).collect()
    };
    let [uplink, other] = all(1029)[..] else { panic!("two interfaces") };
    assert_eq!(number(uplink, 0, ie::INGRESS_INTERFACE), Some(7));
    assert_eq!(uplink[&(0, ie::INTERFACE_NAME)], b"eth1");
    assert_eq!(uplink[&(0, ie::INTERFACE_DESCRIPTION)], b"to the exchange");
    assert_eq!(other[&(0, ie::INTERFACE_NAME)], b"eth2");
    let [vrf] = all(1030)[..] else { panic!("one is in a VRF") };
    assert_eq!(number(vrf, 0, ie::INGRESS_INTERFACE), Some(7));
    assert_eq!(number(vrf, 0, ie::INGRESS_VRFID), Some(12));
    assert_eq!(vrf[&(0, ie::VRF_NAME)], b"blue");
}

#[test]
fn flow_keys_and_types_describe_every_template_and_own_element() {
    let reader = through_a_file(Preset::full(), &[plain_batch()]);
    let keys: Vec<&Decoded> =
        reader.options.iter().filter(|(id, _)| *id == 1027).map(|(_, record)| record).collect();
    assert_eq!(keys.len(), 7);
    for record in keys {
        let id = number(record, 0, ie::TEMPLATE_ID).unwrap() as u16;
        let bits = number(record, 0, ie::FLOW_KEY_INDICATOR).unwrap();
        for (place, field) in reader.templates[&id].fields().iter().enumerate() {
            let key = matches!(
                field.id,
                4 | 7 | 8 | 11 | 12 | 27 | 28 | 32 | 60 | 139 | 176..=179 | 243 | 245
            );
            assert_eq!(bits >> place & 1 == 1, key, "{}", field.id);
        }
    }
    let types: Vec<u64> = reader
        .options
        .iter()
        .filter(|(id, _)| *id == 1028)
        .map(|(_, record)| {
            assert_eq!(number(record, 0, ie::PRIVATE_ENTERPRISE_NUMBER), Some(32473));
            number(record, 0, ie::INFORMATION_ELEMENT_ID).unwrap()
        })
        .collect();
    let mut own: Vec<u64> = Preset::full()
        .fields
        .iter()
        .filter(|field| field.enterprise == 32473)
        .map(|field| field.id.into())
        .collect();
    own.dedup();
    assert_eq!(types, own);
}

#[test]
fn messages_keep_to_the_limit() {
    let plan = ExportPlan { message_limit: Some(512), ..ExportPlan::default() };
    let mut pair = Pair::new(plan);
    let mut batch = plain_batch();
    push_rich(&mut batch, &[one_chain()]);
    for _ in 0..10 {
        pair.exporter.consume(&batch, NOW);
    }
    pair.exporter.finish(NOW, &Statistics::default());
    assert_eq!(pair.read().1, 80);
    assert!(pair.longest <= 512);
    // A record longer than a message is lost, and told apart from other losses.
    let preset = Preset::full().with_reverse();
    let plan = ExportPlan { message_limit: Some(512), preset, ..ExportPlan::default() };
    let mut pair = Pair::new(plan);
    batch.flows[7].features |= feature::REVERSE;
    batch.extras[0].segments.count = 8;
    batch.chains[0].run_count = 24;
    pair.exporter.consume(&batch, NOW);
    pair.exporter.finish(NOW, &Statistics::default());
    let counters = pair.exporter.counters().next().unwrap().1;
    assert_eq!((counters.records, counters.sent, counters.lost.encode), (8, 7, 1));
    assert_eq!(counters.not_sent_packets, 4_000_000);
}

#[test]
fn user_defined_and_reverse_elements() {
    let user = vec![UserElement {
        name: "hopOption".to_owned(),
        id: 1000,
        length: 2,
        data_type: ie_registry::DataType::Unsigned16,
        description: String::new(),
    }];
    let preset = Preset::standard().with_user_elements(&user).with_reverse();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.ipfix");
    let lines = directory.path().join("out.jsonl");
    let mut plan = file_plan(&path, preset);
    plan.destinations.push(Destination::Json(Some(Files::plain(&lines))));
    plan.user_elements = user;
    plan.enterprise = 4711;
    let mut batch = FlowBatch::default();
    let mut record = flow(key6(1, 2, 6));
    record.features = feature::REVERSE;
    record.extra = 0;
    let reverse = Reverse { octets: 90, packets: 9, tcp_flags: 0x12, ..Reverse::default() };
    batch.flows.push(record);
    batch.extras.push(Extra { reverse, ..Extra::default() });
    batch.user.push(4_242);
    let mut exporter = Exporter::new(&plan).unwrap();
    exporter.consume(&batch, NOW);
    exporter.finish(NOW, &Statistics::default());
    let mut reader = Reader::default();
    reader.read_all(&std::fs::read(&path).unwrap());
    let read = &reader.flows[0];
    assert_eq!(number(read, 4711, 1000), Some(4_242));
    assert_eq!(read[&(4711, 1000)].len(), 2);
    assert_eq!((number(read, 29305, 1), number(read, 29305, 2)), (Some(90), Some(9)));
    assert_eq!((number(read, 29305, 6), number(read, 0, 239)), (Some(0x12), Some(1)));
    let line = std::fs::read_to_string(lines).unwrap();
    assert!(line.contains("\"sixtap:hopOption\":4242"), "{line}");
    assert!(line.contains("\"reversePacketDeltaCount\":9"), "{line}");
}

#[test]
fn reduced_counters_saturate_and_are_counted() {
    let text = "fields = [{ element = \"octetDeltaCount\", length = 4 }, \"packetDeltaCount\"]";
    let preset = Preset::parse(text, "t.toml", 32473, &[]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.ipfix");
    let mut exporter = Exporter::new(&file_plan(&path, preset)).unwrap();
    exporter.consume(&plain_batch(), NOW);
    exporter.finish(NOW, &Statistics::default());
    assert_eq!(exporter.compromises(), (0, 7));
    let mut reader = Reader::default();
    reader.read_all(&std::fs::read(&path).unwrap());
    assert!(reader.flows.iter().all(|flow| number(flow, 0, 1) == Some(u32::MAX.into())));
}

#[test]
fn a_record_waits_no_longer_than_it_may() {
    let intervals = Intervals { hold: Duration::from_secs(1), ..Intervals::default() };
    let mut pair = Pair::new(ExportPlan { intervals, ..ExportPlan::default() });
    pair.exporter.tick(NOW, &Statistics::default());
    pair.exporter.consume(&plain_batch(), NOW);
    pair.exporter.tick(Timestamp(NOW.0 + SECOND / 2), &Statistics::default());
    assert_eq!(pair.exporter.counters().next().unwrap().1.held(), 7);
    pair.exporter.tick(Timestamp(NOW.0 + SECOND), &Statistics::default());
    assert_eq!(pair.exporter.counters().next().unwrap().1.held(), 0);
    assert_eq!(pair.read().1, 7);
}
