//! IPv6 without extension headers: what stands in the fixed header, and how long packets are.

use super::scene::{Scene, filler, proto};
use super::{Definition, case};
use crate::craft::header::{Head6, hop_by_hop};
use crate::craft::transport::udp;
use crate::craft::truth::bit;

pub(super) const CASES: &[Definition] = &[
    case("udp", "RFC 8200 section 3", "UDP over IPv6, nothing special", |scene| {
        let upper = scene.udp6(32);
        scene.send_chains(3, &[], proto::UDP, &upper);
        scene.flow(scene.flow6(proto::UDP).ports(scene.ports()).lengths(&[80; 3]));
    }),
    case(
        "class-and-label",
        "RFC 8200 sections 6 and 7",
        "traffic class 0xb8 and flow label 0x12345 side by side",
        |scene| head(scene, |head| Head6 { class: 0xb8, label: 0x1_2345, ..head }),
    ),
    case(
        "class-without-label",
        "RFC 8200 section 7",
        "traffic class 0x02 (ECT(0)), flow label 0: none leaks into the other",
        |scene| head(scene, |head| Head6 { class: 0x02, label: 0, ..head }),
    ),
    case("label-all-ones", "RFC 6437 section 2", "flow label 0xfffff, the largest", |scene| {
        head(scene, |head| Head6 { label: 0xf_ffff, ..head });
    }),
    case(
        "class-all-ones",
        "RFC 8200 section 7",
        "traffic class 0xff, flow label 0: all bits of one field, none of the other",
        |scene| head(scene, |head| Head6 { class: 0xff, label: 0, ..head }),
    ),
    case(
        "label-change",
        "RFC 7012 section 5",
        "the flow label changes within the flow: the first packet's counts",
        |scene| {
            let labels = [0x1_1111, 0x2_2222, 0x2_2222, 0x0_0003];
            vary(scene, &labels.map(|label| (label, 0, 64)));
            let flow = scene.flow6(proto::UDP).ports(scene.ports()).lengths(&[80; 4]);
            let flow = flow
                .set("flowLabelIPv6", 0x1_1111)
                .set("sixtap:flowLabelDistinctCount", 3)
                .set("sixtap:flowLabelMinimum", 3)
                .set("sixtap:flowLabelMaximum", 0x2_2222);
            scene.flow(flow);
        },
    ),
    case(
        "class-change",
        "RFC 7012 section 5",
        "the traffic class changes within the flow: the first packet's counts",
        |scene| {
            let label = scene.label();
            vary(scene, &[0x28, 0xb8, 0x00].map(|class| (label, class, 64)));
            let flow = scene.flow6(proto::UDP).ports(scene.ports()).lengths(&[80; 3]);
            let flow = flow
                .set("ipClassOfService", 0x28)
                .set("sixtap:trafficClassDistinctCount", 3)
                .set("sixtap:trafficClassMinimum", 0)
                .set("sixtap:trafficClassMaximum", 0xb8);
            scene.flow(flow);
        },
    ),
    case(
        "hop-limit-change",
        "IANA IPFIX elements 192, 52 and 53",
        "hop limits 60, 64, 50: first, smallest and largest are three numbers",
        |scene| {
            let label = scene.label();
            vary(scene, &[60, 64, 50].map(|hops| (label, 0, hops)));
            let flow = scene.flow6(proto::UDP).ports(scene.ports()).lengths(&[80; 3]);
            let flow = flow
                .set("ipTTL", 60)
                .set("minimumTTL", 50)
                .set("maximumTTL", 64)
                .set("sixtap:hopLimitDistinctCount", 3);
            scene.flow(flow);
        },
    ),
    case(
        "packet-sizes",
        "IANA IPFIX elements 1, 25 and 26",
        "packets of many sizes: sum, smallest and largest",
        |scene| {
            let payloads = [100, 1452, 0, 577, 1, 1451, 2, 1452];
            for payload in payloads {
                let upper = scene.udp6(payload);
                scene.send_chain(&[], proto::UDP, &upper);
            }
            let lengths = payloads.map(|payload| 48 + payload as u64);
            scene.flow(scene.flow6(proto::UDP).ports(scene.ports()).lengths(&lengths));
        },
    ),
    case(
        "ethernet-padding",
        "RFC 894, RFC 2464 section 3",
        "40-octet packets padded to 60-octet frames: padding is no IP octet",
        |scene| {
            scene.padding = 0xa5;
            scene.send_chains(2, &[], proto::NO_NEXT, &[]);
            let flow = scene.flow6(proto::NO_NEXT).lengths(&[40; 2]);
            scene.flow(flow.chain(proto::NO_NEXT, bit::NO_NEXT, 0, true));
        },
    ),
    case(
        "payload-length-65535",
        "RFC 8200 section 3",
        "the largest payload that is no jumbogram: 65575 octets do not fit 16 bits",
        |scene| {
            let upper = scene.udp6(65_527);
            scene.send_chain(&[], proto::UDP, &upper);
            scene.flow(scene.flow6(proto::UDP).ports(scene.ports()).lengths(&[65_575]));
        },
    ),
    case(
        "jumbogram",
        "RFC 2675 section 2",
        "payload length 0, the length stands in a Hop-by-Hop option",
        |scene| {
            let option = hop_by_hop(&[0xc2, 4, 0, 1, 0x11, 0x70]);
            let upper = udp(scene.ends6(), scene.ports(), &filler(70_000 - 8 - 8));
            let mut payload = option.octets;
            payload[0] = proto::UDP;
            payload.extend(upper);
            let packet = scene.head6().with_length(proto::HOP_BY_HOP, 0, &payload);
            scene.send6(&packet);
            let flow = scene.flow6(proto::UDP).ports(scene.ports()).lengths(&[70_040]);
            scene.flow(flow.chain(proto::HOP_BY_HOP, bit::HOP, 8, true));
        },
    ),
    case(
        "snapshot-length",
        "draft-ietf-opsawg-pcap",
        "a 1500-octet packet of which 128 octets of frame were captured: octets come from the header",
        |scene| {
            for _ in 0..2 {
                let upper = scene.udp6(1452);
                scene.send_chain(&[], proto::UDP, &upper);
                scene.cut(128);
            }
            scene.flow(scene.flow6(proto::UDP).ports(scene.ports()).lengths(&[1500; 2]));
        },
    ),
];

/// Two UDP packets with a changed IPv6 header.
fn head(scene: &mut Scene<'_>, change: fn(Head6) -> Head6) {
    let head = change(scene.head6());
    for _ in 0..2 {
        let packet = head.packet(proto::UDP, &scene.udp6(32));
        scene.send6(&packet);
    }
    let flow = scene.flow6(proto::UDP).ports(scene.ports()).lengths(&[80; 2]);
    let flow = flow.set("flowLabelIPv6", head.label).set("ipClassOfService", head.class);
    scene.flow(flow);
}

/// UDP packets of 80 octets with these labels, classes and hop limits.
fn vary(scene: &mut Scene<'_>, packets: &[(u32, u8, u8)]) {
    for (label, class, hop_limit) in packets {
        let head = Head6 { label: *label, class: *class, hop_limit: *hop_limit, ..scene.head6() };
        let packet = head.packet(proto::UDP, &scene.udp6(32));
        scene.send6(&packet);
    }
}
