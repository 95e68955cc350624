//! Every rule with a stream that breaks it and one that does not.

mod flows;
mod templates;

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
    [
        SESSION,
        templates::TEMPLATES,
        templates::ENCODING,
        flows::IPV6,
        flows::COUNTERS,
        flows::TIMES,
        OPTIONS,
        NETFLOW,
    ]
    .into_iter()
    .flatten()
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
