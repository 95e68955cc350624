//! Flow records as rows: aligned by what has been seen, printed as they come.

use crate::collect::{Record, Version};
use crate::ipfix::time::Rfc3339;
use crate::ipfix::{Value, unsigned};
use ie_registry::{DataType, ie};
use std::fmt::Write;

/// Columns, and whether they are set to the right.
const COLUMNS: [(&str, bool); 10] = [
    ("START", false),
    ("SECONDS", true),
    ("PROTO", false),
    ("SOURCE", false),
    ("DESTINATION", false),
    ("PACKETS", true),
    ("OCTETS", true),
    ("FLAGS", false),
    ("LABEL", false),
    ("HEADERS", false),
];

/// Rows that are gathered before the first are printed, so that the columns fit most of what follows.
const GATHER: usize = 64;

type Row = [String; COLUMNS.len()];

/// Rows on their way.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Row>,
    widths: [usize; COLUMNS.len()],
    begun: bool,
    /// Records that are no flows: options records, or without addresses.
    pub(super) others: u64,
}

impl Table {
    /// Takes a record.
    pub(super) fn record(&mut self, record: &Record<'_>) {
        match row(record) {
            Some(row) => self.rows.push(row),
            None => self.others += 1,
        }
    }

    /// Writes the rows that have gathered. `all`: also if there are few.
    pub(super) fn rows(&mut self, all: bool, out: &mut String) {
        if self.rows.is_empty() || !all && self.rows.len() < GATHER && !self.begun {
            return;
        }
        let header: Row = COLUMNS.map(|(name, _)| name.to_owned());
        for row in self.rows.iter().chain([&header]) {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        if !std::mem::replace(&mut self.begun, true) {
            self.write(&header, out);
        }
        for row in std::mem::take(&mut self.rows) {
            self.write(&row, out);
        }
    }

    fn write(&self, row: &Row, out: &mut String) {
        let start = out.len();
        for ((cell, &width), (_, right)) in row.iter().zip(&self.widths).zip(COLUMNS) {
            // Writing to a String does not fail.
            let _ = if right {
                write!(out, "{cell:>width$}  ")
            } else {
                write!(out, "{cell:<width$}  ")
            };
        }
        let end = start + out.get(start..).map_or(0, |line| line.trim_end().len());
        out.truncate(end);
        out.push('\n');
    }
}

/// The row of a flow record; `None` if the record has no addresses or is an options record.
fn row(record: &Record<'_>) -> Option<Row> {
    if record.template.is_options() {
        return None;
    }
    let protocol = record.unsigned(ie::PROTOCOL_IDENTIFIER);
    let port = |id| record.unsigned(id).filter(|_| !matches!(protocol, Some(1 | 58)));
    let source = address(record, [ie::SOURCE_IPV6_ADDRESS, ie::SOURCE_IPV4_ADDRESS])?;
    let destination =
        address(record, [ie::DESTINATION_IPV6_ADDRESS, ie::DESTINATION_IPV4_ADDRESS])?;
    let (start, end) = times(record);
    let duration = match (start, end) {
        (Some(start), Some(end)) => Some(end - start),
        _ => record
            .unsigned(ie::FLOW_DURATION_MILLISECONDS)
            .and_then(|millis| i64::try_from(millis).ok()?.checked_mul(1_000_000)),
    };
    let number = |ids: [u16; 2]| {
        let value = ids.iter().find_map(|&id| record.unsigned(id));
        value.map_or_else(dash, |value| value.to_string())
    };
    Some([
        start.map_or_else(dash, |unix_nanos| Rfc3339 { unix_nanos, digits: 3 }.to_string()),
        duration.map_or_else(dash, |nanos| format!("{:.3}", nanos as f64 / 1e9)),
        protocol.map_or_else(dash, protocol_name),
        endpoint(source, port(ie::SOURCE_TRANSPORT_PORT)),
        endpoint(destination, port(ie::DESTINATION_TRANSPORT_PORT)),
        number([ie::PACKET_DELTA_COUNT, ie::PACKET_TOTAL_COUNT]),
        number([ie::OCTET_DELTA_COUNT, ie::OCTET_TOTAL_COUNT]),
        flags(record, protocol),
        record.unsigned(ie::FLOW_LABEL_IPV6).map_or_else(dash, |label| format!("0x{label:05x}")),
        headers(record),
    ])
}

fn dash() -> String {
    "-".to_owned()
}

/// The first address that is there and not zero, or else the first that is there.
fn address(record: &Record<'_>, ids: [u16; 2]) -> Option<String> {
    let there = ids.into_iter().filter_map(|id| {
        let field = record.field(0, id)?;
        let data_type = ie_registry::iana(id)?.data_type;
        match Value::decode(data_type, field.octets).ok()? {
            Value::Ipv4(address) => Some((address.is_unspecified(), address.to_string())),
            Value::Ipv6(address) => Some((address.is_unspecified(), address.to_string())),
            _ => None,
        }
    });
    there.min_by_key(|(unspecified, _)| *unspecified).map(|(_, text)| text)
}

fn endpoint(address: String, port: Option<u64>) -> String {
    match port {
        Some(port) if address.contains(':') => format!("[{address}]:{port}"),
        Some(port) => format!("{address}:{port}"),
        None => address,
    }
}

fn protocol_name(protocol: u64) -> String {
    let known = u8::try_from(protocol).ok().and_then(ie_registry::protocol_name);
    known.map_or_else(|| protocol.to_string(), str::to_owned)
}

/// Start and end of the flow, nanoseconds since 1970.
fn times(record: &Record<'_>) -> (Option<i64>, Option<i64>) {
    let time = |ids: [(u16, DataType); 4], uptime, before| {
        ids.into_iter()
            .find_map(|(id, data_type)| {
                let octets = record.field(0, id)?.octets;
                Value::decode(data_type, octets).ok()?.unix_nanos()
            })
            .or_else(|| since_start(record, record.unsigned(uptime)?))
            .or_else(|| {
                let before = i64::try_from(record.unsigned(before)?).ok()?.checked_mul(1000)?;
                Some(i64::from(record.message.header.export_time) * 1_000_000_000 - before)
            })
    };
    let types = [
        DataType::DateTimeNanoseconds,
        DataType::DateTimeMicroseconds,
        DataType::DateTimeMilliseconds,
        DataType::DateTimeSeconds,
    ];
    let with = |ids: [u16; 4]| {
        let [a, b, c, d] = ids;
        [(a, types[0]), (b, types[1]), (c, types[2]), (d, types[3])]
    };
    let start = with([
        ie::FLOW_START_NANOSECONDS,
        ie::FLOW_START_MICROSECONDS,
        ie::FLOW_START_MILLISECONDS,
        ie::FLOW_START_SECONDS,
    ]);
    let end = with([
        ie::FLOW_END_NANOSECONDS,
        ie::FLOW_END_MICROSECONDS,
        ie::FLOW_END_MILLISECONDS,
        ie::FLOW_END_SECONDS,
    ]);
    (
        time(start, ie::FLOW_START_SYS_UP_TIME, ie::FLOW_START_DELTA_MICROSECONDS),
        time(end, ie::FLOW_END_SYS_UP_TIME, ie::FLOW_END_DELTA_MICROSECONDS),
    )
}

/// A time in milliseconds since the exporter started. NetFlow says in its header when that was; IPFIX in
/// `systemInitTimeMilliseconds`, if the record has it.
fn since_start(record: &Record<'_>, millis: u64) -> Option<i64> {
    let header = &record.message.header;
    if record.message.version == Version::Ipfix {
        let init = i64::try_from(record.unsigned(ie::SYSTEM_INIT_TIME_MILLISECONDS)?).ok()?;
        return init.checked_add(i64::try_from(millis).ok()?)?.checked_mul(1_000_000);
    }
    let now = i64::from(header.export_time) * 1000 + i64::from(header.export_nanos) / 1_000_000;
    // Both counts wrap after 49.7 days: only their distance counts.
    let before = header.uptime?.wrapping_sub(millis as u32).cast_signed();
    Some((now - i64::from(before)) * 1_000_000)
}

/// TCP flags as letters in order of their bits, or ICMP type and code.
fn flags(record: &Record<'_>, protocol: Option<u64>) -> String {
    const LETTERS: [(u64, char); 9] = [
        (1 << 8, 'N'),
        (1 << 7, 'C'),
        (1 << 6, 'E'),
        (1 << 5, 'U'),
        (1 << 4, 'A'),
        (1 << 3, 'P'),
        (1 << 2, 'R'),
        (1 << 1, 'S'),
        (1, 'F'),
    ];
    let icmp = |whole, kind, code| {
        let both = record.unsigned(whole).map(|both| (both >> 8, both & 255));
        both.or_else(|| Some((record.unsigned(kind)?, record.unsigned(code).unwrap_or(0))))
    };
    let icmp = match protocol {
        Some(58) => icmp(ie::ICMP_TYPE_CODE_IPV6, ie::ICMP_TYPE_IPV6, ie::ICMP_CODE_IPV6),
        Some(1) => icmp(ie::ICMP_TYPE_CODE_IPV4, ie::ICMP_TYPE_IPV4, ie::ICMP_CODE_IPV4),
        _ => None,
    };
    match (icmp, record.unsigned(ie::TCP_CONTROL_BITS), protocol) {
        (Some((kind, code)), ..) => format!("{kind}/{code}"),
        (None, Some(bits), Some(6) | None) => {
            LETTERS.iter().map(|&(bit, c)| if bits & bit == 0 { '.' } else { c }).collect()
        }
        _ => dash(),
    }
}

/// Names of the extension headers seen (RFC 9740), or the bits of the deprecated element, whose numbering is not known.
fn headers(record: &Record<'_>) -> String {
    if let Some(field) = record.field(0, ie::IPV6_EXTENSION_HEADERS_FULL) {
        let skip = field.octets.len().saturating_sub(8);
        let Some(bits) = field.octets.get(skip..).and_then(unsigned) else { return dash() };
        let names: Vec<_> = ie_registry::EXTENSION_HEADER_BITS
            .iter()
            .filter(|known| bits >> known.bit & 1 != 0)
            .map(|known| known.label)
            .collect();
        return if names.is_empty() { dash() } else { names.join(",") };
    }
    match record.unsigned(ie::IPV6_EXTENSION_HEADERS) {
        Some(bits) if bits != 0 => format!("(64: 0x{bits:x})"),
        _ => dash(),
    }
}
