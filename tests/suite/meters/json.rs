//! Records as `sixtap probe` writes them in JSON, in the reference's terms.

use super::{Elements, View};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Elements that do not describe packets.
const OF_THE_EXPORTER: &[&str] = &[];

/// What `sixtap probe` writes of a capture with the full template.
pub fn probe(path: &Path, more: &[&str]) -> Vec<Elements> {
    run(path, &[&["--template", "full"], more].concat())
}

/// What `sixtap probe` writes of a capture.
pub fn run(path: &Path, words: &[&str]) -> Vec<Elements> {
    let done = Command::new(env!("CARGO_BIN_EXE_sixtap"))
        .args(["probe", "--flows", "65536", "-c", "json:-"])
        .args(words)
        .arg("-r")
        .arg(path)
        .output()
        .expect("the probe starts");
    let text = String::from_utf8(done.stdout).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

fn number(elements: &Elements, name: &str) -> u64 {
    elements.get(name).and_then(Value::as_u64).unwrap_or(0)
}

fn text<'a>(elements: &'a Elements, names: [&str; 2]) -> &'a str {
    names.iter().find_map(|name| elements.get(*name)).and_then(Value::as_str).unwrap_or("-")
}

/// What tells flows apart, as far as a record shows it.
pub fn key(elements: &Elements) -> String {
    let source = text(elements, ["sourceIPv6Address", "sourceIPv4Address"]);
    let destination = text(elements, ["destinationIPv6Address", "destinationIPv4Address"]);
    let numbers = [
        "protocolIdentifier",
        "sourceTransportPort",
        "destinationTransportPort",
        "icmpTypeCodeIPv6",
        "icmpTypeCodeIPv4",
        "dot1qVlanId",
        "dot1qCustomerVlanId",
        "sixtap:tunnelLevel",
    ]
    .map(|name| number(elements, name).to_string());
    format!("{source} > {destination} {}{}", numbers.join(" "), super::carrier(elements))
}

/// Milliseconds since the UNIX epoch of `2010-12-21T17:24:50.966Z`.
fn milliseconds(text: &str) -> Option<u64> {
    let numbers: Vec<u64> =
        text.split(['-', 'T', ':', '.', 'Z']).filter_map(|n| n.parse().ok()).collect();
    let [year, month, day, hour, minute, second, thousandth] = numbers[..] else { return None };
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1;
    let days = days.checked_sub(719_468)?;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + thousandth)
}

/// The JSON value of an element in the reference's terms.
pub fn plain(name: &str, value: &Value) -> Value {
    match name {
        "flowStartMilliseconds" | "flowEndMilliseconds" => {
            json!(value.as_str().and_then(milliseconds))
        }
        "ipv6ExtensionHeaderTypeCountList" => {
            let run = |run: &Value| {
                json!([run["ipv6ExtensionHeaderType"], run["ipv6ExtensionHeaderCount"]])
            };
            json!([value.as_array().map(|runs| runs.iter().map(run).collect::<Vec<_>>())])
        }
        "ipv6ExtensionHeaderChainLengthList" => {
            let one = |one: &Value| {
                json!([one["ipv6ExtensionHeadersFull"], one["ipv6ExtensionHeadersChainLength"]])
            };
            json!(value.as_array().map(|list| list.iter().map(one).collect::<Vec<_>>()))
        }
        "tcpOptionsFull" => json!(kinds(value)),
        _ => value.clone(),
    }
}

/// The bits of `tcpOptionsFull`: a number, or hexadecimal where it does not fit one.
fn kinds(value: &Value) -> Vec<u8> {
    let digits = match value {
        Value::String(text) => text.trim_start_matches("0x").to_owned(),
        other => format!("{:x}", other.as_u64().unwrap_or(0)),
    };
    let bit = |kind: u8| {
        let from_the_right = usize::from(kind / 4);
        let digit = digits.chars().rev().nth(from_the_right).and_then(|digit| digit.to_digit(16));
        digit.unwrap_or(0) >> (kind % 4) & 1 != 0
    };
    (0..=255).filter(|kind| bit(*kind)).collect()
}

