//! Every rule with a stream that breaks it and one that does not.

use super::RULES;
use crate::collect::{Checksum, Protocol};
use crate::validate::Severity;
use crate::validate::builder::{EXPORT, Spec, Stream, flow, flows, v4, v6, with, without};

type Values = [(u16, u128)];

struct Case {
    rule: &'static str,
    breaks: fn() -> Stream,
    keeps: fn() -> Stream,
}

const fn case(rule: &'static str, breaks: fn() -> Stream, keeps: fn() -> Stream) -> Case {
    Case { rule, breaks, keeps }
}

/// A stream without a fault.
fn good() -> Stream {
    let mut stream = Stream::new();
    stream.template(256, &v6()).template(257, &v4()).send();
    for port in 0..30 {
        let ports = [(7, 40_000 + port), (31, 0x1_2345 + port * 0x1111)];
        stream.records(256, &[&ports]).record(257, &[(7, 50_000 + port)]).send().pass(1);
    }
    stream
}

/// A stream built step by step.
fn built(steps: impl FnOnce(&mut Stream)) -> Stream {
    let mut stream = Stream::new();
    steps(&mut stream);
    stream
}

fn file(steps: impl FnOnce(&mut Stream)) -> Stream {
    let mut stream = Stream::over(Protocol::File);
    steps(&mut stream);
    stream
}

fn netflow9(steps: impl FnOnce(&mut Stream)) -> Stream {
    let mut stream = Stream::netflow9();
    steps(&mut stream);
    stream
}

/// An IPv6 flow with these values.
fn one(values: &Values) -> Stream {
    flow(&v6(), values)
}

/// An IPv6 flow with further elements.
fn more(fields: &[(u16, u16)], values: &Values) -> Stream {
    flow(&with(v6(), fields), values)
}

/// An IPv6 flow without some elements.
fn less(ids: &[u16], values: &Values) -> Stream {
    flow(&without(v6(), ids), values)
}

/// An IPv6 flow with an element of another length, or another element in place of some.
fn instead(ids: &[u16], fields: &[(u16, u16)], values: &Values) -> Stream {
    flow(&with(without(v6(), ids), fields), values)
}

/// `count` IPv6 flows from different ports.
fn many(count: u32, values: impl Fn(u128) -> Vec<(u16, u128)>) -> Stream {
    many_of(&v6(), count, values)
}

fn many_of(specs: &[Spec], count: u32, values: impl Fn(u128) -> Vec<(u16, u128)>) -> Stream {
    flows(specs, count, |n| {
        let mut values = values(u128::from(n));
        values.push((7, 1000 + u128::from(n)));
        values
    })
}

const OWN: Spec = (0, 149, 4);
const THREE: &[&Values] = &[&[(7, 1)], &[(7, 2)], &[(7, 3)]];
/// NTP timestamp two seconds before the message.
const NTP: u128 = (EXPORT as u128 - 2 + 2_208_988_800) << 32;
const ICMP: [(u16, u128); 4] = [(4, 58), (6, 0), (7, 0), (11, 0)];

/// ICMPv6 with these values besides.
fn icmp(values: &Values) -> Vec<(u16, u128)> {
    let mut all = values.to_vec();
    all.extend(ICMP);
    all
}

/// Ten messages of three records each, with the sequence numbers told.
fn numbered(number: impl Fn(u32) -> u32) -> Stream {
    built(|s| {
        s.template(256, &v6()).send();
        for n in 0..10 {
            s.forced = Some(number(n));
            s.records(256, THREE).send();
        }
    })
}

/// One options record with these fields behind its scope.
fn options(fields: &[(u16, u16)], values: &Values) -> Stream {
    built(|s| {
        let mut specs = vec![OWN];
        specs.extend(fields.iter().map(|&(id, length)| (0, id, length)));
        s.options(300, 1, &specs).record(300, values).send();
    })
}

/// A record of a template with one variable-length field behind a counter.
fn variable(id: u16, field: &[u8]) -> Stream {
    built(|s| {
        let mut octets = vec![0, 0, 0, 0, 0, 0, 0, 1];
        octets.extend(field);
        s.template(256, &[(0, 1, 8), (0, id, 65535)]).data(256, &octets, 1).send();
    })
}

/// A record with reverse counters; the last octet of the reverse packet count is `packets`.
fn biflow(packets: u8) -> Stream {
    built(|s| {
        let mut specs = v6();
        specs.extend([(29305, 1, 8), (29305, 2, 8)]);
        s.template(256, &specs);
        let mut octets = s.octets(256, &[]);
        let at = octets.len() - 8;
        octets[at..].fill(0);
        octets[at + 7] = packets;
        s.data(256, &octets, 1).send();
    })
}

/// Records of one flow that start together, with these counts.
fn continued(count: impl Fn(u128) -> u128) -> Stream {
    built(|s| {
        s.template(256, &v6()).send();
        for n in 1..20 {
            let count = count(n);
            s.pass(10)
                .record(256, &[(152, 1_699_999_000_000), (2, count), (1, 100 * count), (136, 2)])
                .send();
        }
    })
}

