//! Rules about how values are put into octets.

use super::Check::{Record, Stream, Tally, Template};
use super::{Rule, TemplateFault, value};
use crate::collect::Version;
use crate::ipfix::{BasicList, SubTemplateMultiList};
use crate::validate::finding::Severity::{Error, Note, Warning};
use crate::validate::view::{self, Slot, View};
use ie_registry::{DataType, VARIABLE_LENGTH};

type Seen<'a> = view::Record<'a>;

/// Faults of single fields of IPFIX templates, from length and type.
fn lengths(view: &View, wrong: fn(DataType, u16, u16) -> Option<String>) -> Vec<TemplateFault> {
    if view.version != Version::Ipfix {
        return Vec::new();
    }
    let fault = |(index, field): (usize, &view::Field)| {
        let element = field.element(ie_registry::SIXTAP_DEFAULT_PEN)?;
        let text = wrong(element.data_type, element.default_length, field.length)?;
        Some(TemplateFault::field(view, index, &text))
    };
    view.fields.iter().enumerate().filter_map(fault).collect()
}

/// B2.
pub static TOO_LONG: Rule = Rule {
    id: "ENC-TOO-LONG",
    severity: Error,
    source: "RFC 7011 section 6.2",
    title: "a field longer than its type",
    wanted: "the length of the type, or less where it may be reduced",
    meaning: "collectors that trust the type cut the value or reject the template",
    check: Template(|view| {
        lengths(view, |kind, normal, length| {
            let open = normal == VARIABLE_LENGTH
                || length == VARIABLE_LENGTH
                || matches!(kind, DataType::OctetArray);
            (!open && length > normal).then(|| format!("{length} octets for a type of {normal}"))
        })
    }),
};

/// B3.
pub static REDUCED_FORBIDDEN: Rule = Rule {
    id: "ENC-REDUCED-FORBIDDEN",
    severity: Error,
    source: "RFC 7011 section 6.2",
    title: "reduced size for a type that has none",
    wanted: "the full length for addresses, times, booleans and 32-bit floats; 8 or 4 octets for 64-bit floats",
    meaning: "the value cannot be read",
    check: Template(|view| {
        lengths(view, |kind, normal, length| {
            use DataType::{
                Boolean, DateTimeMicroseconds, DateTimeMilliseconds, DateTimeNanoseconds,
                DateTimeSeconds, Float32, Float64, Ipv4Address, Ipv6Address, MacAddress,
            };
            let whole = matches!(
                kind,
                Boolean
                    | DateTimeMicroseconds
                    | DateTimeMilliseconds
                    | DateTimeNanoseconds
                    | DateTimeSeconds
                    | Float32
                    | Ipv4Address
                    | Ipv6Address
                    | MacAddress
            );
            let short = length != 0 && (length < normal || length == VARIABLE_LENGTH);
            let half = kind == Float64 && !matches!(length, 4 | 8);
            (whole && short || half).then(|| match length {
                VARIABLE_LENGTH => format!("variable length for a type of {normal} octets"),
                _ => format!("{length} octets for a type of {normal}"),
            })
        })
    }),
};

/// B7.
pub static FIELD_OVERRUN: Rule = Rule {
    id: "ENC-VARIABLE-LENGTH",
    severity: Error,
    source: "RFC 7011 section 7",
    title: "a variable-length field reaches beyond its Set",
    wanted: "one length octet, or 255 and two; the length does not count itself",
    meaning: "the rest of the Set cannot be read",
    check: Stream,
};

/// B9.
pub static LIST: Rule = Rule {
    id: "ENC-LIST",
    severity: Error,
    source: "RFC 6313 section 4.5",
    title: "a list that its items do not fill",
    wanted: "items that end where the list ends; lengths in subTemplateMultiLists count their own four octets",
    meaning: "the list cannot be read",
    check: Record {
        applies: |view| !view.typed.lists.is_empty(),
        broken: |record| {
            let wrong = |&(index, kind): &(u16, DataType)| {
                let octets = record.field(usize::from(index));
                match kind {
                    DataType::BasicList => BasicList::decode(octets).is_err(),
                    DataType::SubTemplateMultiList => SubTemplateMultiList::decode(octets).is_err(),
                    _ => octets.len() < 3,
                }
            };
            record
                .view
                .typed
                .lists
                .iter()
                .find(|list| wrong(list))
                .map(|&(index, _)| usize::from(index))
        },
        saw: |record, index| {
            format!("{}: {}", record.view.label(index), view::hexadecimal(record.field(index)))
        },
    },
};

/// B9.
pub static LIST_TEMPLATE: Rule = Rule {
    id: "ENC-LIST-TEMPLATE",
    severity: Error,
    source: "RFC 6313 section 4.5.2",
    title: "a list whose template is not known",
    wanted: "the list's template sent and refreshed like any other",
    meaning: "the list cannot be read",
    check: Stream,
};

