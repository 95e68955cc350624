//! Rules about what IPv6 needs: ICMPv6, the extension header chain, flow label, traffic class, fragments.

use super::Check::{Record, Tally, Template};
use super::{Rule, TemplateFault, value};
use crate::collect::Version;
use crate::validate::finding::Severity::{Error, Note, Warning};
use crate::validate::view::{self, Slot, View};

const TCP: u64 = 6;
const ICMPV6: u64 = 58;
const ICMPV6_ELEMENTS: &[Slot] = &[Slot::IcmpV6, Slot::IcmpTypeV6, Slot::IcmpCodeV6];
const ICMPV4_ELEMENTS: &[Slot] = &[Slot::IcmpV4, Slot::IcmpTypeV4, Slot::IcmpCodeV4];

/// Flow templates that can describe IPv6 flows.
fn v6(view: &View) -> bool {
    view.is_flow() && view.families.v6
}

type Seen<'a> = view::Record<'a>;

fn protocol(record: &Seen<'_>) -> Option<u64> {
    record.unsigned(Slot::Protocol)
}

/// Index of the first of `slots` that is there and not zero.
fn first_nonzero(record: &Seen<'_>, slots: &[Slot]) -> Option<usize> {
    let slot = slots.iter().find(|&&slot| record.unsigned(slot).is_some_and(|v| v != 0))?;
    record.view.field(*slot)
}

/// Whether the ICMPv6 type is one that IANA has assigned or set aside for experiments.
fn is_icmpv6_type(octet: u64) -> bool {
    matches!(octet, 1..=4 | 100 | 101 | 127..=161 | 200 | 201 | 255)
}

/// C1.
pub static ICMP_IN_IE32: Rule = Rule {
    id: "V6-ICMP-IN-IE32",
    severity: Error,
    source: "IANA elements 32 and 139; RFC 5102 section 5.4.12",
    title: "ICMPv6 type and code in an element for IPv4",
    wanted: "icmpTypeCodeIPv6 (139), or icmpTypeIPv6 (178) and icmpCodeIPv6 (179)",
    meaning: "neighbour discovery floods and rogue router advertisements look like nonsense ICMPv4 or vanish",
    check: Record {
        applies: |view| v6(view) && view.version == Version::Ipfix && view.has_any(ICMPV4_ELEMENTS),
        broken: |record| {
            let carried = record.first_of(ICMPV6_ELEMENTS).is_some_and(|(_, value)| value != 0);
            if protocol(record) != Some(ICMPV6) || carried || !record.is_ipv6() {
                return None;
            }
            first_nonzero(record, ICMPV4_ELEMENTS)
        },
        saw: |record, index| format!("protocolIdentifier = 58 and {}", record.show_field(index)),
    },
};

/// C2.
pub static ICMP_IN_PORT: Rule = Rule {
    id: "V6-ICMP-IN-PORT",
    severity: Warning,
    source: "IANA elements 11 and 139",
    title: "ICMPv6 type and code in destinationTransportPort",
    wanted: "icmpTypeCodeIPv6 (139), and no port or port 0",
    meaning: "a collector counts the type as a port: echo requests appear as traffic to port 32768",
    check: Record {
        applies: |view| v6(view) && view.has_all(&[Slot::Protocol, Slot::DestinationPort]),
        broken: |record| {
            let port = record.unsigned(Slot::DestinationPort)?;
            if port == 0 || protocol(record) != Some(ICMPV6) || !record.is_ipv6() {
                return None;
            }
            record.view.field(Slot::DestinationPort)
        },
        saw: |record, index| format!("protocolIdentifier = 58 and {}", record.show_field(index)),
    },
};

