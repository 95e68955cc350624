//! Traffic made by hand, exports made by hand, and what the comparison says of them.

use super::*;
use crate::capture::{Frame, LinkType, Timestamp};
use crate::validate::builder::{EXPORT, Spec, Stream, v6, with, without};
use crate::validate::coverage::Compared;
use crate::validate::finding::Limits as Kept;
use crate::validate::reference::{Metered, Options, Reference};
use crate::validate::stream::Validator;
use std::time::Duration;

const LABEL: u32 = 0x1_2345;
const CLASS: u8 = 0xb8;
/// Time of the first packet, in milliseconds.
const BEGIN: u64 = EXPORT as u64 * 1000 - 10_000;

/// An Ethernet frame with an IPv6 packet from 2001:db8::1 to ::2.
fn packet(next_header: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd];
    frame.extend((6 << 28 | u32::from(CLASS) << 20 | LABEL).to_be_bytes());
    frame.extend((payload.len() as u16).to_be_bytes());
    frame.extend([next_header, 64]);
    for last in [1, 2] {
        frame.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    frame.extend(payload);
    frame
}

fn udp(source: u16, octets: usize) -> Vec<u8> {
    let mut header = source.to_be_bytes().to_vec();
    header.extend(443u16.to_be_bytes());
    header.extend((8 + octets as u16).to_be_bytes());
    header.resize(8 + octets, 0);
    header
}

/// Meters frames a second apart.
fn metered(frames: &[Vec<u8>]) -> Metered {
    let long = Duration::from_secs(1 << 30);
    let mut reference =
        Reference::new(Options { active: long, idle: long, tcp_end: long, ..Options::default() });
    for (number, data) in (0u64..).zip(frames) {
        reference.observe(&Frame {
            data,
            wire_length: data.len() as u32,
            interface: 0,
            link: LinkType::Ethernet,
            time: Timestamp((BEGIN + number * 1000) * 1_000_000),
        });
    }
    reference.finish()
}

fn compared(stream: &Stream, metered: &Metered) -> Comparison {
    compare(gathered(stream), Reality::of_traffic(metered.clone()), 0)
}

fn gathered(stream: &Stream) -> Gathering {
    let mut validator = Validator::new(crate::collect::Limits::default(), Kept::default());
    let mut gathering = Gathering::default();
    for (transport, octets) in &stream.messages {
        validator.message_with(transport, octets, &mut |event| gathering.event(event));
    }
    gathering
}

/// A template without what is not asked about.
fn specs() -> Vec<Spec> {
    without(v6(), &[6, 136])
}

/// What is true of three packets of `udp(1000, 100)`.
fn truth() -> Vec<(u16, u128)> {
    vec![
        (7, 1000),
        (11, 443),
        (4, 17),
        (5, CLASS.into()),
        (31, LABEL.into()),
        (192, 64),
        (1, 3 * 148),
        (2, 3),
        (152, BEGIN.into()),
        (153, u128::from(BEGIN) + 2000),
    ]
}

fn but(changes: &[(u16, u128)]) -> Vec<(u16, u128)> {
    let mut values = changes.to_vec();
    values.extend(truth());
    values
}

fn told(specs: &[Spec], rows: &[&[(u16, u128)]]) -> Stream {
    let mut stream = Stream::new();
    stream.template(256, specs);
    for row in rows {
        stream.records(256, &[row]);
    }
    stream.send();
    stream
}

fn three() -> Metered {
    metered(&[
        packet(17, &udp(1000, 100)),
        packet(17, &udp(1000, 100)),
        packet(17, &udp(1000, 100)),
    ])
}

/// The names of the mistakes in an element.
fn mistakes(comparison: &Comparison, element: &str) -> Vec<String> {
    let rows = comparison.elements.iter().filter(|row| row.name == element);
    rows.flat_map(|row| &row.patterns).map(|pattern| pattern.text.clone()).collect()
}

#[track_caller]
fn one_mistake(change: &[(u16, u128)], element: &str, mistake: &str) {
    let comparison = compared(&told(&specs(), &[&but(change)]), &three());
    assert_eq!(mistakes(&comparison, element), [mistake], "{:#?}", comparison.elements);
}