/// B5.
pub static BOOLEAN: Rule = Rule {
    id: "ENC-BOOLEAN",
    severity: Error,
    source: "RFC 7011 section 6.1.5",
    title: "a boolean that is neither 1 nor 2",
    wanted: "1 for true, 2 for false",
    meaning: "whether it is true is not known; 0 and 1 are read the wrong way round",
    check: Record {
        applies: |view| !view.typed.booleans.is_empty() && view.version == Version::Ipfix,
        broken: |record| {
            let wrong = |&&index: &&u16| !matches!(record.field(usize::from(index)), [1 | 2]);
            record.view.typed.booleans.iter().find(wrong).map(|&index| usize::from(index))
        },
        saw: value,
    },
};

/// Values outside the registry's range. flowLabelIPv6 and fragmentOffset have rules of their own.
pub static RANGE: Rule = Rule {
    id: "ENC-RANGE",
    severity: Error,
    source: "IANA registry of Information Elements, column Range",
    title: "a value outside its element's range",
    wanted: "a value within the range",
    meaning: "the value is garbage, or another element's",
    check: Record {
        applies: |view| view.typed.ranges.iter().any(|&(index, ..)| !has_own_rule(view, index)),
        broken: |record| {
            let wrong = |&&(index, low, high): &&(u16, u64, u64)| {
                let value = view::unsigned(record.field(usize::from(index)));
                value.is_some_and(|value| value < low || value > high)
                    && !has_own_rule(record.view, index)
            };
            record.view.typed.ranges.iter().find(wrong).map(|&(index, ..)| usize::from(index))
        },
        saw: value,
    },
};

fn has_own_rule(view: &View, index: u16) -> bool {
    view.fields.get(usize::from(index)).is_some_and(|field| matches!(field.id, 31 | 88))
}

/// B6.
pub static UTF8: Rule = Rule {
    id: "ENC-UTF8",
    severity: Warning,
    source: "RFC 7011 section 6.1.6",
    title: "a string that is not UTF-8",
    wanted: "well-formed UTF-8",
    meaning: "names are garbled, or the record is rejected",
    check: Record {
        applies: |view| !view.typed.strings.is_empty() && view.version == Version::Ipfix,
        broken: |record| {
            let wrong =
                |&&index: &&u16| std::str::from_utf8(record.field(usize::from(index))).is_err();
            record.view.typed.strings.iter().find(wrong).map(|&index| usize::from(index))
        },
        saw: |record, index| {
            format!("{}: {}", record.view.label(index), view::hexadecimal(record.field(index)))
        },
    },
};

/// B6.
pub static STRING_NUL: Rule = Rule {
    id: "ENC-STRING-NUL",
    severity: Note,
    source: "RFC 7011 section 6.1.6",
    title: "a string filled up with NUL octets",
    wanted: "variable length, or exactly the string's octets",
    meaning: "collectors that keep the octets never find the name",
    check: Record {
        applies: |view| !view.typed.strings.is_empty() && view.version == Version::Ipfix,
        broken: |record| {
            let wrong = |&&index: &&u16| matches!(record.field(usize::from(index)), [.., 0]);
            record.view.typed.strings.iter().find(wrong).map(|&index| usize::from(index))
        },
        saw: value,
    },
};

/// paddingOctets.
pub static PADDING_VALUE: Rule = Rule {
    id: "ENC-PADDING-OCTETS",
    severity: Warning,
    source: "IANA element 210",
    title: "paddingOctets that are not zero",
    wanted: "zero octets",
    meaning: "a value hides in the padding, or the record is shifted",
    check: Record {
        applies: |view| !view.typed.paddings.is_empty(),
        broken: |record| {
            let wrong =
                |&&index: &&u16| record.field(usize::from(index)).iter().any(|&octet| octet != 0);
            record.view.typed.paddings.iter().find(wrong).map(|&index| usize::from(index))
        },
        saw: value,
    },
};

/// B4.
pub static COUNTER_SATURATED: Rule = Rule {
    id: "ENC-COUNTER-SATURATED",
    severity: Warning,
    source: "RFC 7011 section 6.2",
    title: "a shortened counter at its largest value",
    wanted: "a length in which every value fits",
    meaning: "the count was cut",
    check: Record {
        applies: |view| !view.typed.reduced_counters.is_empty(),
        broken: |record| {
            let wrong = |&&index: &&u16| {
                let octets = record.field(usize::from(index));
                octets.len() > 1 && octets.iter().all(|&octet| octet == 0xff)
            };
            record.view.typed.reduced_counters.iter().find(wrong).map(|&index| usize::from(index))
        },
        saw: value,
    },
};

/// B1.
pub static ORDER_ETHERTYPE: Rule = Rule {
    id: "ENC-ORDER-ETHERTYPE",
    severity: Error,
    source: "RFC 7011 section 6.1.1; IANA element 256",
    title: "ethernetType in the wrong octet order",
    wanted: "0x86DD for IPv6, 0x0800 for IPv4, 0x8100 for a VLAN tag",
    meaning: "IPv6 is counted as an unknown kind of frame",
    check: Record {
        applies: |view| view.length(Slot::EtherType) == Some(2),
        broken: |record| {
            let swapped = matches!(
                record.unsigned(Slot::EtherType)?,
                0xdd86 | 0x0008 | 0x0608 | 0x0081 | 0x4788 | 0x4888 | 0xa888
            );
            swapped.then(|| record.view.field(Slot::EtherType)).flatten()
        },
        saw: |record, _| {
            format!("ethernetType = {:#06x}", record.unsigned(Slot::EtherType).unwrap_or(0))
        },
    },
};

