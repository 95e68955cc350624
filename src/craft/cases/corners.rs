//! Corners that meters get wrong although they get the rest right: found by hand, each with the rule that decides it.
//!
//! Behind all other tables, so that the addresses of their cases stay what they are.

use super::scene::{between, filler, proto};
use super::{Definition, case};
use crate::craft::header::{
    Head6, chain, destination_of, fragment, hop_by_hop, routing, segment_routing,
};
use crate::craft::transport::{Tcp, flag, tcp, udp};
use crate::craft::truth::{Flow, Fragments, bit};
use serde_json::json;

/// Bit-stream Emulation (RFC 9801): marked as an extension header in the registry of protocol numbers.
const BIT_EMULATION: u8 = 147;

pub(super) const CASES: &[Definition] = &[
    case(
        "tcp-experiments-alone",
        "RFC 9740 section 4.2, RFC 6994",
        "the only options are 253 and 254 with identifiers: no bit is set, the list is there all the same",
        |scene| {
            let options = [254, 8, 0xf9, 0x89, 0, 0, 0, 0, 253, 4, 0x12, 0x34];
            let segment = Tcp { flags: flag::SYN, options: &options, ..Tcp::default() };
            let upper = tcp(scene.ends6(), scene.ports(), segment, &[]);
            scene.send_chains(2, &[], proto::TCP, &upper);
            let flow = scene.flow6(proto::TCP).ports(scene.ports()).tcp(flag::SYN);
            let flow = flow.lengths(&[72; 2]).set("tcpOptionsFull", 0);
            scene.flow(flow.set("tcpSharedOptionExID16List", json!([0xf989, 0x1234])));
        },
    ),
    case(
        "tcp-no-flags",
        "RFC 9565 section 3",
        "TCP without a single flag: tcpControlBits is there and 0",
        |scene| {
            let upper = scene.tcp6(0, 20);
            scene.send_chains(2, &[], proto::TCP, &upper);
            scene.flow(scene.flow6(proto::TCP).ports(scene.ports()).tcp(0).lengths(&[80; 2]));
        },
    ),
    case(
        "tcp-ends-before-flags",
        "RFC 9565 section 3, RFC 7012 section 5",
        "packets that end behind the ports: nothing is known of the flags, and 0 would be a claim",
        |scene| {
            scene.invalid("the packet ends within the TCP header (RFC 9293 section 3.1)");
            let upper = scene.tcp6(flag::SYN, 0);
            scene.send_chains(2, &[], proto::TCP, &upper[..12]);
            scene.flow(scene.flow6(proto::TCP).ports(scene.ports()).lengths(&[52; 2]));
        },
    ),
    case(
        "bit-emulation",
        "IANA Protocol Numbers, RFC 9740 section 3.3",
        "147 is an extension header without a bit of its own: unknown in 515, by its number in 516",
        |scene| {
            scene.send_chains(2, &[], BIT_EMULATION, &filler(40));
            let flow = scene.flow6(BIT_EMULATION).lengths(&[80; 2]);
            let flow = flow.chain(BIT_EMULATION, bit::UNKNOWN, 0, false);
            let header = json!({
                "ipv6ExtensionHeaderType": BIT_EMULATION, "ipv6ExtensionHeaderCount": 1,
            });
            let flow = flow.set("ipv6ExtensionHeadersChainLength", 0);
            scene.flow(flow.set("ipv6ExtensionHeaderTypeCountList", json!([header])));
        },
    ),
    case(
        "segment-routing-hmac",
        "RFC 8754 sections 2 and 2.1.2",
        "a Segment Routing Header of 2 segments with an HMAC TLV behind them: 80 octets",
        |scene| {
            let segments = [scene.address6(2), scene.address6(4)];
            let mut data = vec![1, 0x08, 0, 7];
            data.extend(segments.iter().flat_map(|segment| segment.octets()));
            data.extend([5, 38, 0, 0, 0, 0, 0, 9]);
            data.extend([0x5a; 32]);
            let upper = scene.udp6(32);
            scene.send_chains(2, &[routing(4, 0, &data)], proto::UDP, &upper);
            let flow = scene.flow6(proto::UDP).ports(scene.ports()).lengths(&[160; 2]);
            let flow = flow.chain(proto::ROUTING, bit::RH, 80, true);
            scene.flow(flow.segments(0x08, 7, 0, scene.address6(2)));
        },
    ),
    case(
        "segment-routing-12",
        "RFC 8754 section 2",
        "a Segment Routing Header of 12 segments, more than is kept",
        |scene| {
            let segments: Vec<_> = (0..12).map(|host| scene.address6(0x20 + host)).collect();
            let header = segment_routing(11, 0, 0, &segments);
            let upper = udp(between(scene.address6(1), segments[0]), scene.ports(), &filler(32));
            scene.send_chains(2, &[header], proto::UDP, &upper);
            let flow = scene.flow6(proto::UDP).ports(scene.ports()).lengths(&[280; 2]);
            let flow = flow.chain(proto::ROUTING, bit::RH, 200, true);
            scene.flow(flow.segments(0, 0, 11, scene.address6(2)));
        },
    ),
    case(
        "empty-first-fragment",
        "RFC 8200 section 4.5, RFC 7112",
        "a first fragment without an octet goes ahead of the real one: it must not hide the ports",
        |scene| {
            scene.invalid("a first fragment of no octets (RFC 7112)");
            let octets = scene.udp6(56);
            for part in [&octets[..0], &octets[..32]] {
                scene.send_chain(&[fragment(IDENTIFICATION, 0, true)], proto::UDP, part);
            }
            let last = fragment(IDENTIFICATION, 4, false);
            scene.send_chain(&[last], proto::UDP, &octets[32..]);
            let first =
                Fragments { identification: IDENTIFICATION, more: true, ..Fragments::default() };
            let empty = scene.flow6(proto::UDP).lengths(&[48]);
            let empty = empty.chain(proto::FRAGMENT, bit::FRA0, 8, true);
            let counts = Fragments { packets: 1, tiny: 1, incomplete: 1, ..first };
            scene.flow_of(&[0], empty.fragments(counts));
            let flow = scene.flow6(proto::UDP).ports(scene.ports()).lengths(&[80; 2]);
            let flow = flow.chain(proto::FRAGMENT, bit::FRA0 | bit::FRA1, 8, true);
            let counts = Fragments { packets: 2, smallest_offset: 4, ..first };
            scene.flow_of(&[1, 2], flow.fragments(counts));
        },
    ),
    case(
        "conversation-with-headers",
        "RFC 5103 section 3",
        "TCP both ways, each with its own label, class, hop limit and chain: no value of one is the other's",
        |scene| {
            let (there, back) = (scene.ports(), (scene.ports().1, scene.ports().0));
            let upper = scene.tcp6(flag::SYN, 20);
            scene.send_chains(2, &[hop_by_hop(ALERT)], proto::TCP, &upper);
            let answer = Tcp { flags: flag::SYN | flag::ACK, ..Tcp::default() };
            let (source, destination) = (scene.address6(2), scene.address6(1));
            let upper = tcp(between(source, destination), back, answer, &filler(60));
            let (next, octets) = chain(&[destination_of(16)], proto::TCP, &upper);
            let head = Head6 { source, destination, class: 0x20, label: 0x54321, hop_limit: 50 };
            scene.send6(&head.packet(next, &octets));
            let flow = scene.flow6(proto::TCP).ports(there).tcp(flag::SYN).lengths(&[88; 2]);
            scene.flow_of(&[0, 1], flow.chain(proto::HOP_BY_HOP, bit::HOP, 8, true));
            let flow = Flow::new(source.into(), destination.into(), proto::TCP).ports(back);
            let flow = flow.class_and_hops(0x20, 50).set("flowLabelIPv6", 0x54321);
            let flow = flow.tcp(flag::SYN | flag::ACK).lengths(&[136]);
            scene.flow_of(&[2], flow.chain(proto::DESTINATION, bit::DST, 16, true));
        },
    ),
];

/// Router Alert (RFC 2711).
const ALERT: &[u8] = &[5, 2, 0, 0];

const IDENTIFICATION: u32 = 0x0bad_cafe;
