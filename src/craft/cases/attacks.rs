//! The attacks of Hendriks and others, "Flow-Based Detection of IPv6-specific Network Layer Attacks" (AIMS 2017), as
//! their published generator makes them. The flows are those of the default key; with flow label and traffic class
//! as keys every packet of a covert channel is a flow of its own.

use super::scene::{Scene, between, filler, proto};
use super::{Definition, case};
use crate::craft::header::{Head6, chain, destination, fragment, hop_by_hop};
use crate::craft::transport::{Tcp, flag, tcp, udp};
use crate::craft::truth::{Flow, Fragments, bit};
use std::net::Ipv6Addr;

const PACKETS: usize = 200;
const FLOOD: usize = 500;

const SOURCE: &str = "doi:10.1007/978-3-319-60774-0_11";

pub(super) const CASES: &[Definition] = &[
    case(
        "attack-covert-label",
        SOURCE,
        "200 packets of one 5-tuple, each with a flow label by lot",
        |scene| {
            let labels: Vec<u32> =
                (0..PACKETS).map(|_| 1 + scene.random.below(0xf_ffff) as u32).collect();
            covert(scene, &labels.iter().map(|label| (*label, 0)).collect::<Vec<_>>());
            let flow = one(scene).set("flowLabelIPv6", labels[0]).class_and_hops(0, 64);
            let flow = flow
                .set("sixtap:flowLabelDistinctCount", 9)
                .set("sixtap:flowLabelMinimum", labels.iter().min().copied())
                .set("sixtap:flowLabelMaximum", labels.iter().max().copied());
            scene.flow(flow);
        },
    ),
    case(
        "attack-covert-class",
        SOURCE,
        "200 packets of one 5-tuple, each with a traffic class by lot",
        |scene| {
            let classes: Vec<u8> =
                (0..PACKETS).map(|_| 1 + scene.random.below(255) as u8).collect();
            covert(scene, &classes.iter().map(|class| (0, *class)).collect::<Vec<_>>());
            let flow = one(scene).class_and_hops(classes[0], 64).set("flowLabelIPv6", 0);
            let flow = flow
                .set("sixtap:trafficClassDistinctCount", 9)
                .set("sixtap:trafficClassMinimum", classes.iter().min().copied())
                .set("sixtap:trafficClassMaximum", classes.iter().max().copied());
            scene.flow(flow);
        },
    ),
    case(
        "attack-label-flood",
        SOURCE,
        "200 packets to 200 addresses of a prefix, each with a flow label by lot",
        |scene| {
            for number in 0..PACKETS {
                let (destination, label) =
                    (scene.address_by_lot(number), scene.random.below(0xf_ffff));
                let head = Head6 { destination, label: label as u32 + 1, ..scene.head6() };
                let upper = udp(between(head.source, destination), ports(scene), &filler(16));
                let packet = head.packet(proto::UDP, &upper);
                scene.send6(&packet);
                let flow = to(scene, destination, proto::UDP).ports(ports(scene));
                scene.flow(flow.set("flowLabelIPv6", head.label).lengths(&[64]));
            }
        },
    ),
    case(
        "attack-fragment-flood-spread",
        SOURCE,
        "500 first fragments to 500 addresses of a prefix, none ever complete",
        |scene| {
            for number in 0..FLOOD {
                let destination = scene.address_by_lot(number);
                first_fragment(scene, destination);
            }
        },
    ),
    case(
        "attack-fragment-flood",
        SOURCE,
        "500 first fragments of 500 datagrams to one address, none ever complete",
        |scene| {
            let destination = scene.address6(2);
            let first = identification(scene);
            for number in 0..FLOOD as u32 {
                let packet = beginning(scene, destination, first.wrapping_add(number));
                scene.send6(&packet);
            }
            let flow = to(scene, destination, proto::UDP).ports(ports(scene));
            let flow = flow.set("flowLabelIPv6", scene.label()).lengths(&[112; FLOOD]);
            let flow = flow.chain(proto::FRAGMENT, bit::FRA0, 8, true);
            let count = FLOOD as u32;
            scene.flow(flow.fragments(Fragments {
                identification: first,
                more: true,
                packets: count,
                incomplete: count,
                ..Fragments::default()
            }));
        },
    ),
    case(
        "attack-hop-by-hop-flood",
        SOURCE,
        "500 packets to port 80 with an unknown Hop-by-Hop option of 36 octets",
        |scene| {
            let mut option = vec![0x1e, 36];
            option.resize(38, 0x41);
            let ports = (scene.ports().0, 80);
            let what = Tcp { flags: flag::SYN, ..Tcp::default() };
            let upper = tcp(scene.ends6(), ports, what, &[]);
            scene.send_chains(FLOOD, &[hop_by_hop(&option)], proto::TCP, &upper);
            let flow = scene.flow6(proto::TCP).ports(ports).tcp(flag::SYN);
            let flow = flow.chain(proto::HOP_BY_HOP, bit::HOP, 40, true);
            scene.flow(flow.lengths(&[100; FLOOD]));
        },
    ),
    case(
        "attack-overlap",
        SOURCE,
        "TCP to port 80, a second fragment at offset 2 writes port 22 over it, 20 more follow",
        overlap,
    ),
];