/// Ports that are common as they are, and hardly ever seen with their octets swapped.
const COMMON_PORTS: [u16; 8] = [80, 443, 53, 22, 25, 123, 993, 8080];

/// B1.
pub static ORDER_PORTS: Rule = Rule {
    id: "ENC-ORDER-PORTS",
    severity: Error,
    source: "RFC 7011 section 6.1.1; IANA elements 7 and 11",
    title: "ports in the wrong octet order",
    wanted: "network byte order",
    meaning: "port 443 is counted as 47873",
    check: Tally {
        applies: |view| {
            view.is_flow()
                && view.has_all(&[Slot::SourcePort, Slot::DestinationPort, Slot::Protocol])
        },
        observe: |record, tally| {
            if !matches!(record.unsigned(Slot::Protocol), Some(6 | 17)) {
                return;
            }
            let Some((source, destination)) = record.ports() else { return };
            let common = |port: u64| COMMON_PORTS.iter().any(|&c| u64::from(c) == port);
            let swapped =
                |port: u64| COMMON_PORTS.iter().any(|&c| u64::from(c.swap_bytes()) == port);
            tally.n[0] += u64::from(common(source) || common(destination));
            if swapped(source) || swapped(destination) {
                tally.n[1] += 1;
                tally.keep(record, Slot::DestinationPort);
            }
        },
        judge: |tally, _| {
            (tally.n[1] >= 20 && tally.n[1] > 20 * tally.n[0]).then(|| {
                format!(
                    "{} records have a common port with its octets swapped, {} as it is",
                    tally.n[1], tally.n[0]
                )
            })
        },
    },
};

/// B1.
pub static ORDER_COUNTERS: Rule = Rule {
    id: "ENC-ORDER-COUNTERS",
    severity: Error,
    source: "RFC 7011 section 6.1.1; IANA element 2",
    title: "counters in the wrong octet order",
    wanted: "network byte order",
    meaning: "one packet is counted as 72057594037927936",
    check: Tally {
        applies: |view| {
            view.is_flow() && view.length(Slot::PacketDelta).is_some_and(|length| length >= 4)
        },
        observe: |record, tally| {
            let Some(packets) = record.unsigned(Slot::PacketDelta).filter(|&packets| packets != 0)
            else {
                return;
            };
            let half = record.octets_of(Slot::PacketDelta).map_or(0, |octets| octets.len() * 4);
            tally.n[0] += 1;
            tally.n[1] += u64::from(packets & ((1 << half) - 1) == 0);
            tally.keep(record, Slot::PacketDelta);
        },
        judge: |tally, _| {
            (tally.n[0] >= 20 && tally.n[1] == tally.n[0])
                .then(|| format!("the lower half is zero in all {} packet counts", tally.n[0]))
        },
    },
};

const VLANS: &[Slot] =
    &[Slot::Vlan, Slot::PostVlan, Slot::Dot1qVlan, Slot::CustomerVlan, Slot::PostDot1qVlan];

/// D25, B1.
pub static VLAN_RANGE: Rule = Rule {
    id: "ENC-VLAN-RANGE",
    severity: Error,
    source: "IANA elements 58 and 243; IEEE 802.1Q",
    title: "a VLAN identifier of more than 12 bits",
    wanted: "0 to 4094; the priority goes into dot1qPriority (244)",
    meaning: "priority bits or a wrong octet order: VLANs do not compare",
    check: Record {
        applies: |view| view.has_any(VLANS),
        broken: |record| {
            let wrong = |slot: &&Slot| record.unsigned(**slot).is_some_and(|vlan| vlan > 4095);
            record.view.field(*VLANS.iter().find(wrong)?)
        },
        saw: value,
    },
};

/// Low bits of a microsecond time.
pub static MICRO_BITS: Rule = Rule {
    id: "ENC-MICROSECOND-BITS",
    severity: Note,
    source: "RFC 7011 section 6.1.9",
    title: "a time in microseconds with more than microseconds",
    wanted: "the lowest 11 bits of the fraction zero",
    meaning: "harmless: they are to be ignored",
    check: Record {
        applies: |view| !view.typed.micros.is_empty(),
        broken: |record| {
            let wrong = |&&index: &&u16| {
                view::unsigned(record.field(usize::from(index))).unwrap_or(0) & 0x7ff != 0
            };
            record.view.typed.micros.iter().find(wrong).map(|&index| usize::from(index))
        },
        saw: |record: &Seen<'_>, index| {
            format!("{}: {}", record.view.label(index), view::hexadecimal(record.field(index)))
        },
    },
};
