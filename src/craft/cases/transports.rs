//! The upper layers over IPv6: ports, flags, options, ICMPv6 types.

use super::scene::{Scene, between, filler, proto};
use super::{Definition, case};
use crate::craft::header::{Head6, hop_by_hop};
use crate::craft::transport::{Tcp, dccp, flag, icmpv6, sctp, tcp, udp_lite};
use crate::craft::truth::{Flow, bit};
use serde_json::json;
use std::net::Ipv6Addr;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
const MLD_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);

pub(super) const CASES: &[Definition] = &[
    case(
        "tcp-fin",
        "IANA IPFIX elements 6 and 136",
        "TCP from SYN to the last ACK, one direction: flags are OR-ed, the end is seen",
        |scene| {
            let flags =
                [flag::SYN, flag::ACK, flag::PSH | flag::ACK, flag::FIN | flag::ACK, flag::ACK];
            segments(scene, &flags);
            let all = flag::SYN | flag::ACK | flag::PSH | flag::FIN;
            let flow = scene.flow6(proto::TCP).ports(scene.ports()).tcp(all);
            scene.flow(flow.lengths(&[60, 60, 160, 60, 60]).ends(3));
        },
    ),
    case(
        "tcp-without-fin",
        "IANA IPFIX element 6",
        "TCP that goes on after the capture",
        |scene| {
            segments(scene, &[flag::SYN, flag::ACK, flag::PSH | flag::ACK]);
            let flow = scene.flow6(proto::TCP).ports(scene.ports());
            scene.flow(flow.tcp(flag::SYN | flag::ACK | flag::PSH).lengths(&[60, 60, 160]));
        },
    ),
    case("tcp-reset", "IANA IPFIX elements 6 and 136", "TCP refused with RST", |scene| {
        segments(scene, &[flag::SYN, flag::RST]);
        let flow = scene.flow6(proto::TCP).ports(scene.ports());
        scene.flow(flow.tcp(flag::SYN | flag::RST).lengths(&[60, 60]).ends(3));
    }),
    case(
        "tcp-twelve-flags",
        "RFC 9565 section 3",
        "AE, CWR and ECE: more flags than one octet holds",
        |scene| {
            let first = flag::SYN | flag::AE | flag::CWR | flag::ECE;
            segments(scene, &[first, flag::ACK]);
            let flow = scene.flow6(proto::TCP).ports(scene.ports());
            scene.flow(flow.tcp(first | flag::ACK).lengths(&[60, 60]));
        },
    ),
    case(
        "tcp-options",
        "RFC 9740 section 4.1",
        "maximum segment size, SACK, timestamps, no-operation, window scale",
        |scene| {
            let on_syn = [2, 4, 5, 0xa0, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];
            let later = [1, 1, 8, 10, 0, 0, 0, 2, 0, 0, 0, 1];
            with_options(scene, flag::SYN, &on_syn);
            with_options(scene, flag::ACK, &later);
            let flow = scene.flow6(proto::TCP).ports(scene.ports());
            let flow = flow.tcp(flag::SYN | flag::ACK).lengths(&[80, 72]);
            scene.flow(flow.set("tcpOptionsFull", 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 8));
        },
    ),
    case(
        "tcp-experiments",
        "RFC 9740 section 4.2, RFC 6994",
        "options 253 and 254 with experiment identifiers of 2 and of 4 octets",
        |scene| {
            let options = [
                254, 6, 0xf9, 0x89, 0, 0, 253, 4, 0x12, 0x34, 254, 6, 0xe2, 0xd4, 0xc3, 0xd9, 1, 1,
                1, 1,
            ];
            with_options(scene, flag::SYN, &options);
            let flow = scene.flow6(proto::TCP).ports(scene.ports());
            let flow = flow.tcp(flag::SYN).lengths(&[80]).set("tcpOptionsFull", 1 << 1);
            let flow = flow.set("tcpSharedOptionExID16List", json!([0xf989, 0x1234]));
            scene.flow(flow.set("tcpSharedOptionExID32List", json!([0xe2d4_c3d9_u32])));
        },
    ),
    case(
        "udp-lite",
        "RFC 3828 section 3.1",
        "UDP-Lite has ports, and coverage for a length",
        |scene| {
            let upper = udp_lite(scene.ends6(), scene.ports(), &filler(32));
            scene.send_chains(2, &[], proto::UDP_LITE, &upper);
            scene.flow(scene.flow6(proto::UDP_LITE).ports(scene.ports()).lengths(&[80; 2]));
        },
    ),
    case("sctp", "RFC 9260 section 3.1", "SCTP has ports where UDP has them", |scene| {
        for sequence in 1..=2 {
            let upper = sctp(scene.ports(), sequence, &filler(32));
            scene.send_chain(&[], proto::SCTP, &upper);
        }
        scene.flow(scene.flow6(proto::SCTP).ports(scene.ports()).lengths(&[100; 2]));
    }),
    case("dccp", "RFC 4340 section 5.1", "DCCP has ports where UDP has them", |scene| {
        for sequence in 1..=2 {
            let upper = dccp(scene.ends6(), scene.ports(), sequence);
            scene.send_chain(&[], proto::DCCP, &upper);
        }
        scene.flow(scene.flow6(proto::DCCP).ports(scene.ports()).lengths(&[60; 2]));
    }),
    case(
        "icmpv6-echo-request",
        "IANA IPFIX element 139",
        "type and code are in icmpTypeCodeIPv6, not in a port and not in icmpTypeCodeIPv4",
        |scene| echo(scene, 128),
    ),
    case(
        "icmpv6-echo-reply",
        "IANA IPFIX element 139",
        "a reply is another flow than its request: type 129",
        |scene| echo(scene, 129),
    ),
    case(
        "icmpv6-unreachable-port",
        "IANA IPFIX element 139",
        "a code that is not 0, and a packet inside that must not be taken for the flow's",
        |scene| {
            let refused = scene.head6().packet(proto::UDP, &scene.udp6(16));
            let body = [&[0; 4], refused.as_slice()].concat();
            let upper = icmpv6(scene.ends6(), 1, 4, &body);
            scene.send_chain(&[], proto::ICMPV6, &upper);
            scene.flow(scene.flow6(proto::ICMPV6).icmpv6(1, 4).lengths(&[112]));
        },
    ),
    case(
        "neighbor-solicitation",
        "RFC 4861 section 4.3",
        "to a solicited-node group, hop limit 255, 32 octets of ICMPv6",
        |scene| {
            let target = scene.address6(2);
            let low = target.octets();
            let group = Ipv6Addr::from(
                0xff02_0000_0000_0000_0000_0001_ff00_0000_u128
                    | u128::from(low[13]) << 16
                    | u128::from(low[14]) << 8
                    | u128::from(low[15]),
            );
            let mut body = vec![0; 4];
            body.extend(target.octets());
            body.extend([1, 1]);
            body.extend(scene.source_mac());
            let source = scene.address6(1);
            local(scene, source, group, 135, &body, 72);
        },
    ),
    case(
        "neighbor-advertisement",
        "RFC 4861 section 4.4",
        "an answer without options: 24 octets of ICMPv6, shorter than an ICMPv4 struct",
        |scene| {
            let mut body = vec![0x60, 0, 0, 0];
            body.extend(scene.address6(1).octets());
            let (source, destination) = (scene.address6(1), scene.address6(2));
            local(scene, source, destination, 136, &body, 64);
        },
    ),
    case(
        "router-solicitation",
        "RFC 4861 section 4.1",
        "8 octets of ICMPv6, the shortest there is",
        |scene| {
            let source = link_local(scene);
            local(scene, source, ALL_ROUTERS, 133, &[0; 4], 48);
        },
    ),
    case(
        "router-advertisement",
        "RFC 4861 section 4.2",
        "to all nodes, from a link-local address, with a prefix",
        |scene| {
            let mut body = vec![64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
            body.extend([3, 4, 64, 0xc0, 0, 0, 14, 16, 0, 0, 14, 16, 0, 0, 0, 0]);
            let prefix = u128::from(scene.address6(0)) >> 64 << 64;
            body.extend(prefix.to_be_bytes());
            let source = link_local(scene);
            local(scene, source, ALL_NODES, 134, &body, 88);
        },
    ),
    case(
        "mld-report",
        "RFC 9777 section 5.2, RFC 2711",
        "MLDv2 behind a Hop-by-Hop header with Router Alert: the protocol is 58, not 0",
        |scene| {
            let mut body = vec![0, 0, 0, 1, 4, 0, 0, 0];
            body.extend([0xff; 1]);
            body.extend([2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfb]);
            let source = link_local(scene);
            let upper = icmpv6(between(source, MLD_ROUTERS), 143, 0, &body);
            let mut payload = hop_by_hop(&[5, 2, 0, 0]).octets;
            payload[0] = proto::ICMPV6;
            payload.extend(upper);
            let head = Head6 {
                source,
                destination: MLD_ROUTERS,
                hop_limit: 1,
                class: 0,
                label: scene.label(),
            };
            scene.multicast(MLD_ROUTERS);
            let packet = head.packet(proto::HOP_BY_HOP, &payload);
            scene.send6(&packet);
            let flow = Flow::new(source.into(), MLD_ROUTERS.into(), proto::ICMPV6).icmpv6(143, 0);
            let flow = flow.class_and_hops(0, 1).set("flowLabelIPv6", scene.label());
            scene.flow(flow.lengths(&[76]).chain(proto::HOP_BY_HOP, bit::HOP, 8, true));
        },
    ),
];

/// TCP packets with these flags; those with PSH carry 100 octets.
fn segments(scene: &mut Scene<'_>, flags: &[u16]) {
    let mut sequence = 0;
    for flags in flags {
        let payload = if flags & flag::PSH == 0 { 0 } else { 100 };
        let what = Tcp { flags: *flags, sequence, ..Tcp::default() };
        let upper = tcp(scene.ends6(), scene.ports(), what, &filler(payload));
        scene.send_chain(&[], proto::TCP, &upper);
        // SYN and FIN take a number each.
        sequence += payload as u32 + u32::from(flags & (flag::SYN | flag::FIN) != 0);
    }
}

fn with_options(scene: &mut Scene<'_>, flags: u16, options: &[u8]) {
    let what = Tcp { flags, options, sequence: 1000, ..Tcp::default() };
    let upper = tcp(scene.ends6(), scene.ports(), what, &[]);
    scene.send_chain(&[], proto::TCP, &upper);
}

fn echo(scene: &mut Scene<'_>, kind: u8) {
    for sequence in 1..=3 {
        let body = [&[0x12, 0x34, 0, sequence], filler(56).as_slice()].concat();
        let upper = icmpv6(scene.ends6(), kind, 0, &body);
        scene.send_chain(&[], proto::ICMPV6, &upper);
    }
    scene.flow(scene.flow6(proto::ICMPV6).icmpv6(kind, 0).lengths(&[104; 3]));
}

fn link_local(scene: &Scene<'_>) -> Ipv6Addr {
    let low = u128::from(scene.address6(1)) & 0xffff_ffff;
    Ipv6Addr::from(0xfe80_u128 << 112 | low)
}

/// One ICMPv6 packet with hop limit 255 and code 0.
fn local(
    scene: &mut Scene<'_>,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    kind: u8,
    body: &[u8],
    length: u64,
) {
    if destination.is_multicast() {
        scene.multicast(destination);
    }
    let upper = icmpv6(between(source, destination), kind, 0, body);
    let head = Head6 { source, destination, hop_limit: 255, class: 0, label: scene.label() };
    let packet = head.packet(proto::ICMPV6, &upper);
    scene.send6(&packet);
    let flow = Flow::new(source.into(), destination.into(), proto::ICMPV6).icmpv6(kind, 0);
    let flow = flow.class_and_hops(0, 255).set("flowLabelIPv6", scene.label());
    scene.flow(flow.lengths(&[length]));
}