fn totals(count: impl Fn(u128) -> u128) -> Stream {
    built(|s| {
        s.template(256, &with(without(v6(), &[1, 2]), &[(85, 8), (86, 8)])).send();
        for n in 1..9 {
            s.pass(20).record(256, &[(86, 10 * count(n)), (85, 1000 * count(n))]).send();
        }
    })
}

fn acknowledgements(specs: &[Spec], octets: u128) -> Stream {
    many_of(specs, 40, |_| vec![(2, 1), (6, 0x10), (136, 1), (1, octets)])
}

fn classes(class: impl Fn(u128) -> u128) -> Stream {
    built(|s| {
        s.template(256, &v6()).template(257, &v4()).send();
        for n in 0..1100 {
            s.record(256, &[(7, n), (5, class(n))]).record(257, &[(7, n), (5, 0xb8)]).send();
        }
    })
}

fn two_octet_flags(values: &Values) -> Stream {
    instead(&[6], &[(6, 2)], values)
}

/// A record with padding behind it.
fn padded(padding: impl Fn(usize) -> Vec<u8>) -> Stream {
    built(|s| {
        s.template(256, &v6());
        let mut octets = s.octets(256, &[]);
        octets.extend(padding(octets.len()));
        s.data(256, &octets, 1).send();
    })
}

fn statistics(first: u128, last: u128) -> Stream {
    built(|s| {
        let total = |value| [(41, value)];
        s.template(256, &v6())
            .options(300, 1, &[OWN, (0, 41, 8)])
            .record(300, &total(first))
            .send();
        for n in 0..50 {
            s.record(256, &[(7, n)]).send();
        }
        s.record(300, &total(last)).send();
    })
}

fn flow_keys(bits: u128) -> Stream {
    built(|s| {
        s.template(256, &v6()).options(300, 1, &[(0, 145, 2), (0, 173, 8)]);
        s.record(300, &[(145, 256), (173, bits)]).send();
    })
}

fn netflow5(octets: [u8; 4]) -> Stream {
    built(|s| {
        let mut datagram = octets.to_vec();
        datagram.resize(24 + 48, 1);
        s.send().messages[0].1 = datagram;
    })
}

const SESSION: &[Case] = &[
    case(
        "MSG-LENGTH",
        || {
            built(|s| {
                s.template(256, &v6()).send_as(500);
            })
        },
        good,
    ),
    case(
        "MSG-VERSION",
        || {
            built(|s| {
                s.version = 77;
                s.template(256, &v6()).send();
            })
        },
        good,
    ),
    case(
        "MSG-SET-OVERRUN",
        || {
            built(|s| {
                s.template(256, &v6()).set_of(256, 400, &[0; 8]).send();
            })
        },
        good,
    ),
    case(
        "MSG-SET-SHORT",
        || {
            built(|s| {
                s.template(256, &v6()).set_of(256, 3, &[0; 8]).send();
            })
        },
        good,
    ),
    case(
        "MSG-TRAILING",
        || {
            built(|s| {
                s.template(256, &v6()).raw(&[1, 2]).send();
            })
        },
        good,
    ),
    case(
        "MSG-SET-EMPTY",
        || {
            built(|s| {
                s.template(256, &v6()).set(256, &[]).send();
            })
        },
        good,
    ),
    case(
        "MSG-EMPTY",
        || {
            built(|s| {
                s.send();
            })
        },
        good,
    ),
    case(
        "MSG-SET-RESERVED",
        || {
            built(|s| {
                s.set(77, &[0; 8]).send();
            })
        },
        good,
    ),
    case(
        "MSG-SET-NETFLOW",
        || {
            built(|s| {
                s.set(0, &[1, 0, 0, 1, 0, 1, 0, 8]).send();
            })
        },
        good,
    ),
    case("MSG-PADDING-NONZERO", || padded(|_| vec![0, 7]), || padded(|_| vec![0, 0])),
    case("MSG-PADDING-LONG", || padded(|record| vec![0; record + 3]), || padded(|_| vec![0; 3])),
    case(
        "MSG-FRAGMENTED",
        || {
            built(|s| {
                s.fragmented = true;
                s.template(256, &v6()).send();
            })
        },
        good,
    ),
    case(
        "MSG-CHECKSUM-ZERO",
        || {
            built(|s| {
                s.checksum = Checksum::Zero;
                s.template(256, &v6()).send();
            })
        },
        good,
    ),
    case(
        "MSG-EXPORT-TIME",
        || {
            built(|s| {
                s.export = 3600;
                s.template(256, &[OWN]).send();
            })
        },
        good,
    ),
    case(
        "MSG-CLOCK-OFFSET",
        || {
            built(|s| {
                s.late = 7200;
                s.template(256, &v6()).send();
            })
        },
        || {
            built(|s| {
                s.late = 600;
                s.template(256, &v6()).send();
            })
        },
    ),
    case(
        "MSG-EXPORT-TIME-BACKWARDS",
        || {
            built(|s| {
                s.template(256, &v6()).record(256, &[]).send();
                s.export -= 5;
                s.record(256, &[(7, 1)]).send();
            })
        },
        good,
    ),
    case(
        "MSG-HEADER-SWAPPED",
        || {
            built(|s| {
                s.export = 10;
                s.forced = Some(EXPORT);
                s.template(256, &[OWN]).send();
            })
        },
        good,
    ),
    case(
        "MSG-DOMAIN-ZERO",
        || {
            built(|s| {
                s.domain = 0;
                s.template(256, &v6()).record(256, &[]).send();
            })
        },
        good,
    ),
    case("SEQ-COUNTS-MESSAGES", || numbered(|n| n + 1), good),
    case(
        "SEQ-COUNTS-TEMPLATES",
        || {
            built(|s| {
                for n in 0..10 {
                    s.forced = Some(n * 4);
                    s.template(256, &v6()).records(256, THREE).send();
                }
            })
        },
        good,
    ),
    case(
        "SEQ-OPTIONS-NOT-COUNTED",
        || {
            built(|s| {
                s.template(256, &v6()).options(300, 1, &[OWN, (0, 34, 4)]).send();
                for n in 0..10 {
                    s.forced = Some(n * 3);
                    s.records(256, THREE).record(300, &[]).send();
                }
            })
        },
        || {
            built(|s| {
                s.template(256, &v6()).options(300, 1, &[OWN, (0, 34, 4)]).send();
                for _ in 0..10 {
                    s.records(256, THREE).record(300, &[]).send();
                }
            })
        },
    ),
    case(
        "SEQ-COUNTS-SETS",
        || {
            built(|s| {
                s.template(256, &v6()).send();
                for n in 0..10 {
                    s.forced = Some(n * 2);
                    s.records(256, THREE).records(256, THREE).send();
                }
            })
        },
        good,
    ),
    case(
        "SEQ-COUNTS-OCTETS",
        || {
            built(|s| {
                s.template(256, &v6()).send();
                for _ in 0..10 {
                    s.forced = Some(s.messages.iter().map(|message| message.1.len() as u32).sum());
                    s.records(256, THREE).send();
                }
            })
        },
        good,
    ),
    case("SEQ-CONSTANT", || numbered(|_| 7), good),
    case(
        "SEQ-ACROSS-DOMAINS",
        || {
            built(|s| {
                for n in 0..20 {
                    s.domain = 1 + n % 2;
                    s.forced = Some(n * 3);
                    s.template(256, &v6()).records(256, THREE).send();
                }
            })
        },
        || {
            built(|s| {
                for n in 0..20 {
                    s.domain = 1 + n % 2;
                    s.template(256, &v6()).records(256, THREE).send();
                }
            })
        },
    ),
    case("SEQ-WRONG", || numbered(|n| n * n * 17 % 101), good),
    case(
        "SEQ-GAP",
        || {
            built(|s| {
                s.template(256, &v6()).send();
                for n in 0..10 {
                    s.skew = if n < 5 { 0 } else { 40 };
                    s.record(256, &[(7, n)]).send();
                }
            })
        },
        good,
    ),
    case(
        "SEQ-BACKWARDS",
        || {
            built(|s| {
                s.template(256, &v6()).send();
                for n in 0..10 {
                    s.record(256, &[(7, n)]).send();
                }
                s.messages.swap(4, 5);
            })
        },
        good,
    ),
];