fn ports(scene: &Scene<'_>) -> (u16, u16) {
    (scene.ports().0, 80)
}

fn to(scene: &Scene<'_>, destination: Ipv6Addr, protocol: u8) -> Flow {
    Flow::new(scene.address6(1).into(), destination.into(), protocol).class_and_hops(0, 64)
}

fn identification(scene: &mut Scene<'_>) -> u32 {
    scene.random.below(1 << 32) as u32
}

/// The one flow of a covert channel.
fn one(scene: &Scene<'_>) -> Flow {
    to(scene, scene.address6(2), proto::UDP).ports(ports(scene)).lengths(&[64; PACKETS])
}

/// Packets of 64 octets with these labels and classes.
fn covert(scene: &mut Scene<'_>, packets: &[(u32, u8)]) {
    let upper = udp(scene.ends6(), ports(scene), &filler(16));
    for (label, class) in packets {
        let head = Head6 { label: *label, class: *class, ..scene.head6() };
        let packet = head.packet(proto::UDP, &upper);
        scene.send6(&packet);
    }
}

/// The first fragment, 112 octets, of a datagram of 512.
fn beginning(scene: &Scene<'_>, destination: Ipv6Addr, identification: u32) -> Vec<u8> {
    let upper = udp(between(scene.address6(1), destination), ports(scene), &filler(504));
    let (next, octets) = chain(&[fragment(identification, 0, true)], proto::UDP, &upper[..64]);
    Head6 { destination, ..scene.head6() }.packet(next, &octets)
}

fn first_fragment(scene: &mut Scene<'_>, destination: Ipv6Addr) {
    let identification = identification(scene);
    let packet = beginning(scene, destination, identification);
    scene.send6(&packet);
    let flow = to(scene, destination, proto::UDP).ports(ports(scene));
    let flow = flow.set("flowLabelIPv6", scene.label()).lengths(&[112]);
    let flow = flow.chain(proto::FRAGMENT, bit::FRA0, 8, true);
    scene.flow(flow.fragments(Fragments {
        identification,
        more: true,
        packets: 1,
        incomplete: 1,
        ..Fragments::default()
    }));
}

/// The TCP header stands at octet 16 of the datagram, behind Destination Options: at offset 2.
fn overlap(scene: &mut Scene<'_>) {
    const TAIL: usize = 20;
    scene.invalid("overlapping fragments (RFC 5722)");
    let identification = identification(scene);
    let segment = |scene: &Scene<'_>, port| {
        let what = Tcp { flags: flag::SYN, ..Tcp::default() };
        tcp(scene.ends6(), (scene.ports().0, port), what, &filler(12 + TAIL * 8))
    };
    let options = destination(&[1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let (next, whole) = chain(&[options], proto::TCP, &segment(scene, 80));
    scene.send_chain(&[fragment(identification, 0, true)], next, &whole[..48]);
    let other = segment(scene, 22);
    scene.send_chain(&[fragment(identification, 2, true)], next, &other[..32]);
    for number in 0..TAIL {
        let from = 48 + number * 8;
        let header = fragment(identification, from as u16 / 8, number + 1 < TAIL);
        scene.send_chain(&[header], next, &whole[from..from + 8]);
    }
    let flow = scene.flow6(proto::TCP).ports((scene.ports().0, 80)).tcp(flag::SYN);
    let flow = flow.chain(proto::FRAGMENT, bit::FRA0 | bit::FRA1 | bit::DST, 24, true);
    let mut lengths = vec![96, 80];
    lengths.extend([56; TAIL]);
    scene.flow(flow.lengths(&lengths).fragments(Fragments {
        identification,
        more: true,
        packets: 2 + TAIL as u32,
        overlaps: 1,
        smallest_offset: 2,
        rewritten: Some(22),
        ..Fragments::default()
    }));
}