/// C3.
pub static ICMP_SWAPPED: Rule = Rule {
    id: "V6-ICMP-SWAPPED",
    severity: Error,
    source: "IANA element 139",
    title: "ICMPv6 type and code in the wrong order",
    wanted: "type × 256 + code in network byte order",
    meaning: "a neighbour solicitation (135/0) reads as type 0, code 135",
    check: Record {
        applies: |view| view.length(Slot::IcmpV6) == Some(2),
        broken: |record| {
            let pair = record.unsigned(Slot::IcmpV6)?;
            let (kind, code) = (pair >> 8, pair & 0xff);
            let swapped = !is_icmpv6_type(kind) && is_icmpv6_type(code);
            swapped.then(|| record.view.field(Slot::IcmpV6)).flatten()
        },
        saw: |record, index| {
            let pair = record.unsigned(Slot::IcmpV6).unwrap_or(0);
            format!("{}: type {}, code {}", record.show_field(index), pair >> 8, pair & 0xff)
        },
    },
};

/// Part of C1.
pub static ICMP_ABSENT: Rule = Rule {
    id: "V6-ICMP-ABSENT",
    severity: Warning,
    source: "IANA elements 139, 178 and 179",
    title: "ICMPv6 flows without type and code",
    wanted: "icmpTypeCodeIPv6 (139), or icmpTypeIPv6 (178) and icmpCodeIPv6 (179) in the template",
    meaning: "ping, neighbour discovery, router advertisements and errors cannot be told apart",
    check: Tally {
        applies: |view| v6(view) && view.has(Slot::Protocol),
        observe: |record, tally| {
            if protocol(record) != Some(ICMPV6) || !record.is_ipv6() {
                return;
            }
            // None to tell: the packets end before it, are later fragments, or the exporter says it did not see it.
            let mean = record.octet_count().unwrap_or(u64::MAX)
                / record.packet_count().unwrap_or(1).max(1);
            let later = record.unsigned(Slot::FragmentOffset).is_some_and(|offset| offset > 0);
            let cut = record.unsigned(Slot::HeadersLimit) == Some(2);
            if mean < 44 || later || cut {
                return;
            }
            let elsewhere = first_nonzero(record, ICMPV4_ELEMENTS).is_some()
                || record.unsigned(Slot::DestinationPort).is_some_and(|port| port != 0);
            if record.view.has_any(ICMPV6_ELEMENTS) || elsewhere {
                tally.n[1] += 1;
            } else {
                tally.n[0] += 1;
                tally.keep(record, Slot::Protocol);
            }
        },
        // An exporter that has a template with the element leaves it out where there is none to tell, as in a packet
        // of which too little was captured.
        judge: |tally, facts| {
            let offered = facts.all_templates().any(|facts| facts.view.has_any(ICMPV6_ELEMENTS));
            (tally.n[0] > 0 && tally.n[1] == 0 && !offered).then(|| {
                format!(
                    "protocolIdentifier = 58 in {} records, no element for type and code",
                    tally.n[0]
                )
            })
        },
    },
};

/// C5.
pub static NO_PROTOCOL: Rule = Rule {
    id: "V6-NO-PROTOCOL",
    severity: Error,
    source: "IANA element 4; RFC 7012 section 5",
    title: "IPv6 flows with ports but without protocolIdentifier",
    wanted: "protocolIdentifier (4), the last Next Header of the chain",
    meaning: "TCP, UDP and ICMPv6 cannot be told apart",
    check: Template(|view| {
        let ports = [Slot::SourcePort, Slot::DestinationPort, Slot::IcmpV6];
        let counted = [Slot::OctetDelta, Slot::PacketDelta, Slot::OctetTotal, Slot::PacketTotal];
        let typed = [Slot::UdpSourcePort, Slot::TcpSourcePort];
        let lacking = v6(view)
            && view.has_any(&ports)
            && view.has_any(&counted)
            && !view.has(Slot::Protocol)
            && !view.has_any(&typed);
        if !lacking {
            return Vec::new();
        }
        match view.field(Slot::NextHeader) {
            Some(at) => {
                vec![TemplateFault::field(view, at, "the first header, in place of the last")]
            }
            None => {
                vec![TemplateFault::whole("IPv6 addresses and ports, no protocolIdentifier (4)")]
            }
        }
    }),
};