const TEMPLATES: &[Case] = &[
    case(
        "TPL-ID-RESERVED",
        || {
            built(|s| {
                s.template(77, &v6()).send();
            })
        },
        good,
    ),
    case(
        "TPL-MALFORMED",
        || {
            built(|s| {
                s.set(2, &[1, 0, 0, 9, 0, 1, 0, 8]).send();
            })
        },
        good,
    ),
    case(
        "TPL-SCOPE-COUNT",
        || {
            built(|s| {
                s.options(300, 5, &[OWN, (0, 41, 8)]).send();
            })
        },
        || {
            built(|s| {
                s.options(300, 1, &[OWN, (0, 41, 8)]).send();
            })
        },
    ),
    case(
        "TPL-ENTERPRISE-ZERO",
        || {
            built(|s| {
                s.set(2, &[1, 0, 0, 1, 0x80, 1, 0, 8, 0, 0, 0, 0]).send();
            })
        },
        || flow(&[(9, 1, 8), (0, 2, 8)], &[]),
    ),
    case(
        "TPL-CHANGED",
        || {
            built(|s| {
                s.template(256, &v6()).send().pass(60).template(256, &v4()).send();
            })
        },
        || {
            built(|s| {
                s.template(256, &v6()).send().pass(60).template(256, &v6()).send();
            })
        },
    ),
    case(
        "TPL-ALTERNATES",
        || {
            built(|s| {
                for n in 0..6 {
                    s.template(256, &if n % 2 == 0 { v6() } else { v4() }).send().pass(10);
                }
            })
        },
        || {
            built(|s| {
                s.template(256, &v6()).send().pass(60).template(256, &v4()).send();
            })
        },
    ),
    case(
        "TPL-RESENT",
        || {
            file(|s| {
                s.template(256, &v6()).send().template(256, &v6()).send();
            })
        },
        || {
            built(|s| {
                s.template(256, &v6()).send().template(256, &v6()).send();
            })
        },
    ),
    case(
        "TPL-LATE",
        || {
            built(|s| {
                s.template(256, &v6());
                let record = s.octets(256, &[]);
                s.send().messages.clear();
                s.data(256, &record, 1).send().template(256, &v6()).send();
            })
        },
        good,
    ),
    case(
        "TPL-MISSING",
        || {
            built(|s| {
                s.data(256, &[1; 40], 1).send();
            })
        },
        good,
    ),
    case(
        "TPL-OTHER-SESSION",
        || {
            built(|s| {
                s.template(256, &v6()).send();
                s.port += 1;
                s.record(256, &[]).send();
            })
        },
        good,
    ),
    case(
        "TPL-NOT-REFRESHED",
        || {
            built(|s| {
                s.template(256, &v6()).send();
                for n in 0..40 {
                    s.record(256, &[(7, n)]).send().pass(60);
                }
            })
        },
        || {
            built(|s| {
                for n in 0..40 {
                    s.template(256, &v6()).record(256, &[(7, n)]).send().pass(60);
                }
            })
        },
    ),
    case(
        "TPL-WITHDRAWN-UDP",
        || {
            built(|s| {
                s.template(256, &v6()).send().set(2, &[1, 0, 0, 0]).send();
            })
        },
        || {
            file(|s| {
                s.template(256, &v6()).send().set(2, &[1, 0, 0, 0]).send();
            })
        },
    ),
    case(
        "TPL-WITHDRAWN-UNKNOWN",
        || {
            file(|s| {
                s.set(2, &[1, 0, 0, 0]).send();
            })
        },
        || {
            file(|s| {
                s.template(256, &v6()).send().set(2, &[1, 0, 0, 0]).send();
            })
        },
    ),
    case(
        "TPL-DATA-AFTER-WITHDRAWAL",
        || {
            file(|s| {
                s.template(256, &v6()).send().set(2, &[1, 0, 0, 0]).send().record(256, &[]).send();
            })
        },
        || {
            file(|s| {
                s.template(256, &v6()).record(256, &[]).send().set(2, &[1, 0, 0, 0]).send();
            })
        },
    ),
    case("TPL-UNASSIGNED", || more(&[(600, 4)], &[]), || more(&[(10, 4)], &[])),
    case(
        "TPL-NETFLOW-ONLY",
        || more(&[(105, 4)], &[]),
        || {
            netflow9(|s| {
                s.template(256, &with(v6(), &[(105, 4)])).send();
            })
        },
    ),
    case("TPL-DEPRECATED", || more(&[(84, 1)], &[]), good),
    case("TPL-ELEMENT-TWICE", || more(&[(1, 8)], &[]), || more(&[(210, 1), (210, 1)], &[])),
    case("TPL-MIXED-FAMILIES", || more(&[(8, 4), (12, 4)], &[]), good),
    case(
        "TPL-NOT-REVERSIBLE",
        || {
            built(|s| {
                s.template(256, &[(0, 27, 16), (29305, 148, 8)]).send();
            })
        },
        || {
            built(|s| {
                s.template(256, &[(0, 27, 16), (29305, 2, 8)]).send();
            })
        },
    ),
    case("TPL-REVERSE-WITHOUT-KEY", || flow(&[(0, 1, 8), (29305, 1, 8)], &[]), || biflow(1)),
    case("TPL-LENGTH-ZERO", || more(&[(10, 0)], &[]), || more(&[(10, 4)], &[])),
    case("TPL-NO-TIME", || less(&[152, 153], &[]), good),
    case("TPL-POST-MAC", || more(&[(56, 6), (57, 6)], &[]), || more(&[(56, 6), (80, 6)], &[])),
    case("ENC-TOO-LONG", || more(&[(10, 8)], &[]), || more(&[(10, 4)], &[])),
    case("ENC-REDUCED-FORBIDDEN", || instead(&[152], &[(152, 4)], &[]), || more(&[(10, 2)], &[])),
    case("V6-NO-PROTOCOL", || less(&[4], &[]), good),
    case("V6-LABEL-ABSENT", || less(&[31], &[]), good),
    case("V6-FRAGMENT-ID-SHORT", || more(&[(54, 2)], &[]), || more(&[(54, 4)], &[])),
    case(
        "V6-EH515-AND-516",
        || {
            built(|s| {
                s.template(256, &with(v6(), &[(515, 2), (516, 65535)])).send();
            })
        },
        || more(&[(515, 2), (517, 1)], &[(517, 1)]),
    ),
    case(
        "V6-EH515-NO-LIMIT",
        || more(&[(515, 2)], &[]),
        || more(&[(515, 2), (517, 1)], &[(517, 1)]),
    ),
    case("V6-IPV4-ELEMENTS", || more(&[(190, 2)], &[]), || more(&[(191, 2)], &[])),
];

