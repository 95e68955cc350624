//! What any network carries, in both directions: each direction is a flow.

use super::scene::{Scene, between, filler, proto};
use super::{Definition, case};
use crate::craft::checksum::Ends;
use crate::craft::header::{Head4, Head6};
use crate::craft::transport::{Ports, Tcp, flag, icmpv6, tcp, udp};
use crate::craft::truth::Flow;

pub(super) const CASES: &[Definition] = &[
    case("ordinary-dns", "RFC 1035", "a DNS question and its answer over IPv6", |scene| {
        let there = way(scene, 53);
        let messages = [(there, question()), (there.back(), answer())];
        for (way, message) in &messages {
            let upper = udp(way.ends(), way.ports, message);
            let packet = way.head(scene).packet(proto::UDP, &upper);
            scene.send6(&packet);
        }
        for (place, (way, _)) in messages.iter().enumerate() {
            let flow = way.flow(scene, proto::UDP).ports(way.ports);
            scene.flow_of(&[place], flow.lengths(&[[77], [105]][place]));
        }
    }),
    case("ordinary-web", "RFC 9293", "a TCP conversation to port 443 over IPv6", |scene| {
        let there = way(scene, 443);
        let both = flag::PSH | flag::ACK;
        let exchange = [
            (there, flag::SYN, 0),
            (there.back(), flag::SYN | flag::ACK, 0),
            (there, flag::ACK, 0),
            (there, both, 517),
            (there.back(), flag::ACK, 1388),
            (there.back(), both, 1200),
            (there, flag::ACK, 0),
            (there, flag::FIN | flag::ACK, 0),
            (there.back(), flag::FIN | flag::ACK, 0),
            (there, flag::ACK, 0),
        ];
        // What each side has sent so far: SYN and FIN take a number each.
        let mut sent = [0_u32; 2];
        for (way, flags, payload) in exchange {
            let side = usize::from(way.source != there.source);
            let acknowledgement = if flags & flag::ACK == 0 { 0 } else { sent[1 - side] };
            let what = Tcp { flags, sequence: sent[side], acknowledgement, options: &[] };
            sent[side] += payload as u32 + u32::from(flags & (flag::SYN | flag::FIN) != 0);
            let upper = tcp(way.ends(), way.ports, what, &filler(payload));
            let packet = way.head(scene).packet(proto::TCP, &upper);
            scene.send6(&packet);
        }
        let flow = there.flow(scene, proto::TCP).ports(there.ports).ends(3);
        let flow = flow.tcp(flag::SYN | both | flag::FIN).lengths(&[60, 60, 577, 60, 60, 60]);
        scene.flow_of(&[0, 2, 3, 6, 7, 9], flow);
        let flow = there.back().flow(scene, proto::TCP).ports(there.back().ports).ends(3);
        let flow = flow.tcp(flag::SYN | both | flag::FIN).lengths(&[60, 1448, 1260, 60]);
        scene.flow_of(&[1, 4, 5, 8], flow);
    }),
    case("ordinary-ping", "RFC 4443 section 4", "four echo requests and their replies", |scene| {
        let there = way(scene, 0);
        for sequence in 1..=4 {
            for (way, kind) in [(there, 128), (there.back(), 129)] {
                let body = [&[0x12, 0x34, 0, sequence], filler(56).as_slice()].concat();
                let upper = icmpv6(way.ends(), kind, 0, &body);
                let packet = way.head(scene).packet(proto::ICMPV6, &upper);
                scene.send6(&packet);
            }
        }
        for (places, way, kind) in [([0, 2, 4, 6], there, 128), ([1, 3, 5, 7], there.back(), 129)] {
            let flow = way.flow(scene, proto::ICMPV6).icmpv6(kind, 0);
            scene.flow_of(&places, flow.lengths(&[104; 4]));
        }
    }),
    case(
        "ordinary-quic",
        "RFC 9000",
        "QUIC-like UDP to port 443 over IPv6, one direction",
        |scene| {
            let there = way(scene, 443);
            let payloads = [1200, 1200, 300, 42, 42, 1252];
            for payload in payloads {
                let upper = udp(there.ends(), there.ports, &filler(payload));
                let packet = there.head(scene).packet(proto::UDP, &upper);
                scene.send6(&packet);
            }
            let flow = there.flow(scene, proto::UDP).ports(there.ports);
            scene.flow(flow.lengths(&payloads.map(|payload| 48 + payload as u64)));
        },
    ),
    case("ordinary-ntp-ipv4", "RFC 5905", "NTP over IPv4, question and answer", |scene| {
        let (source, destination) = (scene.source4(), scene.destination4());
        let ports = (scene.ports().0, 123);
        let ways = [(source, destination, ports), (destination, source, (123, ports.0))];
        for (source, destination, ports) in ways {
            let head = Head4 { source, destination, ..scene.head4() };
            let upper = udp(between(source, destination), ports, &filler(48));
            let packet = head.packet(proto::UDP, &[], &upper);
            scene.send4(&packet);
        }
        for (place, (source, destination, ports)) in ways.into_iter().enumerate() {
            let flow = Flow::new(source.into(), destination.into(), proto::UDP).ports(ports);
            scene.flow_of(&[place], flow.class_and_hops(0, 64).lengths(&[76]));
        }
    }),
];

/// A DNS query for the AAAA record of example.com: 29 octets.
fn question() -> Vec<u8> {
    let mut octets = vec![0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0];
    octets.extend(b"\x07example\x03com\0\0\x1c\0\x01");
    octets
}

/// Its answer, 2001:db8::1 for an hour: 57 octets.
fn answer() -> Vec<u8> {
    let mut octets = question();
    octets[2..4].copy_from_slice(&[0x81, 0x80]);
    octets[7] = 1;
    octets.extend([0xc0, 12, 0, 28, 0, 1, 0, 0, 14, 16, 0, 16]);
    octets.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    octets
}

/// One direction of a conversation between the case's IPv6 addresses.
#[derive(Clone, Copy)]
struct Way {
    source: std::net::Ipv6Addr,
    destination: std::net::Ipv6Addr,
    ports: Ports,
}

fn way(scene: &Scene<'_>, port: u16) -> Way {
    let ports = (scene.ports().0, port);
    Way { source: scene.address6(1), destination: scene.address6(2), ports }
}

impl Way {
    fn back(self) -> Self {
        let ports = (self.ports.1, self.ports.0);
        Self { source: self.destination, destination: self.source, ports }
    }

    fn ends(self) -> Ends {
        between(self.source, self.destination)
    }

    fn head(self, scene: &Scene<'_>) -> Head6 {
        Head6 { source: self.source, destination: self.destination, ..scene.head6() }
    }

    fn flow(self, scene: &Scene<'_>, protocol: u8) -> Flow {
        Flow::new(self.source.into(), self.destination.into(), protocol)
            .class_and_hops(0, 64)
            .set("flowLabelIPv6", scene.label())
    }
}