/// C6.
pub static PROTOCOL_IS_EXTENSION: Rule = Rule {
    id: "V6-PROTOCOL-IS-EXTENSION",
    severity: Error,
    source: "IANA element 4; RFC 8200 section 4",
    title: "protocolIdentifier names an extension header, not the upper layer",
    wanted: "the Next Header value of the last extension header",
    meaning: "TCP, UDP or ICMPv6 behind an extension header is invisible: the evasion works",
    check: Record {
        applies: |view| v6(view) && view.has(Slot::Protocol),
        broken: |record| {
            let named = protocol(record)?;
            let later = record.unsigned(Slot::FragmentOffset).is_some_and(|offset| offset > 0);
            // 2 is false: the exporter says that it did not see the whole chain.
            let cut = record.unsigned(Slot::HeadersLimit) == Some(2);
            let extension = matches!(named, 0 | 43 | 60) && record.is_ipv6() && !later && !cut;
            let addressed = record
                .octets_of(Slot::SourceV6)
                .is_none_or(|a| a.iter().any(|&o| o != 0))
                || record.octets_of(Slot::DestinationV6).is_some_and(|a| a.iter().any(|&o| o != 0));
            (extension && addressed).then(|| record.view.field(Slot::Protocol)).flatten()
        },
        saw: |record, index| {
            let number = protocol(record).unwrap_or(0) as u8;
            let name = ie_registry::protocol_name(number).unwrap_or("extension header");
            format!("{} ({name})", record.show_field(index))
        },
    },
};

/// C6, for the Fragment header, which some exporters name on purpose.
pub static PROTOCOL_IS_FRAGMENT: Rule = Rule {
    id: "V6-PROTOCOL-IS-FRAGMENT",
    severity: Warning,
    source: "IANA element 4; RFC 8200 section 4.5",
    title: "protocolIdentifier is 44, the Fragment header",
    wanted: "what the Fragment header's Next Header names",
    meaning: "fragments are counted as a protocol of their own and not with their transport",
    check: Record {
        applies: |view| v6(view) && view.has(Slot::Protocol),
        broken: |record| {
            // 2: the exporter says that it did not see the chain to its end.
            let cut = record.unsigned(Slot::HeadersLimit) == Some(2);
            let fragment = protocol(record) == Some(44) && record.is_ipv6() && !cut;
            fragment.then(|| record.view.field(Slot::Protocol)).flatten()
        },
        saw: value,
    },
};

/// C9.
pub static CHAIN_STOPS: Rule = Rule {
    id: "V6-CHAIN-STOPS",
    severity: Warning,
    source: "RFC 8200 section 4; RFC 4302 section 2",
    title: "the header chain is not followed past the Authentication header",
    wanted: "the upper layer behind the Authentication header, whose length is (len + 2) × 4 octets",
    meaning: "whatever is put behind an Authentication header hides from the collector",
    check: Record {
        applies: |view| v6(view) && view.has(Slot::Protocol),
        broken: |record| {
            let cut = record.unsigned(Slot::HeadersLimit) == Some(2);
            let later = record.unsigned(Slot::FragmentOffset).is_some_and(|offset| offset > 0);
            let stops = protocol(record) == Some(51) && record.is_ipv6() && !cut && !later;
            stops.then(|| record.view.field(Slot::Protocol)).flatten()
        },
        saw: value,
    },
};