const ENCODING: &[Case] = &[
    case("ENC-VARIABLE-LENGTH", || variable(82, &[200, b'a']), || variable(82, &[1, b'a'])),
    case(
        "ENC-LIST",
        || variable(291, &[6, 3, 2, 9, 0, 2, 1]),
        || variable(291, &[7, 3, 2, 9, 0, 2, 1, 1]),
    ),
    case(
        "ENC-LIST-TEMPLATE",
        || variable(292, &[5, 4, 1, 44, 60, 1]),
        || {
            built(|s| {
                s.template(300, &[(0, 513, 1), (0, 514, 1)])
                    .template(256, &[(0, 1, 8), (0, 292, 65535)]);
                s.data(256, &[0, 0, 0, 0, 0, 0, 0, 1, 5, 4, 1, 44, 60, 1], 1).send();
            })
        },
    ),
    case("ENC-BOOLEAN", || more(&[(388, 1)], &[(388, 0)]), || more(&[(388, 1)], &[(388, 2)])),
    case("ENC-RANGE", || more(&[(29, 1)], &[(29, 129)]), || more(&[(29, 1)], &[(29, 64)])),
    case("ENC-UTF8", || more(&[(82, 2)], &[(82, 0xc328)]), || more(&[(82, 2)], &[(82, 0x6162)])),
    case(
        "ENC-STRING-NUL",
        || more(&[(82, 4)], &[(82, 0x6162_0000)]),
        || more(&[(82, 4)], &[(82, 0x6162_6364)]),
    ),
    case(
        "ENC-PADDING-OCTETS",
        || more(&[(210, 2)], &[(210, 1)]),
        || more(&[(210, 2)], &[(210, 0)]),
    ),
    case(
        "ENC-COUNTER-SATURATED",
        || instead(&[1], &[(1, 4)], &[(1, 0xffff_ffff)]),
        || instead(&[1], &[(1, 4)], &[]),
    ),
    case("ENC-ORDER-ETHERTYPE", || more(&[(256, 2)], &[(256, 0xdd86)]), || more(&[(256, 2)], &[])),
    case("ENC-ORDER-PORTS", || many(40, |_| vec![(11, 0xbb01)]), || many(40, |_| vec![(11, 443)])),
    case(
        "ENC-ORDER-COUNTERS",
        || many(40, |n| vec![(2, (n + 1) << 56)]),
        || many(40, |_| vec![(2, 3)]),
    ),
    case("ENC-VLAN-RANGE", || more(&[(58, 2)], &[(58, 0x2064)]), || more(&[(58, 2)], &[(58, 100)])),
    case(
        "ENC-MICROSECOND-BITS",
        || {
            instead(
                &[152, 153],
                &[(154, 8), (155, 8)],
                &[(154, NTP | 0x7001), (155, NTP | 0x9000_0001)],
            )
        },
        || {
            instead(
                &[152, 153],
                &[(154, 8), (155, 8)],
                &[(154, NTP | 0x7000), (155, NTP | 0x9000_0000)],
            )
        },
    ),
];

