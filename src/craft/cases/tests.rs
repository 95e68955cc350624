use super::*;
use crate::craft::checksum::{fold, sum};
use std::collections::{BTreeMap, HashSet};

fn all() -> Vec<Case> {
    suite(&Plan::default(), |_, _| true)
}

#[test]
fn every_case_has_a_name_a_rule_and_a_truth() {
    let cases = all();
    assert!(cases.len() >= 60, "{}", cases.len());
    let mut names = HashSet::new();
    for case in &cases {
        assert!(names.insert(case.name.clone()), "{} twice", case.name);
        assert!(!case.rule.is_empty() && !case.shows.is_empty());
        assert!(!case.frames.is_empty(), "{}", case.name);
        assert!(!case.flows.is_empty() || case.name == "not-ip", "{}", case.name);
    }
}

#[test]
fn truths_count_every_ip_packet_once() {
    for case in all() {
        let counted: u64 =
            case.flows.iter().map(|flow| flow.elements["packetDeltaCount"].as_u64().unwrap()).sum();
        let sent = if case.name == "not-ip" { 0 } else { case.frames.len() as u64 };
        assert_eq!(counted, sent, "{}", case.name);
    }
}

/// What the flow says of octets fits the frames: all but link headers, and padding where there is some.
#[test]
fn truths_fit_the_frames() {
    for case in all().iter().filter(|case| case.flows.len() == 1 && case.set == Set::Case) {
        let flow = &case.flows[0].elements;
        let octets = flow["octetDeltaCount"].as_u64().unwrap();
        let wire: u64 = case.frames.iter().map(|frame| u64::from(frame.wire_length)).sum();
        assert_eq!(flow["layer2OctetDeltaCount"].as_u64().unwrap(), wire, "{}", case.name);
        let link = match case.name.as_str() {
            "vlan" | "vlan-priority-only" | "mpls-1" => 18,
            "qinq" => 22,
            "mpls-3" => 26,
            "pppoe" => 22,
            _ => 14,
        };
        let expected = wire - link * case.frames.len() as u64;
        if case.frames.iter().all(|frame| frame.wire_length > 60) {
            assert_eq!(octets, expected, "{}", case.name);
        } else {
            assert!(octets <= expected, "{}", case.name);
        }
    }
}

#[test]
fn frames_are_in_order_of_time_and_cases_apart() {
    let mut last = 0;
    for case in all() {
        for frame in &case.frames {
            assert!(frame.time > last && frame.time % 1_000_000 == 0, "{}", case.name);
            last = frame.time;
        }
    }
}

#[test]
fn no_two_cases_share_a_flow() {
    let key = |flow: &Flow| {
        let one = |name: &str| flow.elements.get(name).map(ToString::to_string);
        [
            one("sourceIPv6Address"),
            one("destinationIPv6Address"),
            one("sourceIPv4Address"),
            one("destinationIPv4Address"),
            one("protocolIdentifier"),
            one("sourceTransportPort"),
            one("icmpTypeCodeIPv6"),
        ]
    };
    let mut owners: BTreeMap<_, String> = BTreeMap::new();
    for case in all() {
        for flow in &case.flows {
            let owner = owners.entry(key(flow)).or_insert_with(|| case.name.clone());
            assert_eq!(*owner, case.name);
        }
    }
}

#[test]
fn a_case_is_the_same_alone_and_among_all() {
    let cases = all();
    let alone = suite(&Plan::default(), |name, _| name == "segment-routing");
    let among = cases.iter().find(|case| case.name == "segment-routing").unwrap();
    assert_eq!(alone.len(), 1);
    assert_eq!(alone[0].frames[0].octets, among.frames[0].octets);
    assert_eq!(alone[0].frames[0].time, Plan::default().start);
}

#[test]
fn addresses_can_be_chosen() {
    let plan = Plan {
        prefix: "fd00:1:2:3::".parse().unwrap(),
        destination_prefix: "fd00:1:2:3::".parse().unwrap(),
        source_mac: [2; 6],
        destination_mac: [4; 6],
        ..Plan::default()
    };
    let case = &suite(&plan, |name, _| name == "udp")[0];
    assert_eq!(case.frames[0].octets[..12], [4, 4, 4, 4, 4, 4, 2, 2, 2, 2, 2, 2]);
    assert_eq!(case.flows[0].elements["sourceIPv6Address"], "fd00:1:2:3::1:1");
    assert_eq!(case.flows[0].elements["sourceMacAddress"], "02:02:02:02:02:02");
}

/// Element names are IANA's, or sixtap's own.
#[test]
fn elements_are_registered() {
    for case in all() {
        for flow in case.flows.iter().chain(&case.inner) {
            for name in flow.elements.keys() {
                let bare = name.strip_prefix("sixtap:").unwrap_or(name);
                assert!(ie_registry::by_name(bare).is_some(), "{}: {name}", case.name);
            }
        }
    }
}

/// The other parser, where it can follow: addresses, protocol and ports of packets that are not fragments.
#[test]
fn etherparse_reads_what_was_meant() {
    let mut read = 0;
    for case in all().iter().filter(|case| case.flows.len() == 1 && !case.needs.file) {
        let flow = &case.flows[0].elements;
        if case.invalid.is_some() || flow.contains_key("fragmentIdentification") {
            continue;
        }
        for frame in &case.frames {
            let Ok(packet) = etherparse::SlicedPacket::from_ethernet(&frame.octets) else {
                continue;
            };
            let ports = match packet.transport {
                Some(etherparse::TransportSlice::Tcp(tcp)) => {
                    (tcp.source_port(), tcp.destination_port())
                }
                Some(etherparse::TransportSlice::Udp(udp)) => {
                    (udp.source_port(), udp.destination_port())
                }
                _ => continue,
            };
            assert_eq!(flow["sourceTransportPort"], ports.0, "{}", case.name);
            assert_eq!(flow["destinationTransportPort"], ports.1, "{}", case.name);
            read += 1;
        }
    }
    assert!(read > 80, "{read}");
}

#[test]
fn the_sum_of_a_sealed_packet_is_all_ones() {
    let case = &suite(&Plan::default(), |name, _| name == "ipv4-udp")[0];
    assert_eq!(fold(sum(&case.frames[0].octets[14..34])), 0);
}