/// C10, the element missing altogether.
pub static LABEL_ABSENT: Rule = Rule {
    id: "V6-LABEL-ABSENT",
    severity: Note,
    source: "IANA element 31; RFC 6437",
    title: "IPv6 flows without the flow label",
    wanted: "flowLabelIPv6 (31)",
    meaning: "covert channels in the flow label and floods that vary it cannot be seen",
    check: Template(|view| {
        let counted = view.has_any(&[
            Slot::OctetDelta,
            Slot::PacketDelta,
            Slot::OctetTotal,
            Slot::PacketTotal,
        ]);
        if !v6(view) || view.has(Slot::FlowLabel) || !counted {
            return Vec::new();
        }
        vec![TemplateFault::whole("IPv6 addresses, no flowLabelIPv6 (31)")]
    }),
};

/// C11.
pub static LABEL_RANGE: Rule = Rule {
    id: "V6-LABEL-RANGE",
    severity: Error,
    source: "IANA element 31; RFC 8200 section 3",
    title: "flow label of more than 20 bits",
    wanted: "0 to 0xFFFFF; the upper 12 bits zero",
    meaning: "bits of the traffic class or the version are mixed into the label: labels do not compare",
    check: Record {
        applies: |view| view.has(Slot::FlowLabel),
        broken: |record| {
            let label = record.unsigned(Slot::FlowLabel)?;
            (label > 0xf_ffff).then(|| record.view.field(Slot::FlowLabel)).flatten()
        },
        saw: |record, _| {
            format!("flowLabelIPv6 = {:#x}", record.unsigned(Slot::FlowLabel).unwrap_or(0))
        },
    },
};

/// C10.
pub static LABEL_ZERO: Rule = Rule {
    id: "V6-LABEL-ZERO",
    severity: Warning,
    source: "IANA element 31; RFC 6437 section 3",
    title: "the flow label is always zero",
    wanted: "the label of the flow's first packet; common hosts set one on every TCP connection",
    meaning: "the element is there but carries nothing",
    check: Tally {
        applies: |view| view.has(Slot::FlowLabel) && view.has(Slot::Protocol),
        observe: |record, tally| {
            if protocol(record) == Some(TCP) && record.is_ipv6() {
                tally.n[0] += 1;
                tally.n[1] += u64::from(record.unsigned(Slot::FlowLabel) != Some(0));
                tally.keep(record, Slot::FlowLabel);
            }
        },
        judge: |tally, _| {
            (tally.n[0] > 1000 && tally.n[1] == 0)
                .then(|| format!("flowLabelIPv6 = 0 in all {} TCP records over IPv6", tally.n[0]))
        },
    },
};

/// C11.
pub static LABEL_TRUNCATED: Rule = Rule {
    id: "V6-LABEL-TRUNCATED",
    severity: Error,
    source: "IANA element 31; RFC 8200 section 3",
    title: "the flow label is cut to 16 bits or fewer",
    wanted: "all 20 bits",
    meaning: "different labels fall together",
    check: Tally {
        applies: |view| view.has(Slot::FlowLabel),
        observe: |record, tally| {
            let label = record.unsigned(Slot::FlowLabel).unwrap_or(0);
            if label != 0 {
                tally.n[0] += 1;
                tally.n[1] = tally.n[1].max(label);
                // One bit of 64 for each label: many bits set means many different labels.
                tally.n[2] |= 1 << (label.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58);
                tally.keep(record, Slot::FlowLabel);
            }
        },
        judge: |tally, _| {
            (tally.n[2].count_ones() >= 40 && tally.n[1] <= 0xffff)
                .then(|| format!("the largest of {} labels is {:#x}", tally.n[0], tally.n[1]))
        },
    },
};