const IPV6: &[Case] = &[
    case(
        "V6-ICMP-IN-IE32",
        || instead(&[139], &[(32, 2)], &icmp(&[(32, 0x8700)])),
        || more(&[(32, 2)], &icmp(&[(139, 0x8700)])),
    ),
    case(
        "V6-ICMP-IN-PORT",
        || less(&[139], &[(4, 58), (6, 0), (7, 0), (11, 0x8700)]),
        || one(&icmp(&[(139, 0x8700)])),
    ),
    case("V6-ICMP-SWAPPED", || one(&icmp(&[(139, 0x0087)])), || one(&icmp(&[(139, 0x0104)]))),
    case("V6-ICMP-ABSENT", || less(&[139], &ICMP), || one(&icmp(&[(139, 0x8700)]))),
    case(
        "V6-PROTOCOL-IS-EXTENSION",
        || one(&[(4, 60), (6, 0), (7, 0), (11, 0)]),
        || more(&[(517, 1)], &[(4, 60), (6, 0), (7, 0), (11, 0), (517, 2)]),
    ),
    case("V6-PROTOCOL-IS-FRAGMENT", || one(&[(4, 44), (6, 0), (7, 0), (11, 0)]), good),
    case(
        "V6-CHAIN-STOPS",
        || one(&[(4, 51), (6, 0), (7, 0), (11, 0)]),
        || one(&[(4, 50), (6, 0), (7, 0), (11, 0)]),
    ),
    case("V6-LABEL-RANGE", || one(&[(31, 0x81_2345)]), good),
    case("V6-LABEL-ZERO", || many(1100, |_| vec![(31, 0)]), || many(1100, |_| vec![])),
    case(
        "V6-LABEL-TRUNCATED",
        || many(300, |n| vec![(31, n * 211 % 0xffff + 1)]),
        || many(300, |n| vec![(31, n * 3301 % 0xf_ffff + 1)]),
    ),
    case("V6-CLASS-ZERO", || classes(|_| 0), || classes(|n| 0xb8 * (n & 1))),
    case(
        "V6-CLASS-IS-DSCP",
        || more(&[(195, 1)], &[(5, 46), (195, 46)]),
        || more(&[(195, 1)], &[(5, 0xb8), (195, 46)]),
    ),
    case(
        "V6-HOP-LIMIT-ORDER",
        || more(&[(52, 1), (53, 1)], &[(52, 64), (53, 60), (192, 64)]),
        || more(&[(52, 1), (53, 1)], &[(52, 50), (53, 64), (192, 60)]),
    ),
    case(
        "V6-FRAGMENT-OFFSET-RANGE",
        || more(&[(88, 2)], &[(88, 11_840)]),
        || more(&[(88, 2)], &[(88, 1480)]),
    ),
    case(
        "V6-FRAGMENT-PORTS",
        || more(&[(88, 2)], &[(88, 181), (2, 1)]),
        || more(&[(88, 2)], &[(88, 181), (2, 1), (7, 0), (11, 0)]),
    ),
    case(
        "V6-FRAGMENT-DF",
        || more(&[(197, 1)], &[(197, 0x40)]),
        || more(&[(197, 1)], &[(197, 0x20)]),
    ),
    case("V6-VERSION-MISMATCH", || more(&[(60, 1)], &[(60, 4)]), || more(&[(60, 1)], &[])),
    case("V6-MAPPED-ADDRESS", || one(&[(27, 0xffff_c000_0201), (28, 0xffff_c000_0202)]), good),
    case(
        "V6-EH64-NUMBERING",
        || more(&[(64, 4), (193, 1)], &[(64, 0x40), (193, 0)]),
        || more(&[(64, 4), (193, 1)], &[(64, 2), (193, 0)]),
    ),
    case(
        "V6-EH515-BITS",
        || more(&[(515, 4), (517, 1)], &[(515, 0x0200_0000), (517, 1)]),
        || more(&[(515, 4), (517, 1)], &[(515, 2), (517, 1)]),
    ),
    case(
        "V6-EH515-CONTRADICTS",
        || more(&[(515, 2), (517, 1), (193, 1)], &[(515, 1), (193, 0), (517, 1)]),
        || more(&[(515, 2), (517, 1), (193, 1)], &[(515, 3), (193, 0), (517, 1)]),
    ),
    case("V6-HEADER-LENGTH", || more(&[(189, 1)], &[(189, 48)]), || more(&[(189, 1)], &[])),
    case(
        "V6-PREFIX-ADDRESS",
        || more(&[(170, 16), (29, 1)], &[(29, 64)]),
        || more(&[(170, 16), (29, 1)], &[(29, 64), (170, 0x2001_0db8 << 96)]),
    ),
    case(
        "V6-MULTICAST-FLAG",
        || more(&[(206, 1)], &[(206, 0), (28, 0xff02 << 112 | 1)]),
        || more(&[(206, 1)], &[(206, 0x20), (28, 0xff02 << 112 | 1)]),
    ),
    case(
        "V6-TUNNEL-PORTS",
        || one(&[(4, 41), (6, 0)]),
        || one(&[(4, 41), (6, 0), (7, 0), (11, 0)]),
    ),
    case("V6-PORTS-WITHOUT-TRANSPORT", || one(&[(4, 59), (6, 0)]), || one(&[(4, 17), (6, 0)])),
];

