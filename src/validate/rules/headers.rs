//! Rules about the elements that list IPv6 extension headers: 64, and those of RFC 9740.

use super::Check::{Record, Template};
use super::{Rule, TemplateFault};
use crate::validate::finding::Severity::{Error, Note, Warning};
use crate::validate::view::{self, Slot};

const ICMPV6: u64 = 58;

type Seen<'a> = view::Record<'a>;

/// Bits of ipv6ExtensionHeaders (64) after erratum 1738 of RFC 5102, bit 0 the least significant.
const REGISTRY_64: [(u64, u32); 4] = [(0, 1), (43, 5), (60, 0), (51, 14)];
/// Bits as RFC 5102 printed them.
const PRINTED_64: [(u64, u32); 4] = [(0, 6), (43, 2), (60, 7), (51, 9)];

/// How IE 64 could have been numbered so that it agrees with `next_header`, the first header of the chain.
fn readings_64(value: u64, bits: u32, next_header: u64) -> Vec<&'static str> {
    let set = |table: &[(u64, u32)], from_left: bool| {
        table.iter().find(|(header, _)| *header == next_header).is_some_and(|&(_, bit)| {
            let bit = if from_left { bits.saturating_sub(1).saturating_sub(bit) } else { bit };
            value >> bit & 1 == 1
        })
    };
    let mut found = Vec::new();
    for (name, table, left) in [
        ("the registry's bits, bit 0 on the right", &REGISTRY_64, false),
        ("the registry's bits, bit 0 on the left", &REGISTRY_64, true),
        ("RFC 5102's bits, bit 0 on the right", &PRINTED_64, false),
        ("RFC 5102's bits, bit 0 on the left", &PRINTED_64, true),
    ] {
        if set(table, left) {
            found.push(name);
        }
    }
    found
}

/// C25.
pub static HEADERS_64_CONTRADICT: Rule = Rule {
    id: "V6-EH64-NUMBERING",
    severity: Warning,
    source: "IANA element 64 and its errata; RFC 9740",
    title: "ipv6ExtensionHeaders contradicts nextHeaderIPv6",
    wanted: "the bit of the header that nextHeaderIPv6 names; better, ipv6ExtensionHeadersFull (515)",
    meaning: "which extension headers a flow had cannot be told; three numberings are in use",
    check: Record {
        applies: |view| view.has_all(&[Slot::ExtensionHeaders, Slot::NextHeader]),
        broken: |record| {
            let bits = record.unsigned(Slot::ExtensionHeaders)?;
            let next = record.unsigned(Slot::NextHeader)?;
            let index = record.view.field(Slot::ExtensionHeaders)?;
            if !REGISTRY_64.iter().any(|(header, _)| *header == next) || !record.is_ipv6() {
                let plain = matches!(next, 6 | 17 | ICMPV6) && record.packet_count() == Some(1);
                return (plain && bits != 0).then_some(index);
            }
            let width = record.field(index).len() as u32 * 8;
            let readings = readings_64(bits, width, next);
            let registry = readings.iter().any(|name| name.starts_with("the registry's"));
            (!registry).then_some(index)
        },
        saw: |record, index| {
            let (bits, next) = (
                record.unsigned(Slot::ExtensionHeaders).unwrap_or(0),
                record.unsigned(Slot::NextHeader).unwrap_or(0),
            );
            let readings = readings_64(bits, record.field(index).len() as u32 * 8, next);
            let readings = if readings.is_empty() {
                "no known numbering".to_owned()
            } else {
                readings.join(", ")
            };
            format!(
                "ipv6ExtensionHeaders = {bits:#x}, nextHeaderIPv6 = {next}: agrees with {readings}"
            )
        },
    },
};

/// C26.
pub static HEADERS_BOTH: Rule = Rule {
    id: "V6-EH515-AND-516",
    severity: Error,
    source: "RFC 9740 section 3.4",
    title: "ipv6ExtensionHeadersFull and ipv6ExtensionHeaderTypeCountList in one record",
    wanted: "one of the two for a flow",
    meaning: "headers are counted twice",
    check: Template(|view| {
        if view.has_all(&[Slot::HeadersFull, Slot::HeaderTypeCounts]) {
            vec![TemplateFault::slot(
                view,
                Slot::HeaderTypeCounts,
                "and ipv6ExtensionHeadersFull (515)",
            )]
        } else {
            Vec::new()
        }
    }),
};