/// C13.
pub static CLASS_ZERO: Rule = Rule {
    id: "V6-CLASS-ZERO",
    severity: Warning,
    source: "IANA element 5; RFC 8200 section 3",
    title: "ipClassOfService is always zero for IPv6, not for IPv4",
    wanted: "the traffic class octet of the flow's first packet",
    meaning: "marked IPv6 traffic looks unmarked; covert channels in the traffic class cannot be seen",
    check: Tally {
        applies: |view| view.is_flow() && view.has(Slot::Class),
        observe: |record, tally| {
            let marked = u64::from(record.unsigned(Slot::Class).is_some_and(|class| class != 0));
            if record.is_ipv6() {
                tally.n[0] += 1;
                tally.n[1] += marked;
                tally.keep(record, Slot::Class);
            } else {
                tally.n[2] += marked;
            }
        },
        judge: |tally, _| {
            (tally.n[0] > 1000 && tally.n[1] == 0 && tally.n[2] >= 10).then(|| {
                let (ipv6, ipv4) = (tally.n[0], tally.n[2]);
                format!("0 in all {ipv6} records over IPv6, not 0 in {ipv4} over IPv4")
            })
        },
    },
};

/// C13.
pub static CLASS_IS_DSCP: Rule = Rule {
    id: "V6-CLASS-IS-DSCP",
    severity: Error,
    source: "IANA elements 5 and 195",
    title: "ipClassOfService holds the code point, not the octet",
    wanted: "the whole octet: code point × 4 + ECN",
    meaning: "traffic classes are off by a factor of four",
    check: Record {
        applies: |view| view.has_all(&[Slot::Class, Slot::Dscp]),
        broken: |record| {
            let (class, point) = (record.unsigned(Slot::Class)?, record.unsigned(Slot::Dscp)?);
            (point != 0 && class >> 2 != point).then(|| record.view.field(Slot::Class)).flatten()
        },
        saw: |record, index| {
            format!("{} and {}", record.show_field(index), record.show(Slot::Dscp))
        },
    },
};

/// C14.
pub static HOP_LIMIT_ORDER: Rule = Rule {
    id: "V6-HOP-LIMIT-ORDER",
    severity: Error,
    source: "IANA elements 52, 53 and 192",
    title: "hop limits contradict each other",
    wanted: "minimumTTL ≤ ipTTL ≤ maximumTTL",
    meaning: "hop limit tricks (traceroute, evasion) cannot be read from the flow",
    check: Record {
        applies: |view| {
            let slots = [Slot::MinimumTtl, Slot::MaximumTtl, Slot::Ttl];
            slots.iter().filter(|&&slot| view.has(slot)).count() >= 2
        },
        broken: |record| {
            let low = record.unsigned(Slot::MinimumTtl);
            let high = record.unsigned(Slot::MaximumTtl);
            let first = record.unsigned(Slot::Ttl);
            let above =
                |a: Option<u64>, b: Option<u64>| matches!((a, b), (Some(a), Some(b)) if a > b);
            if above(low, high) || above(low, first) {
                return record.view.field(Slot::MinimumTtl);
            }
            above(first, high).then(|| record.view.field(Slot::Ttl)).flatten()
        },
        saw: |record, _| {
            let slots = [Slot::MinimumTtl, Slot::Ttl, Slot::MaximumTtl];
            let parts: Vec<_> = slots.iter().map(|&slot| record.show(slot)).collect();
            parts.join(" ").trim().to_owned()
        },
    },
};

/// C15.
pub static FRAGMENT_OFFSET_OCTETS: Rule = Rule {
    id: "V6-FRAGMENT-OFFSET-RANGE",
    severity: Error,
    source: "IANA element 88; RFC 8200 section 4.5",
    title: "fragmentOffset beyond 13 bits",
    wanted: "the 13-bit field as it stands in the header, in units of 8 octets: 0 to 8191",
    meaning: "overlapping and tiny fragments cannot be recognised",
    check: Record {
        applies: |view| view.has(Slot::FragmentOffset),
        broken: |record| {
            let offset = record.unsigned(Slot::FragmentOffset)?;
            (offset > 0x1fff).then(|| record.view.field(Slot::FragmentOffset)).flatten()
        },
        saw: value,
    },
};