const COUNTERS: &[Case] = &[
    case("CNT-ZERO", || one(&[(1, 0), (2, 0)]), good),
    case("CNT-TOO-SMALL", || one(&[(1, 399), (2, 10)]), || one(&[(1, 400), (2, 10)])),
    case("CNT-TOO-BIG", || one(&[(1, 70_000), (2, 1)]), || one(&[(1, 65_575), (2, 1)])),
    case(
        "CNT-MIN-MAX",
        || more(&[(25, 8), (26, 8)], &[(25, 200)]),
        || more(&[(25, 8), (26, 8)], &[]),
    ),
    case("CNT-NEGATIVE", || one(&[(1, 0xffff_ffff_ffff_ff00)]), good),
    case("CNT-LAYER-TWO", || acknowledgements(&v6(), 74), || acknowledgements(&v6(), 60)),
    case("CNT-ETHERNET-PADDING", || acknowledgements(&v4(), 46), || acknowledgements(&v4(), 40)),
    case(
        "CNT-ALL-MULTIPLES",
        || many(200, |n| vec![(2, 100 * (n + 1)), (1, 10_000 * (n + 1))]),
        || many(200, |n| vec![(2, n + 1), (1, 100 * (n + 1))]),
    ),
    case("CNT-CUMULATIVE", || continued(|n| n * 10), || continued(|n| 10 + n % 3)),
    case("CNT-TOTAL-AS-DELTA", || totals(|n| 10 - n), || totals(|n| n)),
    case(
        "CNT-DUPLICATE",
        || {
            built(|s| {
                s.template(256, &v6()).records(256, &[&[], &[]]).send();
            })
        },
        good,
    ),
    case(
        "CNT-OVERLAP",
        || {
            built(|s| {
                let later = [(152, 1_699_999_993_000), (153, 1_699_999_999_000), (136, 1)];
                s.template(256, &v6()).records(256, &[&[], &later]).send();
            })
        },
        good,
    ),
    case("CNT-REVERSE-ZERO", || biflow(0), || biflow(1)),
    case(
        "CNT-POST-AS-REVERSE",
        || many_of(&with(v6(), &[(23, 8), (24, 8)]), 100, |n| vec![(24, n + 20)]),
        || many_of(&with(v6(), &[(23, 8), (24, 8)]), 100, |_| vec![]),
    ),
    case("CNT-DIRECTION", || more(&[(61, 1)], &[(61, 2)]), || more(&[(61, 1)], &[(61, 1)])),
    case(
        "CNT-BIFLOW-DIRECTION",
        || more(&[(239, 1)], &[(239, 4)]),
        || more(&[(239, 1)], &[(239, 1)]),
    ),
    case(
        "CNT-TCP-OFFSET-BITS",
        || two_octet_flags(&[(6, 0x5018)]),
        || two_octet_flags(&[(6, 0x0118), (136, 1)]),
    ),
    case("CNT-TCP-FLAGS-NOT-TCP", || one(&[(4, 17)]), || one(&[(4, 17), (6, 0)])),
    case(
        "CNT-TCP-FLAGS-NOT-GATHERED",
        || many(60, |_| vec![(6, 2), (136, 1)]),
        || many(60, |_| vec![(6, 0x12), (136, 1)]),
    ),
    case(
        "CNT-TCP-FLAGS-UPPER-ZERO",
        || many_of(&with(without(v6(), &[6]), &[(6, 2)]), 1100, |_| vec![]),
        || many_of(&with(without(v6(), &[6]), &[(6, 2)]), 1100, |_| vec![(6, 0x011b)]),
    ),
    case("CNT-NOT-IP", || more(&[(60, 1)], &[(60, 0)]), || more(&[(60, 1)], &[])),
    case(
        "CNT-INTERFACE-ZERO",
        || many_of(&with(v6(), &[(10, 4)]), 200, |_| vec![]),
        || many_of(&with(v6(), &[(10, 4)]), 200, |_| vec![(10, 3)]),
    ),
];

