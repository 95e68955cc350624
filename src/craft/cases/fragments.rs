//! Fragments of IPv6 packets: whose they are, in any order, whole or not, honest or not.

use super::scene::{Scene, between, filler, proto};
use super::{Definition, case};
use crate::craft::header::{Header, authentication, chain, destination, fragment, routing};
use crate::craft::transport::{Tcp, flag, icmpv6, tcp, udp};
use crate::craft::truth::{Flow, Fragments, bit};

/// Start and end of a fragment within the fragmentable part, and its M flag.
type Part = (usize, usize, bool);

const NOTHING: &[u8] = &[1, 4, 0, 0, 0, 0];

/// IPv6 header and Fragment header.
const HEADERS: u64 = 48;

const RULE: &str = "RFC 8200 section 4.5";

pub(super) const CASES: &[Definition] = &[
    case(
        "atomic-fragment",
        "RFC 6946 section 4",
        "offset 0, no more: a whole packet with a Fragment header, so its ports are there",
        |scene| {
            for number in 0..2 {
                let header = fragment(identification(scene) + number, 0, false);
                let upper = scene.udp6(32);
                scene.send_chain(&[header], proto::UDP, &upper);
            }
            let flow = scene.flow6(proto::UDP).ports(scene.ports()).lengths(&[88; 2]);
            let flow = flow.chain(proto::FRAGMENT, bit::FRA0, 8, true);
            let fragments = Fragments { packets: 2, atomic: 2, ..seen(scene) };
            scene.flow(flow.fragments(Fragments { more: false, ..fragments }));
        },
    ),
    case(
        "atomic-among-fragments",
        "RFC 6946 section 4",
        "an atomic fragment with the identification of a datagram that is not complete: no overlap",
        |scene| {
            send(scene, 0, &[(0, 64, true)]);
            let upper = scene.udp6(32);
            scene.send_chain(&[fragment(identification(scene), 0, false)], proto::UDP, &upper);
            send(scene, 0, &[(64, 120, false)]);
            let flow = common(scene).lengths(&[HEADERS + 64, HEADERS + 40, HEADERS + 56]);
            let fragments = Fragments { packets: 3, atomic: 1, smallest_offset: 8, ..seen(scene) };
            scene.flow(flow.fragments(fragments));
        },
    ),
    case("fragments-2", RULE, "2 fragments in order", |scene| {
        plain(scene, &[(0, 64, true), (64, 120, false)], Fragments::default());
    }),
    case("fragments-3", RULE, "3 fragments in order", |scene| {
        plain(scene, &[(0, 48, true), (48, 96, true), (96, 120, false)], Fragments::default());
    }),
    case("fragments-4", RULE, "4 fragments in order", |scene| {
        let parts = [(0, 32, true), (32, 64, true), (64, 96, true), (96, 120, false)];
        plain(scene, &parts, Fragments::default());
    }),
    case(
        "fragments-2-reversed",
        RULE,
        "2 fragments, the last first: it waits for its ports",
        |scene| {
            let what = Fragments { out_of_order: 1, ..Fragments::default() };
            plain(scene, &[(64, 120, false), (0, 64, true)], what);
        },
    ),
    case("fragments-3-mixed", RULE, "3 fragments: last, first, middle", |scene| {
        let what = Fragments { out_of_order: 2, ..Fragments::default() };
        plain(scene, &[(96, 120, false), (0, 48, true), (48, 96, true)], what);
    }),
    case("fragments-4-reversed", RULE, "4 fragments from the last to the first", |scene| {
        let what = Fragments { out_of_order: 3, ..Fragments::default() };
        let parts = [(96, 120, false), (64, 96, true), (32, 64, true), (0, 32, true)];
        plain(scene, &parts, what);
    }),
    case("fragments-last-missing", RULE, "the last of 3 never comes", |scene| {
        let what = Fragments { incomplete: 1, ..Fragments::default() };
        plain(scene, &[(0, 48, true), (48, 96, true)], what);
    }),
    case("fragments-middle-missing", RULE, "the middle of 3 never comes", |scene| {
        let what = Fragments { incomplete: 1, ..Fragments::default() };
        plain(scene, &[(0, 48, true), (96, 120, false)], what);
    }),
    case(
        "fragments-first-missing",
        RULE,
        "the first never comes: the flow has no ports, and none are made up",
        |scene| {
            send(scene, 0, &[(48, 96, true), (96, 120, false)]);
            let flow = scene.flow6(proto::UDP).lengths(&[HEADERS + 48, HEADERS + 24]);
            let flow = flow.chain(proto::FRAGMENT, bit::FRA1, 8, true);
            let fragments = Fragments {
                packets: 2,
                offset: 6,
                smallest_offset: 6,
                incomplete: 1,
                ..seen(scene)
            };
            scene.flow(flow.fragments(fragments));
        },
    ),
    case("fragments-duplicate", RULE, "the middle of 3 comes twice", |scene| {
        let what = Fragments { duplicates: 1, ..Fragments::default() };
        let parts = [(0, 48, true), (48, 96, true), (48, 96, true), (96, 120, false)];
        plain(scene, &parts, what);
    }),
    case(
        "overlap-same-octets",
        "RFC 5722 section 4",
        "8 octets twice, the same both times",
        |scene| {
            let what = Fragments { overlaps: 1, ..Fragments::default() };
            plain(scene, &[(0, 64, true), (56, 120, false)], what);
        },
    ),
    case(
        "overlap-other-octets",
        "RFC 5722 section 4",
        "8 octets twice, different: a host drops the packet, a meter counts what it saw",
        |scene| {
            scene.invalid("overlapping fragments (RFC 5722)");
            send(scene, 0, &[(0, 64, true)]);
            let mut octets = datagram(scene)[56..].to_vec();
            octets[..8].fill(0xee);
            scene.send_chain(&[fragment(identification(scene), 7, false)], proto::UDP, &octets);
            let flow = common(scene).lengths(&[HEADERS + 64, HEADERS + 64]);
            let fragments =
                Fragments { packets: 2, smallest_offset: 7, overlaps: 1, ..seen(scene) };
            scene.flow(flow.fragments(fragments));
        },
    ),
    case(
        "overlap-two-firsts",
        "RFC 5722 section 4",
        "a second first fragment with port 22 for port 80: the flow keeps the port that came first",
        |scene| {
            scene.invalid("overlapping fragments (RFC 5722)");
            let segment = |scene: &Scene<'_>, port| {
                let what = Tcp { flags: flag::ACK, ..Tcp::default() };
                tcp(scene.ends6(), (scene.ports().0, port), what, &filler(44))
            };
            let (honest, other) = (segment(scene, 80), segment(scene, 22));
            for (from, octets) in [(0, &honest[..32]), (0, &other[..32]), (32, &honest[32..])] {
                let header = fragment(identification(scene), from / 8, from == 0);
                scene.send_chain(&[header], proto::TCP, octets);
            }
            let flow = scene.flow6(proto::TCP).ports((scene.ports().0, 80)).tcp(flag::ACK);
            let flow = flow.chain(proto::FRAGMENT, bit::FRA0 | bit::FRA1, 8, true);
            let flow = flow.lengths(&[HEADERS + 32; 3]);
            let fragments = Fragments {
                packets: 3,
                smallest_offset: 4,
                overlaps: 1,
                rewritten: Some(22),
                ..seen(scene)
            };
            scene.flow(flow.fragments(fragments));
        },
    ),
    case(
        "tiny-first-fragment",
        "RFC 7112 section 5",
        "the first fragment ends inside Destination Options: no ports, the chain is not complete",
        |scene| {
            scene.invalid("the first fragment lacks the header chain (RFC 7112)");
            let options =
                destination(&[1, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            let (next, octets) = chain(&[options], proto::UDP, &scene.udp6(32));
            for (from, to, more) in [(0, 8, true), (8, 64, false)] {
                let header = fragment(identification(scene), from as u16 / 8, more);
                scene.send_chain(&[header], next, &octets[from..to]);
            }
            let flow = scene.flow6(proto::UDP).lengths(&[HEADERS + 8, HEADERS + 56]);
            let bits = bit::FRA0 | bit::FRA1 | bit::DST;
            let flow = flow.chain(proto::FRAGMENT, bits, 32, false);
            let fragments = Fragments { packets: 2, smallest_offset: 1, tiny: 1, ..seen(scene) };
            scene.flow(flow.fragments(fragments));
        },
    ),
    case(
        "offset-2048",
        RULE,
        "fragments at multiples of 2048 octets: the low octet of the offset is 0, they are not first",
        |scene| {
            let octets = scene.udp6(4096 + 92);
            for (from, to, more) in [
                (0, 1024, true),
                (1024, 2048, true),
                (2048, 3072, true),
                (3072, 4096, true),
                (4096, 4196, false),
            ] {
                let header = fragment(identification(scene), from as u16 / 8, more);
                scene.send_chain(&[header], proto::UDP, &octets[from..to]);
            }
            let long = HEADERS + 1024;
            let flow = common(scene).lengths(&[long, long, long, long, HEADERS + 100]);
            let fragments = Fragments { packets: 5, smallest_offset: 128, ..seen(scene) };
            scene.flow(flow.fragments(fragments));
        },
    ),
    case(
        "last-at-largest-offset",
        RULE,
        "a lone fragment at offset 8191, the largest that 13 bits hold",
        |scene| {
            scene.invalid("the datagram would be longer than 65535 octets");
            let header = fragment(identification(scene), 8191, false);
            scene.send_chain(&[header], proto::UDP, &filler(16));
            let flow = scene.flow6(proto::UDP).lengths(&[HEADERS + 16]);
            let flow = flow.chain(proto::FRAGMENT, bit::FRA1, 8, true);
            let fragments = Fragments {
                packets: 1,
                offset: 8191,
                more: false,
                smallest_offset: 8191,
                incomplete: 1,
                ..seen(scene)
            };
            scene.flow(flow.fragments(fragments));
        },
    ),
    case(
        "two-datagrams-interleaved",
        RULE,
        "two datagrams of one flow, fragment by fragment in turn",
        |scene| {
            for part in [(0, 64, true), (64, 120, false)] {
                send(scene, 0, &[part]);
                send(scene, 1, &[part]);
            }
            let lengths = [HEADERS + 64, HEADERS + 64, HEADERS + 56, HEADERS + 56];
            let fragments = Fragments { packets: 4, smallest_offset: 8, ..seen(scene) };
            scene.flow(common(scene).lengths(&lengths).fragments(fragments));
        },
    ),
    case(
        "identification-reused",
        RULE,
        "the same identification for the next datagram: no duplicates, a new datagram",
        |scene| {
            for _ in 0..2 {
                send(scene, 0, &[(0, 64, true), (64, 120, false)]);
            }
            let lengths = [HEADERS + 64, HEADERS + 56, HEADERS + 64, HEADERS + 56];
            let fragments = Fragments { packets: 4, smallest_offset: 8, ..seen(scene) };
            scene.flow(common(scene).lengths(&lengths).fragments(fragments));
        },
    ),
    case(
        "fragment-looks-like-options",
        RULE,
        "the later fragment names Destination Options and begins like one with UDP ports behind it",
        |scene| {
            let decoy = chain(&[destination(NOTHING)], proto::UDP, &fake_udp());
            let upper = udp(scene.ends6(), scene.ports(), &[filler(40), decoy.1].concat());
            let (next, octets) = chain(&[destination(NOTHING)], proto::UDP, &upper);
            for (from, to, more) in [(0, 56, true), (56, octets.len(), false)] {
                let header = fragment(identification(scene), from as u16 / 8, more);
                scene.send_chain(&[header], next, &octets[from..to]);
            }
            let flow = scene.flow6(proto::UDP).ports(scene.ports());
            let flow = flow.lengths(&[HEADERS + 56, HEADERS + 32]);
            let bits = bit::FRA0 | bit::FRA1 | bit::DST;
            let flow = flow.chain(proto::FRAGMENT, bits, 16, true);
            let fragments = Fragments { packets: 2, smallest_offset: 7, ..seen(scene) };
            scene.flow(flow.fragments(fragments));
        },
    ),
    case(
        "fragment-looks-like-options-alone",
        RULE,
        "the same later fragment without its first: protocol 60 as its header names it, no ports",
        |scene| {
            let decoy = chain(&[destination(NOTHING)], proto::UDP, &fake_udp());
            let header = fragment(identification(scene), 7, false);
            scene.send_chain(&[header], proto::DESTINATION, &decoy.1);
            let flow = scene.flow6(proto::DESTINATION).lengths(&[HEADERS + 32]);
            let flow = flow.chain(proto::FRAGMENT, bit::FRA1, 8, true);
            let fragments = Fragments {
                packets: 1,
                offset: 7,
                more: false,
                smallest_offset: 7,
                incomplete: 1,
                ..seen(scene)
            };
            scene.flow(flow.fragments(fragments));
        },
    ),
    case(
        "fragments-icmpv6",
        "IANA IPFIX element 139",
        "a long echo request in 2 fragments: type and code are those of the first",
        |scene| {
            let body = [&[0x12, 0x34, 0, 1], filler(112).as_slice()].concat();
            let octets = icmpv6(scene.ends6(), 128, 0, &body);
            for (from, to, more) in [(0, 64, true), (64, 120, false)] {
                let header = fragment(identification(scene), from as u16 / 8, more);
                scene.send_chain(&[header], proto::ICMPV6, &octets[from..to]);
            }
            let flow = scene.flow6(proto::ICMPV6).icmpv6(128, 0);
            let flow = flow.lengths(&[HEADERS + 64, HEADERS + 56]);
            let flow = flow.chain(proto::FRAGMENT, bit::FRA0 | bit::FRA1, 8, true);
            let fragments = Fragments { packets: 2, smallest_offset: 8, ..seen(scene) };
            scene.flow(flow.fragments(fragments));
        },
    ),
    case(
        "fragments-and-whole-packets",
        RULE,
        "whole packets and fragments of one flow: one record",
        |scene| {
            let upper = scene.udp6(32);
            scene.send_chain(&[], proto::UDP, &upper);
            send(scene, 0, &[(0, 64, true), (64, 120, false)]);
            scene.send_chain(&[], proto::UDP, &upper);
            let flow = common(scene).lengths(&[80, HEADERS + 64, HEADERS + 56, 80]);
            let flow = flow.set("nextHeaderIPv6", proto::UDP);
            let fragments = Fragments { packets: 2, smallest_offset: 8, ..seen(scene) };
            scene.flow(flow.fragments(fragments));
        },
    ),
    case(
        "long-chain-in-fragments",
        "RFC 8200 section 4.1",
        "Destination Options, Routing, Fragment, AH, Destination Options, TCP, in 2 fragments",
        |scene| {
            let home = scene.address6(7);
            let mut route = vec![0; 4];
            route.extend(home.octets());
            let what = Tcp { flags: flag::PSH | flag::ACK, ..Tcp::default() };
            let segment = tcp(between(scene.address6(1), home), scene.ports(), what, &filler(60));
            let inside = [authentication(0x1001, 12), destination(NOTHING)];
            let (next, octets) = chain(&inside, proto::TCP, &segment);
            for (from, to, more) in [(0, 64, true), (64, 112, false)] {
                let before: [Header; 3] = [
                    destination(NOTHING),
                    routing(2, 1, &route),
                    fragment(identification(scene), from as u16 / 8, more),
                ];
                scene.send_chain(&before, next, &octets[from..to]);
            }
            let flow = scene.flow6(proto::TCP).ports(scene.ports()).tcp(flag::PSH | flag::ACK);
            let bits = bit::DST | bit::RH | bit::FRA0 | bit::FRA1 | bit::AH;
            let flow = flow.chain(proto::DESTINATION, bits, 72, true).set("IPSecSPI", 0x1001);
            let fragments = Fragments { packets: 2, smallest_offset: 8, ..seen(scene) };
            scene.flow(flow.lengths(&[144, 128]).fragments(fragments));
        },
    ),
];

fn identification(scene: &Scene<'_>) -> u32 {
    0x1000_0000 | scene.label()
}

/// The first fragment counted is, unless said otherwise, a first one.
fn seen(scene: &Scene<'_>) -> Fragments {
    Fragments { identification: identification(scene), more: true, ..Fragments::default() }
}

/// The datagram that most cases cut up: UDP, 120 octets.
fn datagram(scene: &Scene<'_>) -> Vec<u8> {
    scene.udp6(112)
}

/// Its flow when a first fragment and a later one are seen.
fn common(scene: &Scene<'_>) -> Flow {
    let flow = scene.flow6(proto::UDP).ports(scene.ports());
    flow.chain(proto::FRAGMENT, bit::FRA0 | bit::FRA1, 8, true)
}

/// Sends parts of the datagram with the case's identification plus `number`.
fn send(scene: &mut Scene<'_>, number: u32, parts: &[Part]) {
    let octets = datagram(scene);
    for (from, to, more) in parts {
        let header = fragment(identification(scene) + number, *from as u16 / 8, *more);
        scene.send_chain(&[header], proto::UDP, &octets[*from..*to]);
    }
}

/// Parts of the datagram, and what is special about them.
fn plain(scene: &mut Scene<'_>, parts: &[Part], what: Fragments) {
    send(scene, 0, parts);
    let lengths: Vec<u64> =
        parts.iter().map(|(from, to, _)| HEADERS + (to - from) as u64).collect();
    let offsets = parts.iter().map(|(from, _, _)| *from as u16 / 8);
    let (first, _, more) = parts[0];
    let fragments = Fragments {
        identification: identification(scene),
        offset: first as u16 / 8,
        more,
        packets: parts.len() as u32,
        smallest_offset: offsets.filter(|offset| *offset != 0).min().unwrap_or(0),
        ..what
    };
    scene.flow(common(scene).lengths(&lengths).fragments(fragments));
}

/// 24 octets that read like UDP to port 53.
fn fake_udp() -> Vec<u8> {
    let mut octets = vec![0x80, 0x00, 0x00, 0x35, 0, 24, 0, 0];
    octets.extend(filler(16));
    octets
}