/// C16. Only one-packet flows prove it: a longer one may hold the first fragment too.
pub static FRAGMENT_PORTS: Rule = Rule {
    id: "V6-FRAGMENT-PORTS",
    severity: Error,
    source: "RFC 8200 section 4.5; IANA elements 7 and 88",
    title: "a later fragment has ports",
    wanted: "no ports: a fragment with an offset carries payload only",
    meaning: "payload octets pass as ports: scans and services that never were",
    check: Record {
        applies: |view| view.has(Slot::FragmentOffset) && view.has(Slot::SourcePort),
        broken: |record| {
            let later = record.unsigned(Slot::FragmentOffset).is_some_and(|offset| offset > 0);
            let ported = record.ports().is_some_and(|(from, to)| from != 0 || to != 0);
            let alone = record.packet_count() == Some(1);
            (later && ported && alone).then(|| record.view.field(Slot::SourcePort)).flatten()
        },
        saw: |record, _| {
            let (from, to) = record.ports().unwrap_or_default();
            format!("{}, ports {from} and {to}, one packet", record.show(Slot::FragmentOffset))
        },
    },
};

/// C19.
pub static FRAGMENT_ID_SHORT: Rule = Rule {
    id: "V6-FRAGMENT-ID-SHORT",
    severity: Error,
    source: "IANA element 54; RFC 8200 section 4.5",
    title: "fragmentIdentification of fewer than 4 octets for IPv6",
    wanted: "4 octets: the identification has 32 bits in IPv6",
    meaning: "fragments of different packets fall together",
    check: Template(|view| {
        let short = view.length(Slot::FragmentId).is_some_and(|length| length < 4);
        let only_v6 = view.families.v6 && !view.families.v4;
        match view.field(Slot::FragmentId) {
            Some(at) if short && only_v6 => {
                vec![TemplateFault::field(view, at, "shorter than 4 octets")]
            }
            _ => Vec::new(),
        }
    }),
};

/// C20.
pub static FRAGMENT_DF: Rule = Rule {
    id: "V6-FRAGMENT-DF",
    severity: Error,
    source: "IANA element 197",
    title: "the Don't Fragment bit is set for IPv6",
    wanted: "bit 1 of fragmentFlags always 0: IPv6 has no such flag",
    meaning: "the flags come from somewhere else in the packet",
    check: Record {
        applies: |view| v6(view) && view.has(Slot::FragmentFlags),
        broken: |record| {
            let flags = record.unsigned(Slot::FragmentFlags)?;
            (flags & 0x40 != 0 && record.is_ipv6())
                .then(|| record.view.field(Slot::FragmentFlags))
                .flatten()
        },
        saw: |record, _| {
            format!("fragmentFlags = {:#04x}", record.unsigned(Slot::FragmentFlags).unwrap_or(0))
        },
    },
};

/// C21, C23.
pub static VERSION_MISMATCH: Rule = Rule {
    id: "V6-VERSION-MISMATCH",
    severity: Error,
    source: "IANA element 60",
    title: "ipVersion contradicts the address elements",
    wanted: "4 with sourceIPv4Address, 6 with sourceIPv6Address",
    meaning: "the record was written with another template than the one it names",
    check: Record {
        applies: |view| {
            view.is_flow() && view.has(Slot::IpVersion) && view.families.v4 != view.families.v6
        },
        broken: |record| {
            let version = record.unsigned(Slot::IpVersion)?;
            let wrong = if record.view.families.v6 { version == 4 } else { version == 6 };
            wrong.then(|| record.view.field(Slot::IpVersion)).flatten()
        },
        saw: |record, index| {
            let family = if record.view.families.v6 { "IPv6" } else { "IPv4" };
            format!("{} in a record with {family} addresses", record.show_field(index))
        },
    },
};

