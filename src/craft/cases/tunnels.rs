//! Packets in packets. The flow is that of the outermost IP header; what an exporter that looks inside must find is
//! in the inner flows.

use super::scene::{IPV4, IPV6, Scene, between, filler, proto};
use super::{Definition, case};
use crate::craft::checksum::Ends;
use crate::craft::header::{Head4, Head6, destination, ethernet};
use crate::craft::transport::udp;
use crate::craft::truth::{Flow, bit};

/// `sixtap:tunnelKind`.
mod kind {
    pub(super) const SIX_IN_FOUR: u8 = 1;
    pub(super) const FOUR_IN_SIX: u8 = 2;
    pub(super) const SIX_IN_SIX: u8 = 3;
    pub(super) const FOUR_IN_FOUR: u8 = 4;
    pub(super) const GRE: u8 = 5;
    pub(super) const VXLAN: u8 = 6;
    pub(super) const GENEVE: u8 = 7;
    pub(super) const GTP_U: u8 = 8;
    pub(super) const TEREDO: u8 = 9;
    pub(super) const AYIYA: u8 = 10;
}

pub(super) const CASES: &[Definition] = &[
    case("6in4", "RFC 4213 section 3", "IPv6 in IPv4, protocol 41", |scene| {
        over4(scene, proto::IPV6, &[], Inside::Six, kind::SIX_IN_FOUR, 0);
    }),
    case("4in4", "RFC 2003", "IPv4 in IPv4, protocol 4", |scene| {
        over4(scene, proto::IPV4, &[], Inside::Four, kind::FOUR_IN_FOUR, 0);
    }),
    case("4in6", "RFC 2473 section 3", "IPv4 in IPv6, protocol 4", |scene| {
        over6(scene, proto::IPV4, &[], Inside::Four, kind::FOUR_IN_SIX, 0);
    }),
    case("6in6", "RFC 2473 section 3", "IPv6 in IPv6, protocol 41", |scene| {
        over6(scene, proto::IPV6, &[], Inside::Six, kind::SIX_IN_SIX, 0);
    }),
    case(
        "6in6-encapsulation-limit",
        "RFC 2473 section 4.1.1",
        "IPv6 in IPv6 behind Destination Options with a Tunnel Encapsulation Limit",
        |scene| {
            let (packet, flow) = inside(scene, Inside::Six);
            scene.send_chains(2, &[destination(&[4, 1, 4, 1, 1, 0])], proto::IPV6, &packet);
            let outer = scene.flow6(proto::IPV6).lengths(&[40 + 8 + 80; 2]);
            scene.flow(outer.chain(proto::DESTINATION, bit::DST, 8, true));
            scene.inner(kind::SIX_IN_SIX, 0, scene.ends6(), flow);
        },
    ),
    case("gre-over-ipv4", "RFC 2784 section 2", "IPv6 in GRE in IPv4", |scene| {
        over4(scene, proto::GRE, &[0, 0, 0x86, 0xdd], Inside::Six, kind::GRE, 0);
    }),
    case("gre-over-ipv6", "RFC 7676", "IPv4 in GRE in IPv6", |scene| {
        over6(scene, proto::GRE, &[0, 0, 0x08, 0x00], Inside::Four, kind::GRE, 0);
    }),
    case("gre-with-key", "RFC 2890 section 2", "IPv6 in GRE with a key in IPv6", |scene| {
        let header = [0x20, 0, 0x86, 0xdd, 0, 0, 0x12, 0x34];
        over6(scene, proto::GRE, &header, Inside::Six, kind::GRE, 0x1234);
    }),
    case("vxlan-over-ipv4", "RFC 7348 section 5", "Ethernet with IPv6 in VXLAN in IPv4", |scene| {
        over_udp(scene, false, 4789, &[8, 0, 0, 0, 0, 0x12, 0x34, 0], true, kind::VXLAN, 0x1234);
    }),
    case("vxlan-over-ipv6", "RFC 7348 section 5", "Ethernet with IPv6 in VXLAN in IPv6", |scene| {
        over_udp(scene, true, 4789, &[8, 0, 0, 0, 0, 0x12, 0x34, 0], true, kind::VXLAN, 0x1234);
    }),
    case("geneve", "RFC 8926 section 3.4", "Ethernet with IPv6 in Geneve in IPv6", |scene| {
        let header = [0, 0, 0x65, 0x58, 0, 0x12, 0x34, 0];
        over_udp(scene, true, 6081, &header, true, kind::GENEVE, 0x1234);
    }),
    case("gtp-u", "3GPP TS 29.281 section 5.1", "a G-PDU with IPv6 in IPv6", |scene| {
        let header = [0x30, 255, 0, 80, 0, 0, 0x12, 0x34];
        over_udp(scene, true, 2152, &header, false, kind::GTP_U, 0x1234);
    }),
    case("teredo", "RFC 4380 section 5.1.1", "IPv6 in UDP in IPv4 to port 3544", |scene| {
        over_udp(scene, false, 3544, &[], false, kind::TEREDO, 0);
    }),
    case("ayiya", "draft-massar-v6ops-ayiya", "IPv6 in AYIYA in UDP in IPv4", |scene| {
        // Identity of 16 octets, signature of 20, forward, Next Header 41, an epoch, then both.
        let mut header = vec![0x41, 0x52, 0x11, proto::IPV6, 0x68, 0, 0, 0];
        header.extend(scene.address6(9).octets());
        header.extend([0x5a; 20]);
        over_udp(scene, false, 5072, &header, false, kind::AYIYA, 0);
    }),
];