/// Whether a record without the element says that it has this value.
fn may_be_absent(name: &str, value: &Value, record: &Elements, truth: &Elements) -> bool {
    let chains = number(truth, "sixtap:ipv6ExtensionHeaderChainDistinctCount");
    let unchanged = |what: &str| number(truth, &format!("sixtap:{what}DistinctCount")) == 1;
    match name {
        _ if value.is_null() || [json!(0), json!(false), json!([])].contains(value) => true,
        // One list of segments is enough: the others are for template files.
        "srhSegmentIPv6ListSection" | "srhIPv6Section" => true,
        // A flow with nothing but 59 or an unknown upper layer has no headers to list.
        "ipv6ExtensionHeaderTypeCountList" if *value == json!([[]]) => true,
        // Whatever changed within the flow is told; what did not is in the element of the first packet.
        _ if name.starts_with("sixtap:flowLabel") => unchanged("flowLabel"),
        _ if name.starts_with("sixtap:trafficClass") => unchanged("trafficClass"),
        _ if name.starts_with("sixtap:hopLimit") => unchanged("hopLimit"),
        "ipv6ExtensionHeadersLimit" => chains == 0,
        // RFC 9740 section 3.3: 515 is not sent beside 516 or 519, which say more.
        "ipv6ExtensionHeadersFull" => {
            record.contains_key("ipv6ExtensionHeaderTypeCountList")
                || record.contains_key("ipv6ExtensionHeaderChainLengthList")
        }
        "ipv6ExtensionHeaderTypeCountList" | "ipv6ExtensionHeadersChainLength" => chains > 1,
        "ipv6ExtensionHeaderChainLengthList" => chains == 1,
        _ => false,
    }
}

/// Every element of the truth against the record, and the other way round.
fn compare(record: &Elements, truth: &Elements, mut note: impl FnMut(&str, Value, Value)) {
    for (name, value) in truth {
        match record.get(name) {
            _ if ["first", "last"].contains(&name.as_str()) => {}
            Some(found) if plain(name, found) == *value => {}
            Some(found) => note(name, found.clone(), value.clone()),
            None if may_be_absent(name, value, record, truth) => {}
            None => note(name, Value::Null, value.clone()),
        }
    }
    for (name, value) in record.iter().filter(|(name, _)| !truth.contains_key(*name)) {
        let nothing = [json!(0), json!(false), json!([]), Value::Null].contains(value);
        if !nothing && !OF_THE_EXPORTER.contains(&name.as_str()) {
            note(name, value.clone(), Value::Null);
        }
    }
}

fn order(elements: &Elements) -> [u64; 3] {
    let start = match elements.get("flowStartMilliseconds") {
        Some(Value::String(text)) => milliseconds(text).unwrap_or(0),
        Some(other) => other.as_u64().unwrap_or(0),
        None => 0,
    };
    [start, number(elements, "packetDeltaCount"), number(elements, "octetDeltaCount")]
}

/// Both sides by key, each key's records in order.
pub fn by_key(records: Vec<Elements>) -> BTreeMap<String, Vec<Elements>> {
    let mut keys = BTreeMap::<String, Vec<Elements>>::new();
    for record in records {
        keys.entry(key(&record)).or_default().push(record);
    }
    for records in keys.values_mut() {
        records.sort_by_key(order);
    }
    keys
}

/// What is not equal in the records and the reference's view of the same frames.
pub fn differences(records: Vec<Elements>, truth: View, mut note: impl FnMut(String)) {
    let records = by_key(records);
    let truth = by_key(truth.records.into_values().flatten().collect());
    for key in records.keys().filter(|key| !truth.contains_key(*key)) {
        note(format!("{key}: no such flow in the reference"));
    }
    for (key, truth) in &truth {
        let Some(records) = records.get(key) else {
            note(format!("{key}: not in the export"));
            continue;
        };
        if records.len() != truth.len() {
            note(format!("{key}: {} records, reference {}", records.len(), truth.len()));
            continue;
        }
        for (record, truth) in records.iter().zip(truth) {
            compare(record, truth, |name, found, value| {
                note(format!("{key}: {name}: exported {found}, reference {value}"));
            });
        }
    }
}