/// C22.
pub static MAPPED: Rule = Rule {
    id: "V6-MAPPED-ADDRESS",
    severity: Error,
    source: "IANA elements 27 and 28; RFC 4291 section 2.5.5.2",
    title: "IPv4 flows in IPv6 address elements",
    wanted: "sourceIPv4Address (8) and destinationIPv4Address (12) for IPv4 packets",
    meaning: "IPv4 traffic is counted as IPv6",
    check: Tally {
        applies: v6,
        observe: |record, tally| {
            tally.n[0] += 1;
            let mapped =
                |slot| record.ipv6(slot).is_some_and(|address| address.to_ipv4_mapped().is_some());
            if !mapped(Slot::SourceV6) || !mapped(Slot::DestinationV6) {
                return;
            }
            let ipv4 = record.unsigned(Slot::IpVersion) == Some(4)
                || record.unsigned(Slot::EtherType) == Some(0x0800)
                || protocol(record) == Some(1);
            tally.n[1] += 1;
            tally.n[2] += u64::from(ipv4);
            tally.keep(record, Slot::SourceV6);
        },
        // Packets with such addresses exist, but they are rare.
        judge: |tally, _| {
            let [all, mapped, ipv4, ..] = tally.n;
            (ipv4 > 0 || mapped >= 20 && mapped * 2 > all).then(|| {
                format!(
                    "{mapped} of {all} records have mapped addresses; {ipv4} say that they are IPv4"
                )
            })
        },
    },
};

/// ipHeaderLength.
pub static HEADER_LENGTH: Rule = Rule {
    id: "V6-HEADER-LENGTH",
    severity: Error,
    source: "IANA element 189; RFC 8200 section 3",
    title: "ipHeaderLength is not 40 for IPv6",
    wanted: "40: the fixed header alone",
    meaning: "payload lengths worked out from it are wrong",
    check: Record {
        applies: |view| v6(view) && view.has(Slot::HeaderLength),
        broken: |record| {
            let length = record.unsigned(Slot::HeaderLength)?;
            (length != 40 && record.is_ipv6())
                .then(|| record.view.field(Slot::HeaderLength))
                .flatten()
        },
        saw: value,
    },
};

/// C31.
pub static PREFIX_ADDRESS: Rule = Rule {
    id: "V6-PREFIX-ADDRESS",
    severity: Warning,
    source: "IANA elements 29, 30, 169 and 170",
    title: "a prefix has bits beyond its length",
    wanted: "sourceIPv6Prefix cut to sourceIPv6PrefixLength bits, the rest zero",
    meaning: "records of one prefix do not fall together",
    check: Record {
        applies: |view| {
            view.has_any(&[Slot::SourcePrefixAddressV6, Slot::DestinationPrefixAddressV6])
        },
        broken: |record| {
            [
                (Slot::SourcePrefixAddressV6, Slot::SourcePrefixV6),
                (Slot::DestinationPrefixAddressV6, Slot::DestinationPrefixV6),
            ]
            .into_iter()
            .find_map(|(address, length)| {
                let (bits, length) = (record.ipv6(address)?.to_bits(), record.unsigned(length)?);
                let beyond = u128::MAX.checked_shr(length as u32).unwrap_or(0);
                (bits & beyond != 0).then(|| record.view.field(address)).flatten()
            })
        },
        saw: |record, index| {
            let lengths =
                [Slot::SourcePrefixV6, Slot::DestinationPrefixV6].map(|slot| record.show(slot));
            format!("{}; {}", record.show_field(index), lengths.join(" ").trim())
        },
    },
};