#[test]
fn a_true_record_is_right_in_every_element() {
    let comparison = compared(&told(&specs(), &[&truth()]), &three());
    assert!(!comparison.failed(), "{comparison:#?}");
    assert_eq!((comparison.flows, comparison.found), (1, 1));
    assert_eq!(comparison.truth, comparison.said);
    let label = comparison.of_need("Flow label");
    assert_eq!(label, Some(Compared { right: 1, telling: 1, wrong: 0 }));
    for row in &comparison.elements {
        assert_eq!((row.right, row.wrong), (1, 0), "{}", row.name);
    }
    assert!(comparison.elements.len() >= 9);
}

#[test]
fn mistakes_have_names() {
    let label = u128::from(LABEL);
    one_mistake(&[(31, 0)], "flowLabelIPv6", "zero though the packets carry a label");
    one_mistake(
        &[(31, label | 8 << 20)],
        "flowLabelIPv6",
        "the upper 4 bits are the lower half of the traffic class",
    );
    one_mistake(&[(31, label & 0xffff)], "flowLabelIPv6", "cut to 16 bits");
    one_mistake(&[(31, 0x4523_0100)], "flowLabelIPv6", "little-endian");
    one_mistake(&[(5, 0)], "ipClassOfService", "always or wrongly zero");
    one_mistake(&[(5, 0x52)], "ipClassOfService", "bits of the flow label (host octet order)");
    one_mistake(&[(5, 0x0b)], "ipClassOfService", "the upper 4 bits only");
    one_mistake(&[(1, 3 * 148 + 3 * 14)], "octetDeltaCount", "Ethernet header included");
    one_mistake(&[(1, 3 * 108)], "octetDeltaCount", "the payload only");
    one_mistake(&[(2, 2)], "packetDeltaCount", "packets are missing");
    one_mistake(
        &[(153, u128::from(BEGIN) + 9000)],
        "flowEndMilliseconds",
        "not the last packet's time",
    );
    one_mistake(&[(11, 0xbb01)], "destinationTransportPort", "little-endian");
}

#[test]
fn a_flow_cut_in_time_is_whole() {
    let first = but(&[(1, 148), (2, 1), (153, BEGIN.into())]);
    let rest = but(&[(1, 296), (2, 2), (152, u128::from(BEGIN) + 1000)]);
    let comparison = compared(&told(&specs(), &[&rest, &first]), &three());
    assert!(!comparison.failed(), "{:#?}", comparison.elements);
    assert_eq!((comparison.split, comparison.found), (1, 1));
}

#[test]
fn icmpv6_in_the_wrong_element_is_found() {
    let traffic = metered(&[packet(58, &[135, 0, 0, 0, 0, 0, 0, 0])]);
    let specs = with(without(specs(), &[139]), &[(32, 2)]);
    let row = but(&[(4, 58), (7, 0), (11, 0), (32, 0x8700), (1, 48), (2, 1), (153, BEGIN.into())]);
    let comparison = compared(&told(&specs, &[&row]), &traffic);
    assert_eq!(
        mistakes(&comparison, "icmpTypeCodeIPv4"),
        ["type and code of ICMPv6 in the element for IPv4"]
    );
    assert_eq!(comparison.found, 1);
    let in_port = but(&[(4, 58), (7, 0), (11, 0x8700), (1, 48), (2, 1), (153, BEGIN.into())]);
    let comparison = compared(&told(&without(specs, &[32]), &[&in_port]), &traffic);
    assert_eq!(
        mistakes(&comparison, "destinationTransportPort"),
        ["ICMP type and code in the port"]
    );
}

#[test]
fn icmpv6_that_is_not_told_apart_is_one() {
    let traffic = metered(&[packet(58, &[135, 0, 0, 0]), packet(58, &[128, 0, 0, 0])]);
    let row = but(&[(4, 58), (7, 0), (11, 0), (1, 88), (2, 2), (153, u128::from(BEGIN) + 1000)]);
    let comparison = compared(&told(&without(specs(), &[139]), &[&row]), &traffic);
    assert_eq!((comparison.flows, comparison.found, comparison.merged), (2, 2, 1));
    assert_eq!(mistakes(&comparison, "octetDeltaCount"), [""; 0]);
}

#[test]
fn the_first_extension_header_as_protocol_is_found() {
    let mut payload = vec![17, 0, 1, 4, 0, 0, 0, 0];
    payload.extend(udp(1000, 100));
    let traffic = metered(&[packet(0, &payload)]);
    let row = but(&[(4, 0), (7, 0), (11, 0), (1, 156), (2, 1), (153, BEGIN.into())]);
    let comparison = compared(&told(&specs(), &[&row]), &traffic);
    assert_eq!(mistakes(&comparison, "protocolIdentifier"), ["the first extension header"]);
    assert_eq!(mistakes(&comparison, "sourceTransportPort"), ["zero behind extension headers"]);
    assert!(comparison.missing.is_empty() && comparison.extra.is_empty());
}