/// The 256 bits of element 515 as far as they are assigned (bits 0 to 13), and whether others are set.
fn headers_full(record: &Seen<'_>) -> Option<(u16, bool)> {
    let octets = record.octets_of(Slot::HeadersFull)?;
    let (upper, lower) = octets.split_at(octets.len().saturating_sub(2));
    let bits = unsigned16(lower);
    Some((bits & 0x3fff, bits & 0xc000 != 0 || upper.iter().any(|&o| o != 0)))
}

fn unsigned16(octets: &[u8]) -> u16 {
    octets.iter().fold(0, |value, &octet| value << 8 | u16::from(octet))
}

/// Bits 14 to 255 of 515.
pub static HEADERS_BITS: Rule = Rule {
    id: "V6-EH515-BITS",
    severity: Error,
    source: "RFC 9740 section 3.3; IANA registry of ipv6ExtensionHeaders bits",
    title: "ipv6ExtensionHeadersFull has unassigned bits set",
    wanted: "bits 0 to 13; bit 0 is the lowest bit of the last octet, leading zero octets may be left out",
    meaning: "the number was written from the wrong end: every header is misread",
    check: Record {
        applies: |view| view.has(Slot::HeadersFull),
        broken: |record| {
            let (_, beyond) = headers_full(record)?;
            beyond.then(|| record.view.field(Slot::HeadersFull)).flatten()
        },
        saw: |record, index| {
            format!("ipv6ExtensionHeadersFull = {}", view::hexadecimal(record.field(index)))
        },
    },
};

/// The bits of 515 that a first header of this type allows.
fn bits_of_first(next_header: u64) -> Option<u16> {
    Some(match next_header {
        60 => 1,
        0 => 1 << 1,
        59 => 1 << 2,
        44 => 1 << 4 | 1 << 6,
        43 => 1 << 5,
        135 => 1 << 7,
        50 => 1 << 8,
        51 => 1 << 9,
        139 => 1 << 10,
        140 => 1 << 11,
        253 => 1 << 12,
        254 => 1 << 13,
        _ => return None,
    })
}

/// B11.
pub static HEADERS_CONTRADICT: Rule = Rule {
    id: "V6-EH515-CONTRADICTS",
    severity: Error,
    source: "RFC 9740 section 3.3",
    title: "ipv6ExtensionHeadersFull contradicts nextHeaderIPv6",
    wanted: "the bit of the header that nextHeaderIPv6 names, and none if the flow's only packet has no chain",
    meaning: "bits are numbered wrongly: which extension headers a flow had cannot be told",
    check: Record {
        applies: |view| view.has_all(&[Slot::HeadersFull, Slot::NextHeader]),
        broken: |record| {
            let (bits, beyond) = headers_full(record)?;
            let next = record.unsigned(Slot::NextHeader)?;
            // Of a chain that was cut, what stands first may not have been seen whole.
            let cut = record.unsigned(Slot::HeadersLimit) == Some(2);
            if beyond || cut || !record.is_ipv6() {
                return None;
            }
            let wrong = match bits_of_first(next) {
                Some(expected) => bits & expected == 0,
                None => {
                    matches!(next, 6 | 17 | ICMPV6)
                        && record.packet_count() == Some(1)
                        && bits & !8 != 0
                }
            };
            wrong.then(|| record.view.field(Slot::HeadersFull)).flatten()
        },
        saw: |record, index| {
            let octets = view::hexadecimal(record.field(index));
            format!("ipv6ExtensionHeadersFull = {octets}, {}", record.show(Slot::NextHeader))
        },
    },
};

/// C33.
pub static HEADERS_NO_LIMIT: Rule = Rule {
    id: "V6-EH515-NO-LIMIT",
    severity: Note,
    source: "RFC 9740 section 3.6",
    title: "extension headers without ipv6ExtensionHeadersLimit",
    wanted: "ipv6ExtensionHeadersLimit (517) beside ipv6ExtensionHeadersFull (515)",
    meaning: "whether the list of headers is complete is not known",
    check: Template(|view| {
        if view.has(Slot::HeadersFull) && !view.has(Slot::HeadersLimit) {
            vec![TemplateFault::slot(view, Slot::HeadersFull, "no ipv6ExtensionHeadersLimit (517)")]
        } else {
            Vec::new()
        }
    }),
};
