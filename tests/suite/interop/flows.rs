//! Flows as every side of a comparison can state them: values by element number, as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// One record: IANA element number to value. Numbers are decimal, addresses as the standard library writes them,
/// times milliseconds since the epoch.
pub(crate) type Record = BTreeMap<u16, String>;

/// Records under one Flow Key, put together.
pub(crate) type Flows = BTreeMap<String, Record>;

/// Element numbers that this test speaks of (IANA IPFIX registry).
pub(crate) mod ie {
    pub(crate) const OCTETS: u16 = 1;
    pub(crate) const PACKETS: u16 = 2;
    pub(crate) const PROTOCOL: u16 = 4;
    pub(crate) const CLASS: u16 = 5;
    pub(crate) const TCP_FLAGS: u16 = 6;
    pub(crate) const SOURCE_PORT: u16 = 7;
    pub(crate) const SOURCE_V4: u16 = 8;
    pub(crate) const DESTINATION_PORT: u16 = 11;
    pub(crate) const DESTINATION_V4: u16 = 12;
    pub(crate) const LENGTH_MINIMUM: u16 = 25;
    pub(crate) const LENGTH_MAXIMUM: u16 = 26;
    pub(crate) const SOURCE_V6: u16 = 27;
    pub(crate) const DESTINATION_V6: u16 = 28;
    pub(crate) const FLOW_LABEL: u16 = 31;
    pub(crate) const ICMP_V4: u16 = 32;
    pub(crate) const TTL_MINIMUM: u16 = 52;
    pub(crate) const TTL_MAXIMUM: u16 = 53;
    pub(crate) const IDENTIFICATION: u16 = 54;
    pub(crate) const VLAN: u16 = 58;
    pub(crate) const IP_VERSION: u16 = 60;
    pub(crate) const EXTENSION_HEADERS: u16 = 64;
    pub(crate) const FRAGMENT_OFFSET: u16 = 88;
    pub(crate) const ICMP_V6: u16 = 139;
    pub(crate) const START: u16 = 152;
    pub(crate) const END: u16 = 153;
    pub(crate) const ICMP_TYPE_V4: u16 = 176;
    pub(crate) const ICMP_CODE_V4: u16 = 177;
    pub(crate) const ICMP_TYPE_V6: u16 = 178;
    pub(crate) const ICMP_CODE_V6: u16 = 179;
    pub(crate) const NEXT_HEADER: u16 = 193;
    pub(crate) const FRAGMENT_FLAGS: u16 = 197;

    /// All of them.
    pub(crate) const COMPARED: &[u16] = &[
        OCTETS,
        PACKETS,
        PROTOCOL,
        CLASS,
        TCP_FLAGS,
        SOURCE_PORT,
        SOURCE_V4,
        DESTINATION_PORT,
        DESTINATION_V4,
        LENGTH_MINIMUM,
        LENGTH_MAXIMUM,
        SOURCE_V6,
        DESTINATION_V6,
        FLOW_LABEL,
        ICMP_V4,
        TTL_MINIMUM,
        TTL_MAXIMUM,
        IDENTIFICATION,
        VLAN,
        IP_VERSION,
        EXTENSION_HEADERS,
        FRAGMENT_OFFSET,
        ICMP_V6,
        START,
        END,
        ICMP_TYPE_V4,
        ICMP_CODE_V4,
        ICMP_TYPE_V6,
        ICMP_CODE_V6,
        NEXT_HEADER,
        FRAGMENT_FLAGS,
    ];
}

/// Name of an element, as IANA spells it.
pub(crate) fn name(element: u16) -> &'static str {
    ie_registry::iana(element).map_or("?", |found| found.name)
}

pub(crate) fn number(record: &Record, element: u16) -> Option<u64> {
    record.get(&element).and_then(|text| text.parse().ok())
}

/// The Flow Key in words: addresses, protocol, ports or ICMP type and code, VLAN.
pub(crate) fn key(record: &Record) -> String {
    let mut text = String::new();
    let mut put = |elements: &[u16]| {
        let value = elements.iter().find_map(|element| record.get(element));
        write!(text, "{} ", value.map_or("0", String::as_str)).expect("a string takes all");
    };
    put(&[ie::SOURCE_V6, ie::SOURCE_V4]);
    put(&[ie::DESTINATION_V6, ie::DESTINATION_V4]);
    put(&[ie::PROTOCOL]);
    let ported = matches!(number(record, ie::PROTOCOL), Some(6 | 17 | 33 | 132 | 136));
    if ported {
        put(&[ie::SOURCE_PORT]);
        put(&[ie::DESTINATION_PORT]);
    } else if matches!(number(record, ie::PROTOCOL), Some(1 | 58)) {
        put(&[ie::ICMP_V6, ie::ICMP_V4]);
    }
    if number(record, ie::VLAN).is_some_and(|vlan| vlan != 0) {
        text.push_str("vlan ");
        text.push_str(&record[&ie::VLAN]);
    }
    text.trim_end().to_owned()
}

/// Puts the records of each key together: sums, minima, maxima, unions, and else the value of the earliest.
pub(crate) fn by_key(records: impl IntoIterator<Item = Record>) -> Flows {
    let mut flows = Flows::new();
    for record in records {
        let Some(flow) = flows.get_mut(&key(&record)) else {
            flows.insert(key(&record), record);
            continue;
        };
        let earlier = number(&record, ie::START) < number(flow, ie::START);
        for (element, value) in record {
            let Some(held) = flow.get_mut(&element) else {
                flow.insert(element, value);
                continue;
            };
            let (Ok(a), Ok(b)) = (held.parse::<u64>(), value.parse::<u64>()) else { continue };
            let together = match element {
                ie::OCTETS | ie::PACKETS => a + b,
                ie::LENGTH_MINIMUM | ie::TTL_MINIMUM | ie::START => a.min(b),
                ie::LENGTH_MAXIMUM | ie::TTL_MAXIMUM | ie::END => a.max(b),
                ie::TCP_FLAGS | ie::EXTENSION_HEADERS => a | b,
                _ if earlier => b,
                _ => a,
            };
            *held = together.to_string();
        }
    }
    flows
}

/// Packets and octets of all records.
pub(crate) fn totals<'a>(records: impl IntoIterator<Item = &'a Record>) -> (u64, u64) {
    records.into_iter().fold((0, 0), |(packets, octets), record| {
        (
            packets + number(record, ie::PACKETS).unwrap_or(0),
            octets + number(record, ie::OCTETS).unwrap_or(0),
        )
    })
}