#[test]
fn missing_and_invented_flows_are_counted() {
    let traffic = metered(&[packet(17, &udp(1000, 100)), packet(17, &udp(2000, 100))]);
    let right = but(&[(1, 148), (2, 1), (153, BEGIN.into())]);
    let mut invented = Stream::new();
    invented.template(256, &specs()).records(256, &[&right]);
    invented
        .record(256, &[(28, 0x2001_0db8 << 96 | 9), (4, 17), (7, 5), (11, 6), (1, 100), (2, 1)])
        .send();
    let comparison = compared(&invented, &traffic);
    assert_eq!(comparison.missing["UDP over IPv6"].flows, 1);
    assert_eq!(comparison.extra["protocol 17"].packets, 1);
    assert_eq!(comparison.missing_flows(), 1);
    assert!(comparison.failed());
}

#[test]
fn a_clock_that_is_off_is_taken_off() {
    let late = but(&[(152, u128::from(BEGIN) - 5000), (153, u128::from(BEGIN) - 3000)]);
    let comparison = compared(&told(&specs(), &[&late]), &three());
    assert_eq!(comparison.clock, Some(-5_000_000_000));
    assert!(!comparison.failed(), "{:#?}", comparison.elements);
}

#[test]
fn declared_sampling_leaves_counts_unjudged() {
    let mut stream = Stream::new();
    stream
        .options(300, 1, &[(0, 149, 4), (0, 305, 4), (0, 306, 4)])
        .record(300, &[(305, 1), (306, 9)]);
    stream.template(256, &specs()).records(256, &[&but(&[(1, 148), (2, 1)])]).send();
    let comparison = compared(&stream, &three());
    assert_eq!(comparison.sampling.0, Some(10.0));
    assert!(!comparison.failed(), "{:#?}", comparison.elements);
}

#[test]
fn the_reverse_half_of_a_biflow_is_a_flow() {
    let mut back = udp(443, 10);
    back[2..4].copy_from_slice(&1000u16.to_be_bytes());
    let mut answer = packet(17, &back);
    answer[14 + 23] = 2;
    answer[14 + 39] = 1;
    let traffic = metered(&[packet(17, &udp(1000, 100)), answer]);
    let mut specs = specs();
    specs.extend([(29305, 1, 8), (29305, 2, 8)]);
    let mut stream = Stream::new();
    stream.template(256, &specs);
    let mut octets = stream.octets(256, &but(&[(1, 148), (2, 1), (153, u128::from(BEGIN) + 1000)]));
    let at = octets.len() - 16;
    octets[at..at + 8].copy_from_slice(&58u64.to_be_bytes());
    octets[at + 8..].copy_from_slice(&1u64.to_be_bytes());
    stream.data(256, &octets, 1).send();
    let comparison = compared(&stream, &traffic);
    assert_eq!((comparison.flows, comparison.found, comparison.biflows), (2, 2, 1));
    assert_eq!(comparison.truth, comparison.said);
}

#[test]
fn records_of_a_trusted_probe_are_truth_too() {
    let against = |change: &[(u16, u128)]| {
        let reference = told(&specs(), &[&truth()]);
        let tested = told(&specs(), &[&but(change)]);
        compare(gathered(&tested), Reality::of_records(gathered(&reference)), 0)
    };
    let right = against(&[]);
    assert!(!right.failed(), "{right:#?}");
    assert_eq!((right.flows, right.found, right.frames), (1, 1, 3));
    assert!(right.elements.len() >= 9, "{:#?}", right.elements);
    assert_eq!(mistakes(&against(&[(5, 0)]), "ipClassOfService"), ["always or wrongly zero"]);
    assert_eq!(
        mistakes(&against(&[(31, u128::from(LABEL) | 8 << 20)]), "flowLabelIPv6"),
        ["the upper 4 bits are the lower half of the traffic class"]
    );
    assert_eq!(mistakes(&against(&[(2, 2)]), "packetDeltaCount"), ["packets are missing"]);
}

