//! What may stand between Ethernet and IP: tags, labels, PPPoE; and frames that are no IP.

use super::scene::{Scene, proto};
use super::{Definition, case};

const CUSTOMER_TAG: u16 = 0x8100;
const SERVICE_TAG: u16 = 0x88a8;
const MPLS: u16 = 0x8847;
const PPPOE_SESSION: u16 = 0x8864;

pub(super) const CASES: &[Definition] = &[
    case(
        "vlan",
        "IEEE 802.1Q, IANA IPFIX elements 243 and 244",
        "one tag: identifier 42 and priority 5 apart",
        |scene| {
            scene.tags = vec![(CUSTOMER_TAG, 5 << 13 | 42)];
            two(scene);
            scene.flow(scene.flow6(proto::UDP).ports(scene.ports()).lengths(&[80; 2]));
        },
    ),
    case(
        "vlan-priority-only",
        "IEEE 802.1Q section 6.9",
        "a priority tag: identifier 0 names no VLAN",
        |scene| {
            scene.tags = vec![(CUSTOMER_TAG, 3 << 13)];
            two(scene);
            scene.flow(scene.flow6(proto::UDP).ports(scene.ports()).lengths(&[80; 2]));
        },
    ),
    case(
        "qinq",
        "IEEE 802.1ad, IANA IPFIX elements 243 to 246",
        "service tag 100 outside, customer tag 200 inside",
        |scene| {
            scene.tags = vec![(SERVICE_TAG, 2 << 13 | 100), (CUSTOMER_TAG, 1 << 13 | 200)];
            two(scene);
            scene.flow(scene.flow6(proto::UDP).ports(scene.ports()).lengths(&[80; 2]));
        },
    ),
    case("mpls-1", "RFC 3032 section 2", "one label: 100, class 5, bottom of stack", |scene| {
        labelled(scene, &[label(100, 5, true)], "00064b");
    }),
    case("mpls-3", "RFC 3032 section 2", "three labels, the topmost 16", |scene| {
        let stack = [label(16, 0, false), label(0xf_fffe, 7, false), label(1000, 1, true)];
        labelled(scene, &stack, "000100");
    }),
    case("pppoe", "RFC 2516 section 6", "a PPPoE session that carries IPv6", |scene| {
        for _ in 0..2 {
            let packet = scene.head6().packet(proto::UDP, &scene.udp6(32));
            let length = (packet.len() + 2) as u16;
            let mut payload = vec![0x11, 0, 0x12, 0x34];
            payload.extend(length.to_be_bytes());
            payload.extend([0x00, 0x57]);
            payload.extend(packet);
            scene.send(PPPOE_SESSION, &payload);
        }
        scene.flow(scene.flow6(proto::UDP).ports(scene.ports()).lengths(&[80; 2]));
    }),
    case("not-ip", "RFC 826", "an ARP request: in no flow, and counted as such", |scene| {
        let mut octets = vec![0, 1, 8, 0, 6, 4, 0, 1];
        octets.extend(scene.source_mac());
        octets.extend(scene.source4().octets());
        octets.extend([0; 6]);
        octets.extend(scene.destination4().octets());
        scene.send(0x0806, &octets);
    }),
];

/// Two UDP packets of 80 octets.
fn two(scene: &mut Scene<'_>) {
    let upper = scene.udp6(32);
    scene.send_chains(2, &[], proto::UDP, &upper);
}

/// A label stack entry: label, traffic class, bottom of stack, TTL 63.
fn label(label: u32, class: u32, bottom: bool) -> [u8; 4] {
    (label << 12 | class << 9 | u32::from(bottom) << 8 | 63).to_be_bytes()
}

/// `top` is what `mplsTopLabelStackSection` holds: label, class, bottom of stack.
fn labelled(scene: &mut Scene<'_>, stack: &[[u8; 4]], top: &str) {
    for _ in 0..2 {
        let packet = scene.head6().packet(proto::UDP, &scene.udp6(32));
        scene.send(MPLS, &[stack.concat(), packet].concat());
    }
    let flow = scene.flow6(proto::UDP).ports(scene.ports()).lengths(&[80; 2]);
    scene.flow(flow.set("mplsTopLabelStackSection", top));
}
