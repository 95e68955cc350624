//! IPv4, as a control: an exporter that is wrong here is wrong for other reasons than IPv6.

use super::scene::{Scene, filler, proto};
use super::{Definition, case};
use crate::craft::header::Head4;
use crate::craft::transport::{Tcp, flag, icmp, tcp, udp};
use crate::craft::truth::Fragments;

const MORE: u16 = 0x2000;
const DO_NOT_FRAGMENT: u16 = 0x4000;

pub(super) const CASES: &[Definition] = &[
    case("ipv4-udp", "RFC 791", "UDP over IPv4, with a TOS octet", |scene| {
        for _ in 0..3 {
            let head = Head4 { tos: 0xb8, ..scene.head4() };
            let packet = head.packet(proto::UDP, &[], &datagram(scene, 32));
            scene.send4(&packet);
        }
        let flow = scene.flow4(proto::UDP).ports(scene.ports()).lengths(&[60; 3]);
        scene.flow(flow.set("ipClassOfService", 0xb8));
    }),
    case("ipv4-tcp", "RFC 791, RFC 9293", "TCP over IPv4 from SYN to FIN", |scene| {
        let all = [(flag::SYN, 0), (flag::PSH | flag::ACK, 100), (flag::FIN | flag::ACK, 0)];
        for ((flags, payload), sequence) in all.into_iter().zip([0, 1, 101]) {
            send_segment(scene, flags, sequence, payload);
        }
        let flags = flag::SYN | flag::PSH | flag::ACK | flag::FIN;
        let flow = scene.flow4(proto::TCP).ports(scene.ports()).tcp(flags);
        scene.flow(flow.lengths(&[40, 140, 40]).ends(3));
    }),
    case(
        "ipv4-padded-ack",
        "RFC 894",
        "a 40-octet ACK in a 60-octet frame: 40 octets, not 46",
        |scene| {
            scene.padding = 0xa5;
            for _ in 0..2 {
                send_segment(scene, flag::ACK, 1, 0);
            }
            let flow = scene.flow4(proto::TCP).ports(scene.ports()).tcp(flag::ACK);
            scene.flow(flow.lengths(&[40; 2]));
        },
    ),
    case(
        "ipv4-echo-request",
        "IANA IPFIX element 32",
        "ICMP: type and code are in icmpTypeCodeIPv4",
        |scene| {
            for sequence in 1..=2 {
                let body = [&[0x12, 0x34, 0, sequence], filler(56).as_slice()].concat();
                let packet = scene.head4().packet(proto::ICMP, &[], &icmp(8, 0, &body));
                scene.send4(&packet);
            }
            scene.flow(scene.flow4(proto::ICMP).icmp(8, 0).lengths(&[84; 2]));
        },
    ),
    case(
        "ipv4-options",
        "RFC 791 section 3.1, RFC 2113",
        "Router Alert and padding: ports are behind 28 octets of header",
        |scene| {
            let options = [148, 4, 0, 0, 1, 1, 1, 0];
            let packet = scene.head4().packet(proto::UDP, &options, &datagram(scene, 32));
            scene.send4(&packet);
            scene.send4(&packet);
            scene.flow(scene.flow4(proto::UDP).ports(scene.ports()).lengths(&[68; 2]));
        },
    ),
    case("ipv4-ttl-change", "IANA IPFIX elements 192, 52 and 53", "TTL 60, 64, 50", |scene| {
        for ttl in [60, 64, 50] {
            let packet =
                Head4 { ttl, ..scene.head4() }.packet(proto::UDP, &[], &datagram(scene, 32));
            scene.send4(&packet);
        }
        let flow = scene.flow4(proto::UDP).ports(scene.ports()).lengths(&[60; 3]);
        let flow = flow.set("ipTTL", 60).set("minimumTTL", 50).set("maximumTTL", 64);
        scene.flow(flow.set("sixtap:hopLimitDistinctCount", 3));
    }),
    case("ipv4-fragments-3", "RFC 791 section 3.2", "3 fragments in order", |scene| {
        fragments(scene, &[0, 1, 2], 0);
    }),
    case("ipv4-fragments-3-reversed", "RFC 791 section 3.2", "3 fragments, last first", |scene| {
        fragments(scene, &[2, 1, 0], 2);
    }),
    case(
        "ipv4-do-not-fragment",
        "RFC 791 section 3.1",
        "DF alone does not make a fragment",
        |scene| {
            let head = Head4 { fragment: DO_NOT_FRAGMENT, ..scene.head4() };
            let packet = head.packet(proto::UDP, &[], &datagram(scene, 32));
            scene.send4(&packet);
            scene.flow(scene.flow4(proto::UDP).ports(scene.ports()).lengths(&[60]));
        },
    ),
    case("ipv4-esp", "RFC 4303", "ESP over IPv4: no ports", |scene| {
        let upper = crate::craft::header::esp(0x4004, 1, 64);
        let packet = scene.head4().packet(proto::ESP, &[], &upper);
        scene.send4(&packet);
        scene.flow(scene.flow4(proto::ESP).set("IPSecSPI", 0x4004).lengths(&[92]));
    }),
];

fn datagram(scene: &Scene<'_>, payload: usize) -> Vec<u8> {
    udp(scene.ends4(), scene.ports(), &filler(payload))
}

fn send_segment(scene: &mut Scene<'_>, flags: u16, sequence: u32, payload: usize) {
    let what = Tcp { flags, sequence, ..Tcp::default() };
    let upper = tcp(scene.ends4(), scene.ports(), what, &filler(payload));
    let packet = scene.head4().packet(proto::TCP, &[], &upper);
    scene.send4(&packet);
}

/// A datagram of 120 octets in three parts, sent in this order.
fn fragments(scene: &mut Scene<'_>, order: &[usize], out_of_order: u32) {
    let octets = datagram(scene, 112);
    let parts = [(0, 48), (48, 96), (96, 120)];
    for part in order {
        let (from, to) = parts[*part];
        let more = if to == octets.len() { 0 } else { MORE };
        let head = Head4 { fragment: more | (from / 8) as u16, ..scene.head4() };
        let packet = head.packet(proto::UDP, &[], &octets[from..to]);
        scene.send4(&packet);
    }
    let lengths: Vec<u64> =
        order.iter().map(|part| 20 + (parts[*part].1 - parts[*part].0) as u64).collect();
    let first = parts[order[0]];
    let fragments = Fragments {
        identification: u32::from(scene.head4().identification),
        offset: (first.0 / 8) as u16,
        more: first.1 != octets.len(),
        packets: 3,
        out_of_order,
        smallest_offset: 6,
        ..Fragments::default()
    };
    let flow = scene.flow4(proto::UDP).ports(scene.ports()).lengths(&lengths);
    scene.flow(flow.fragments(fragments));
}