#[test]
fn what_a_reference_does_not_tell_is_not_judged() {
    let reference = told(&without(specs(), &[31, 192]), &[&truth()]);
    let tested = told(&specs(), &[&but(&[(31, 7), (192, 9)])]);
    let comparison = compare(gathered(&tested), Reality::of_records(gathered(&reference)), 0);
    assert!(!comparison.failed(), "{:#?}", comparison.elements);
    assert!(comparison.elements.iter().all(|row| row.name != "flowLabelIPv6"));
}

#[test]
fn flows_over_the_edge_of_what_was_observed_are_not_counted_against() {
    let begin = (BEGIN * 1_000_000).cast_signed();
    let traffic = metered(&[packet(17, &udp(1000, 100)), packet(17, &udp(2000, 100))]);
    let mut reality = Reality::of_traffic(traffic.clone());
    // Of the first flow a packet came before; the record of the second is still to come.
    let early = but(&[(1, 296), (2, 2), (152, u128::from(BEGIN) - 5000), (153, BEGIN.into())]);
    let stream = told(&specs(), &[&early]);
    let all = compare(gathered(&stream), reality.clone(), 0);
    assert!(all.failed() && all.missing_flows() == 1);
    reality.window = Some((begin - 1_000_000_000, begin + 1_500_000_000));
    let seen = compare(gathered(&stream), reality, 0);
    assert!(!seen.failed(), "{seen:#?}");
    assert_eq!(seen.edge, 2);
}

#[test]
fn a_flow_observed_on_its_way_in_and_out_is_counted_once() {
    let specs = with(specs(), &[(61, 1)]);
    let (way_in, way_out) = (but(&[(61, 0)]), but(&[(61, 1)]));
    let comparison = compared(&told(&specs, &[&way_in, &way_out]), &three());
    assert!(!comparison.failed(), "{:#?}", comparison.elements);
    assert_eq!((comparison.again, comparison.split), (1, 0));
    assert_eq!(comparison.truth, comparison.said);
    let only_out = compared(&told(&specs, &[&way_out]), &three());
    assert!(!only_out.failed() && only_out.again == 0);
}

/// Wrong ports in all of a scan's flows: matching them must not take the square of their number.
#[test]
fn many_flows_of_the_same_addresses_take_linear_time() {
    let time = |count: u16| {
        let frames: Vec<_> = (1..=count).map(|port| packet(17, &udp(port, 0))).collect();
        let traffic = metered(&frames);
        let mut stream = Stream::new();
        stream.template(256, &specs());
        for port in 1..=count {
            let wrong = [(7, u128::from(port)), (11, 1), (1, 48), (2, 1)];
            stream.records(256, &[&but(&wrong)]);
            if port % 200 == 0 {
                stream.send();
            }
        }
        stream.send();
        let gathering = gathered(&stream);
        // Of this thread alone: what else the machine does must not count.
        let clock = || {
            let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
            Duration::new(now.tv_sec.cast_unsigned(), now.tv_nsec as u32)
        };
        let begun = clock();
        let comparison = compare(gathering, Reality::of_traffic(traffic), 0);
        assert_eq!(comparison.records, u64::from(count));
        clock().saturating_sub(begun)
    };
    let (few, many) = (time(1_000), time(8_000));
    // Eight times as many: the square would take 64 times as long.
    assert!(many < few * 32, "{few:?}, {many:?}");
}

/// Records can say any number; sums of them stay at the largest. Found by fuzzing.
#[test]
fn counts_of_any_size_are_compared() {
    let most = u128::from(u64::MAX);
    let rows: Vec<_> = (1000..1004).map(|port| but(&[(7, port), (1, most), (2, most)])).collect();
    let rows: Vec<&[_]> = rows.iter().map(Vec::as_slice).collect();
    let stream = told(&specs(), &rows);
    let comparison = compare(gathered(&stream), Reality::of_records(gathered(&stream)), 0);
    assert_eq!((comparison.truth, comparison.flows), ((u64::MAX, u64::MAX), 4));
    let other = told(&specs(), &[&but(&[(1, 0), (2, most)])]);
    let reference = told(&specs(), &[&but(&[(1, 1 << 63), (2, most)])]);
    for (tested, trusted) in [(&other, &reference), (&reference, &other)] {
        let comparison = compare(gathered(tested), Reality::of_records(gathered(trusted)), 0);
        assert_eq!(mistakes(&comparison, "octetDeltaCount").len(), 1);
        assert!(!comparison.lines().is_empty());
    }
}
