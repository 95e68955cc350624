//! Cases of rules about flow records: IPv6, counters, times.

use super::*;

pub(super) const IPV6: &[Case] = &[
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
        "V6-ICMP-ABSENT",
        || less(&[139], &ICMP),
        // A packet that ends with the IPv6 header has none to tell.
        || less(&[139], &[&ICMP[..], &[(1, 40), (2, 1)]].concat()),
    ),
    case(
        "V6-ICMP-ABSENT",
        || less(&[139], &ICMP),
        // Too little was captured of these; others have their template.
        || {
            built(|s| {
                s.template(256, &without(v6(), &[139])).template(257, &v6());
                s.record(256, &ICMP).send();
            })
        },
    ),
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
    case(
        "V6-MAPPED-ADDRESS",
        || more(&[(60, 1)], &[(27, 0xffff_c000_0201), (28, 0xffff_c000_0202), (60, 4)]),
        || one(&[(27, 0xffff_c000_0201), (28, 0xffff_c000_0202)]),
    ),
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
        "V6-MULTICAST-FLAG",
        || more(&[(206, 1)], &[(206, 2), (28, 0xff00 << 112 | 1)]),
        || more(&[(206, 1)], &[(206, 0), (28, 0xff00 << 112 | 1)]),
    ),
    case(
        "V6-TUNNEL-PORTS",
        || one(&[(4, 41), (6, 0)]),
        || one(&[(4, 41), (6, 0), (7, 0), (11, 0)]),
    ),
    case("V6-PORTS-WITHOUT-TRANSPORT", || one(&[(4, 59), (6, 0)]), || one(&[(4, 17), (6, 0)])),
];

/// Two records of one flow, the later of which begins within the time of the other.
fn overlapping() -> Stream {
    built(|s| {
        let later = [(152, 1_699_999_993_000), (153, 1_699_999_999_000), (136, 1)];
        s.template(256, &v6()).records(256, &[&[], &later]).send();
    })
}

pub(super) const COUNTERS: &[Case] = &[
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
    case("CNT-OVERLAP", overlapping, good),
    case(
        "CNT-OVERLAP",
        overlapping,
        // Times as late as can be said: adding to them must not overflow.
        || {
            built(|s| {
                let last = u128::from(u64::MAX);
                let first = [(152, last - 1), (153, last)];
                let second = [(152, last), (153, last), (136, 1)];
                s.template(256, &v6()).records(256, &[&first, &second]).send();
            })
        },
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

pub(super) const TIMES: &[Case] = &[
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
        "TIME-1970",
        || one(&[(152, 1000), (153, 2000)]),
        || one(&[(152, 1_699_999_990), (153, 1_699_999_998)]),
    ),
    case(
        "TIME-EPOCH",
        || one(&[(152, 1_699_999_998), (153, 1_699_999_998)]),
        // 2 January 2038, by the clock of a metered capture.
        || one(&[(152, 2_146_003_200_000), (153, 2_146_003_200_000)]),
    ),
    case(
        "TIME-EPOCH",
        || {
            let turned = u128::from(1_699_999_998_000u64.swap_bytes());
            one(&[(152, turned), (153, turned)])
        },
        good,
    ),
    case("TIME-FUTURE", || one(&[(152, 2_146_003_200_000), (153, 2_146_003_200_000)]), good),
    case(
        "TIME-NTP-FRACTION",
        || fractions(|n| n * 4_000_003 + 1),
        || fractions(|n| n.wrapping_mul(2_654_435_761) | 1),
    ),
    case(
        "TIME-OLD",
        || many(40, |n| if n == 7 { LONG_AGO.to_vec() } else { vec![] }),
        // A capture of some hours, metered just behind its end.
        || many(40, |n| if n < 10 { LONG_AGO.to_vec() } else { vec![] }),
    ),
    case(
        "TIME-OLD",
        || many(40, |n| if n > 7 && n < 20 { LONG_AGO.to_vec() } else { vec![] }),
        // A capture of long ago; one of its packets has a strange time.
        || many(4, |n| if n == 2 { vec![(152, 1000), (153, 1000)] } else { LONG_AGO.to_vec() }),
    ),
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

/// Start and end hours before the export.
const LONG_AGO: [(u16, u128); 2] = [(152, 1_699_990_000_000), (153, 1_699_991_000_000)];

fn fractions(fraction: fn(u32) -> u32) -> Stream {
    let specs = with(without(v6(), &[152, 153]), &[(156, 8), (157, 8)]);
    many_of(&specs, 200, |n| {
        let time = NTP | u128::from(fraction(n as u32));
        vec![(156, time), (157, time)]
    })
}