/// Behind all other tables, so that the addresses of their cases stay what they are.
pub(super) const MORE: &[Definition] = &[
    case(
        "gre-with-all-fields",
        "RFC 2784 section 2, RFC 2890 section 2",
        "IPv6 in GRE with checksum, key and sequence number in IPv4",
        |scene| {
            let header =
                [0xb0, 0, 0x86, 0xdd, 0x12, 0x34, 0, 0, 0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 5];
            over4(scene, proto::GRE, &header, Inside::Six, kind::GRE, 0xdead_beef);
        },
    ),
    case(
        "geneve-options",
        "RFC 8926 section 3.4",
        "IPv6 in Geneve behind 8 octets of options in IPv4",
        |scene| {
            let header = [2, 0, 0x86, 0xdd, 0, 0, 9, 0, 1, 2, 0x80, 1, 0, 0, 0, 7];
            over_udp(scene, false, 6081, &header, false, kind::GENEVE, 9);
        },
    ),
    case(
        "gtp-u-extension",
        "3GPP TS 29.281 section 5.2",
        "a G-PDU with a sequence number and a PDU session container before IPv6",
        |scene| {
            // E and S, length, TEID, sequence number, N-PDU, next 0x85; the container of 4 octets, and no next.
            let header = [0x36, 255, 0, 88, 0, 0, 0, 6, 0, 9, 0, 0x85, 1, 0, 3, 0];
            over_udp(scene, false, 2152, &header, false, kind::GTP_U, 6);
        },
    ),
    case(
        "teredo-authentication",
        "RFC 4380 section 5.1.1",
        "IPv6 in Teredo behind an authentication and an origin indication",
        |scene| {
            let mut header = vec![0, 1, 2, 3];
            header.extend(*b"idkey");
            header.extend([0x77; 8]);
            header.extend([0, 0, 0, 0xff, 0xff, 0x3f, 0xff, 0xff, 0xfe]);
            over_udp(scene, false, 3544, &header, false, kind::TEREDO, 0);
        },
    ),
    case(
        "vxlan-two-networks",
        "RFC 7348 section 4",
        "the same addresses and ports in two VXLAN networks: two flows inside, one outside",
        |scene| {
            let (packet, flow) = inside(scene, Inside::Six);
            let frame = ethernet([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2], &[], IPV6, &packet);
            let (ends, ports) = (scene.ends6(), (scene.ports().0, 4789));
            for network in [1, 2, 1, 2] {
                let upper =
                    udp(ends, ports, &[&[8, 0, 0, 0, 0, 0, network, 0], &frame[..]].concat());
                let packet = scene.head6().packet(proto::UDP, &upper);
                scene.send(IPV6, &packet);
            }
            scene.flow(scene.flow6(proto::UDP).ports(ports).lengths(&[150; 4]));
            scene.inner(kind::VXLAN, 1, ends, flow.clone());
            scene.inner(kind::VXLAN, 2, ends, flow);
        },
    ),
];