const TIMES: &[Case] = &[
    case(
        "TIME-UPTIME-WITHOUT-INIT",
        || instead(&[152, 153], &[(22, 4), (21, 4)], &[]),
        || {
            instead(
                &[152, 153],
                &[(160, 8), (22, 4), (21, 4)],
                &[(160, 1_699_999_000_000), (22, 5000), (21, 6000)],
            )
        },
    ),
    case(
        "TIME-END-BEFORE-START",
        || one(&[(152, 1_699_999_999_000), (153, 1_699_999_998_000)]),
        good,
    ),
    case("TIME-AFTER-EXPORT", || one(&[(153, 1_700_000_060_000)]), good),
    case(
        "TIME-UPTIME-WRAP",
        || one(&[(152, 1_699_999_990_000 - (1 << 32)), (153, 1_699_999_998_000 - (1 << 32))]),
        good,
    ),
    case(
        "TIME-EPOCH",
        || {
            instead(
                &[152, 153],
                &[(154, 8), (155, 8)],
                &[(154, 1_699_999_990 << 32), (155, 1_699_999_998 << 32)],
            )
        },
        || instead(&[152, 153], &[(154, 8), (155, 8)], &[(154, NTP), (155, NTP)]),
    ),
    case(
        "TIME-NTP-FRACTION",
        || fractions(|n| n * 4_000_003 + 1),
        || fractions(|n| n.wrapping_mul(2_654_435_761) | 1),
    ),
    case("TIME-OLD", || one(&[(152, 1_699_990_000_000), (153, 1_699_991_000_000)]), good),
    case(
        "TIME-DURATION-ZERO",
        || many(100, |_| vec![(152, 1_699_999_998_000)]),
        || many(100, |_| vec![]),
    ),
    case(
        "TIME-ACTIVE-EXCEEDED",
        || more(&[(36, 2)], &[(36, 60), (152, 1_699_999_000_000)]),
        || more(&[(36, 2)], &[(36, 60)]),
    ),
    case("TIME-REASON-RANGE", || one(&[(136, 0)]), good),
    case(
        "TIME-REASON-CONSTANT",
        || many(1100, |_| vec![]),
        || many(1100, |n| vec![(136, 1 + n % 3)]),
    ),
    case("TIME-REASON-WITHOUT-FIN", || one(&[(6, 0x18)]), || one(&[(6, 0x18), (136, 1)])),
];

fn fractions(fraction: fn(u32) -> u32) -> Stream {
    let specs = with(without(v6(), &[152, 153]), &[(156, 8), (157, 8)]);
    many_of(&specs, 200, |n| {
        let time = NTP | u128::from(fraction(n as u32));
        vec![(156, time), (157, time)]
    })
}

