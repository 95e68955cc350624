//! Cases of rules about templates and encoding.

use super::*;

pub(super) const TEMPLATES: &[Case] = &[
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
    case(
        "TPL-REVERSE-WITHOUT-KEY",
        || flow(&[(29305, 85, 8)], &[]),
        || {
            built(|stream| {
                stream.template(256, &[(0, 1, 8), (29305, 1, 8)]).send();
            })
        },
    ),
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

pub(super) const ENCODING: &[Case] = &[
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