#[derive(Clone, Copy)]
enum Inside {
    /// An IPv6 packet with UDP: 80 octets.
    Six,
    /// An IPv4 packet with UDP: 60 octets.
    Four,
}

const INNER_PORTS: (u16, u16) = (40_111, 40_222);

/// The packet that is carried, and its truth without what says that it is carried.
fn inside(scene: &Scene<'_>, inside: Inside) -> (Vec<u8>, Flow) {
    match inside {
        Inside::Six => {
            let (source, destination) = (scene.address6(0x101), scene.address6(0x102));
            let head = Head6 { source, destination, class: 0x20, label: 0xabcde, hop_limit: 7 };
            let upper = udp(between(source, destination), INNER_PORTS, &filler(32));
            let flow = Flow::new(source.into(), destination.into(), proto::UDP)
                .ports(INNER_PORTS)
                .class_and_hops(0x20, 7)
                .set("flowLabelIPv6", 0xabcde)
                .lengths(&[80; 2]);
            (head.packet(proto::UDP, &upper), flow)
        }
        Inside::Four => {
            // The outer header may be IPv4, too: swapped, so that the two are told apart.
            let (source, destination) = (scene.destination4(), scene.source4());
            let head = Head4 { source, destination, ttl: 7, tos: 0x20, ..scene.head4() };
            let upper = udp(between(source, destination), INNER_PORTS, &filler(32));
            let flow = Flow::new(source.into(), destination.into(), proto::UDP)
                .ports(INNER_PORTS)
                .class_and_hops(0x20, 7)
                .lengths(&[60; 2]);
            (head.packet(proto::UDP, &[], &upper), flow)
        }
    }
}

fn over4(scene: &mut Scene<'_>, protocol: u8, header: &[u8], what: Inside, kind: u8, id: u32) {
    let (packet, flow) = inside(scene, what);
    let length = (20 + header.len() + packet.len()) as u64;
    let outer = scene.head4().packet(protocol, &[], &[header, &packet].concat());
    scene.send4(&outer);
    scene.send4(&outer);
    scene.flow(scene.flow4(protocol).lengths(&[length; 2]));
    scene.inner(kind, id, scene.ends4(), flow);
}

fn over6(scene: &mut Scene<'_>, protocol: u8, header: &[u8], what: Inside, kind: u8, id: u32) {
    let (packet, flow) = inside(scene, what);
    let length = (40 + header.len() + packet.len()) as u64;
    scene.send_chains(2, &[], protocol, &[header, &packet].concat());
    scene.flow(scene.flow6(protocol).lengths(&[length; 2]));
    scene.inner(kind, id, scene.ends6(), flow);
}

/// An IPv6 packet in UDP, with an Ethernet header before it or not.
fn over_udp(
    scene: &mut Scene<'_>,
    ipv6: bool,
    port: u16,
    header: &[u8],
    link: bool,
    kind: u8,
    id: u32,
) {
    let (packet, flow) = inside(scene, Inside::Six);
    let (from, to) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let carried = if link { ethernet(to, from, &[], IPV6, &packet) } else { packet };
    let ends: Ends = if ipv6 { scene.ends6() } else { scene.ends4() };
    let ports = (scene.ports().0, port);
    let upper = udp(ends, ports, &[header, &carried].concat());
    let outer_header = if ipv6 { 40 } else { 20 };
    let length = outer_header + 8 + (header.len() + 80) as u64 + if link { 14 } else { 0 };
    for _ in 0..2 {
        if ipv6 {
            let packet = scene.head6().packet(proto::UDP, &upper);
            scene.send(IPV6, &packet);
        } else {
            let packet = scene.head4().packet(proto::UDP, &[], &upper);
            scene.send(IPV4, &packet);
        }
    }
    let outer = if ipv6 { scene.flow6(proto::UDP) } else { scene.flow4(proto::UDP) };
    scene.flow(outer.ports(ports).lengths(&[length; 2]));
    scene.inner(kind, id, ends, flow);
}