const OPTIONS: &[Case] = &[
    case(
        "OPT-INTERVAL-WITHOUT-SPACE",
        || options(&[(305, 4)], &[(305, 100)]),
        || options(&[(305, 4), (306, 4)], &[(305, 1), (306, 99)]),
    ),
    case(
        "OPT-SAMPLING-INCOMPLETE",
        || options(&[(304, 2), (305, 4)], &[(304, 1), (305, 1)]),
        || options(&[(304, 2), (305, 4), (306, 4)], &[(304, 1), (305, 1)]),
    ),
    case(
        "OPT-SELECTOR-UNKNOWN",
        || more(&[(302, 8)], &[(302, 7)]),
        || {
            built(|s| {
                s.template(256, &with(v6(), &[(302, 8)])).options(
                    300,
                    1,
                    &[(0, 302, 8), (0, 304, 2)],
                );
                s.record(300, &[(302, 7)]).record(256, &[(302, 7)]).send();
            })
        },
    ),
    case(
        "OPT-APPLICATION-SCOPE",
        || options(&[(95, 4), (96, 4)], &[(96, 0x6162_6364)]),
        || {
            built(|s| {
                s.options(300, 1, &[(0, 95, 4), (0, 96, 4)])
                    .record(300, &[(96, 0x6162_6364)])
                    .send();
            })
        },
    ),
    case(
        "OPT-TYPE-ENTERPRISE-BIT",
        || options(&[(346, 4), (303, 2), (339, 1)], &[(346, 9), (303, 0x8005)]),
        || options(&[(346, 4), (303, 2), (339, 1)], &[(346, 9), (303, 5)]),
    ),
    case(
        "OPT-TYPE-OF-IANA",
        || options(&[(346, 4), (303, 2), (339, 1)], &[(346, 0), (303, 5)]),
        || options(&[(346, 4), (303, 2), (339, 1)], &[(346, 9), (303, 5)]),
    ),
    case("OPT-FLOW-KEY-BITS", || flow_keys(1 << 40), || flow_keys(0x1f)),
    case("OPT-STATISTICS-DECREASE", || statistics(100, 90), || statistics(100, 151)),
    case("OPT-STATISTICS-WRONG", || statistics(2, 5), || statistics(2, 53)),
    case(
        "OPT-STATISTICS-ABSENT",
        || {
            built(|s| {
                s.template(256, &v6()).send();
                for n in 0..1100 {
                    s.record(256, &[(7, n)]).send();
                }
            })
        },
        || {
            built(|s| {
                s.template(256, &v6())
                    .options(300, 1, &[OWN, (0, 41, 8)])
                    .record(300, &[(41, 0)])
                    .send();
                for n in 0..1100 {
                    s.record(256, &[(7, n)]).send();
                }
            })
        },
    ),
];

const NETFLOW: &[Case] = &[
    case(
        "NF9-COUNT",
        || {
            netflow9(|s| {
                s.template(256, &[(0, 1, 8)]);
                s.count = Some(9);
                s.record(256, &[]).send();
            })
        },
        nine,
    ),
    case(
        "NF9-ALIGNMENT",
        || {
            netflow9(|s| {
                s.template(256, &[(0, 4, 1), (0, 1, 8)]).record(256, &[]).send();
            })
        },
        nine,
    ),
    case(
        "NF9-SET-IPFIX",
        || {
            netflow9(|s| {
                s.set(2, &[1, 0, 0, 1, 0, 1, 0, 8]).send();
            })
        },
        nine,
    ),
    case(
        "NF9-SCOPE-LENGTH",
        || {
            netflow9(|s| {
                s.set(1, &[1, 44, 0, 3, 0, 4, 0, 1, 0, 4, 0, 34, 0, 4]).send();
            })
        },
        || {
            netflow9(|s| {
                s.set(1, &[1, 44, 0, 4, 0, 4, 0, 1, 0, 4, 0, 34, 0, 4, 0, 0]).send();
            })
        },
    ),
    case(
        "NF9-VARIABLE-LENGTH",
        || {
            netflow9(|s| {
                s.template(256, &[(0, 1, 8), (0, 82, 65535)]).send();
            })
        },
        nine,
    ),
    case(
        "NF9-ELEMENT-HIGH",
        || {
            netflow9(|s| {
                s.template(256, &[(0, 1, 8), (0, 33002, 2)]).send();
            })
        },
        nine,
    ),
    case(
        "NF9-ICMP-V6",
        || {
            netflow9(|s| {
                s.template(256, &with(without(v6(), &[139]), &[(32, 2)]))
                    .record(256, &icmp(&[(32, 0x8700)]))
                    .send();
            })
        },
        || {
            netflow9(|s| {
                s.template(256, &v6()).record(256, &icmp(&[(139, 0x8700)])).send();
            })
        },
    ),
    case("NF5-COUNT", || netflow5([0, 5, 0, 9]), || netflow5([0, 5, 0, 1])),
];

fn nine() -> Stream {
    netflow9(|s| {
        s.template(256, &[(0, 1, 8)]).record(256, &[]).send();
    })
}

fn cases() -> impl Iterator<Item = &'static Case> {
    [SESSION, TEMPLATES, ENCODING, IPV6, COUNTERS, TIMES, OPTIONS, NETFLOW].into_iter().flatten()
}

#[test]
fn every_rule_is_broken_by_one_stream_and_kept_by_another() {
    let mut wrong = Vec::new();
    for case in cases() {
        let broken = (case.breaks)().report();
        if !broken.has(case.rule) {
            let found: Vec<_> = broken.findings.iter().map(|finding| finding.rule.id).collect();
            wrong.push(format!("{}: not found, only {found:?}", case.rule));
        }
        let kept = (case.keeps)().report();
        if let Some(finding) = kept.findings.iter().find(|finding| finding.rule.id == case.rule) {
            wrong.push(format!("{}: found where there is none: {:?}", case.rule, finding.examples));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_rule_has_a_case() {
    for rule in RULES {
        assert!(cases().any(|case| case.rule == rule.id), "{} has no case", rule.id);
    }
    for case in cases() {
        assert!(RULES.iter().any(|rule| rule.id == case.rule), "{} is no rule", case.rule);
    }
}

#[test]
fn a_good_stream_raises_nothing_above_a_note() {
    let report = good().report();
    let found: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| finding.rule.severity > Severity::Note)
        .map(|finding| (finding.rule.id, &finding.examples))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}