/// C32. Only zero against not zero: the bit order of the element is read in two ways.
pub static MULTICAST: Rule = Rule {
    id: "V6-MULTICAST-FLAG",
    severity: Warning,
    source: "IANA element 206; RFC 4291 section 2.7",
    title: "isMulticast contradicts the destination address",
    wanted: "scope and T flag of an address in ff00::/8, zero for any other",
    meaning: "multicast cannot be told from unicast by the element made for it",
    check: Record {
        applies: |view| view.has_all(&[Slot::IsMulticast, Slot::DestinationV6]),
        broken: |record| {
            let flags = record.unsigned(Slot::IsMulticast)?;
            let address = record.ipv6(Slot::DestinationV6)?;
            // An address of scope 0 without T flag has nothing to tell.
            let told = address.is_multicast() && address.octets()[1] & 0x1f != 0;
            let wrong = record.is_ipv6() && told != (flags != 0);
            wrong.then(|| record.view.field(Slot::IsMulticast)).flatten()
        },
        saw: |record, index| {
            format!("{}, {}", record.show_field(index), record.show(Slot::DestinationV6))
        },
    },
};

/// Whether `number` is a protocol whose packets are whole IP packets or frames of somebody else.
fn is_tunnel(number: u64) -> bool {
    matches!(number, 4 | 41 | 47 | 94 | 97 | 98 | 137 | 143)
}

/// C30.
pub static TUNNEL_PORTS: Rule = Rule {
    id: "V6-TUNNEL-PORTS",
    severity: Warning,
    source: "RFC 7012 section 5; IANA elements 4 and 7",
    title: "a tunnel's outer header with ports",
    wanted: "no ports with IP-in-IP, 6in4 or GRE, or all elements from the inner packet",
    meaning: "outer addresses are mixed with the inner packet's ports",
    check: Record {
        applies: |view| view.is_flow() && view.has(Slot::Protocol) && view.has(Slot::SourcePort),
        broken: |record| {
            let ported = record.ports().is_some_and(|(from, to)| from != 0 || to != 0);
            let tunnel = protocol(record).is_some_and(is_tunnel);
            (tunnel && ported).then(|| record.view.field(Slot::SourcePort)).flatten()
        },
        saw: |record, _| {
            let (from, to) = record.ports().unwrap_or_default();
            format!("{}, ports {from} and {to}", record.show(Slot::Protocol))
        },
    },
};

/// C7.
pub static PORTS_WITHOUT_TRANSPORT: Rule = Rule {
    id: "V6-PORTS-WITHOUT-TRANSPORT",
    severity: Warning,
    source: "IANA elements 7 and 11",
    title: "ports in a protocol that has none",
    wanted: "ports only with TCP, UDP, SCTP, DCCP or UDP-Lite",
    meaning: "payload or option octets pass as ports",
    check: Record {
        applies: |view| v6(view) && view.has(Slot::Protocol) && view.has(Slot::SourcePort),
        broken: |record| {
            let number = protocol(record)?;
            let (from, to) = record.ports()?;
            let known =
                matches!(number, TCP | 17 | 33 | 132 | 136 | 1 | ICMPV6) || is_tunnel(number);
            let wrong = !known && (from != 0 || to != 0) && record.is_ipv6();
            wrong.then(|| record.view.field(Slot::SourcePort)).flatten()
        },
        saw: |record, _| {
            let (from, to) = record.ports().unwrap_or_default();
            format!("{}, ports {from} and {to}", record.show(Slot::Protocol))
        },
    },
};

/// Elements that only IPv4 headers have.
pub static IPV4_ELEMENTS: Rule = Rule {
    id: "V6-IPV4-ELEMENTS",
    severity: Warning,
    source: "IANA elements 190, 207 and 208",
    title: "elements of the IPv4 header in a template for IPv6",
    wanted: "payloadLengthIPv6 (191) or ipTotalLength (224), and no header length in words",
    meaning: "whatever they hold was not in the packet",
    check: Template(|view| {
        if !view.families.v6 || view.families.v4 {
            return Vec::new();
        }
        let slots = [Slot::TotalLengthV4, Slot::HeaderWords];
        let found = slots.into_iter().filter(|&slot| view.has(slot));
        found
            .map(|slot| TemplateFault::slot(view, slot, "in a template with IPv6 addresses only"))
            .collect()
    }),
};
