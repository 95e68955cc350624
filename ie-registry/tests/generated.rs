//! The tables say what the CSV files say, by two ways: the script makes the same file again, and every row is compared.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end so")]

use ie_registry::{DataType, Element, Reversal, Semantics, Status, Units, ie};
use std::path::Path;
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Rows of a CSV file as fields; quotes around a field with commas are understood, quotes inside are not needed.
fn rows(name: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(Path::new(ROOT).join(name)).unwrap();
    text.lines().skip(1).map(fields).collect()
}

fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            _ => fields.last_mut().unwrap().push(c),
        }
    }
    fields
}

#[test]
fn the_script_makes_the_committed_tables() {
    let script = Path::new(ROOT).join("../scripts/registry-update");
    let output = match Command::new("python3").arg(&script).arg("--check").output() {
        Ok(output) => output,
        Err(error) => {
            eprintln!(
                "NOT TESTED: python3 is missing ({error}); scripts/registry-update was not run"
            );
            return;
        }
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn check(element: &Element, row: &[String], kind: usize) {
    let semantics = if row[kind + 1].is_empty() { "default" } else { &row[kind + 1] };
    assert_eq!(element.id, row[0].parse::<u16>().unwrap());
    assert_eq!(element.name, row[1]);
    assert_eq!(element.data_type, DataType::from_name(&row[kind]).unwrap(), "{}", row[1]);
    assert_eq!(element.semantics, Semantics::from_name(semantics).unwrap(), "{}", row[1]);
    assert_eq!(element.default_length, element.data_type.default_length());
}

#[test]
fn every_iana_row_is_an_element() {
    let rows = rows("iana.csv");
    assert_eq!(ie_registry::all_iana().len(), rows.len());
    assert!(rows.len() >= 502, "elements only ever get more");
    for row in &rows {
        let id = row[0].parse().unwrap();
        let element = ie_registry::iana(id).unwrap();
        check(element, row, 2);
        assert_eq!(element.status == Status::Deprecated, row[4] == "deprecated");
        let units = if row[5].is_empty() { "none" } else { &row[5] };
        assert_eq!(element.units, Units::from_name(units).unwrap());
        assert_eq!(element.range.is_some(), !row[6].is_empty());
        assert_eq!(element.reversible, row[7] == "yes");
        assert_eq!(ie_registry::by_name(&row[1]), Some(element));
        let reverse = ie_registry::reverse(id).unwrap();
        assert!(reverse.name.starts_with("reverse") && reverse.name.len() == row[1].len() + 7);
        assert_eq!(reverse.enterprise, ie_registry::REVERSE_PEN);
        assert_eq!(reverse.data_type, element.data_type);
    }
}

#[test]
fn every_own_row_is_an_element_with_a_description() {
    for row in rows("sixtap.csv") {
        let id = row[0].parse().unwrap();
        let element = ie_registry::sixtap(id).unwrap();
        check(element, &row, 2);
        assert_eq!(ie_registry::sixtap_description(id), Some(row[6].as_str()));
        assert_eq!(ie_registry::by_name(&format!("sixtap:{}", row[1])), Some(element));
        assert!(!ie_registry::USER_DEFINED.contains(&id));
        assert!(ie_registry::all_iana().iter().all(|iana| iana.name != row[1]), "a name of IANA's");
    }
}

#[test]
fn numbers_without_an_element_have_none() {
    for id in [0, 416, 419, 534, 1000, u16::MAX] {
        assert_eq!(ie_registry::iana(id), None);
        assert_eq!(ie_registry::reverse(id), None);
    }
    assert_eq!(ie_registry::sixtap(0), None);
    assert_eq!(ie_registry::sixtap(1000), None);
    assert_eq!(ie_registry::by_name(""), None);
    assert_eq!(ie_registry::by_name("flowlabelipv6"), None);
}

#[test]
fn well_known_elements() {
    assert_eq!(ie::FLOW_LABEL_IPV6, 31);
    assert_eq!(ie::IPV6_EXTENSION_HEADERS_FULL, 515);
    let full = ie_registry::iana(515).unwrap();
    assert_eq!((full.data_type, full.default_length), (DataType::Unsigned256, 32));
    assert_eq!(DataType::Unsigned256.code(), 23);
    assert_eq!(ie_registry::iana(31).unwrap().range, Some((0, 0xf_ffff)));
    assert_eq!(ie_registry::iana(64).unwrap().status, Status::Deprecated);
    assert_eq!(ie_registry::iana(148).unwrap().reversal, Reversal::No);
    let reverse = ie_registry::by_name("reverseOctetDeltaCount").unwrap();
    assert_eq!((reverse.id, reverse.enterprise, reverse.reversible), (1, 29305, true));
    assert_eq!(ie_registry::lookup(0, 2, 7).unwrap().name, "packetDeltaCount");
    assert_eq!(ie_registry::lookup(7, 1, 7).unwrap().name, "fragmentMinimumOffset");
    assert_eq!(ie_registry::lookup(8, 1, 7), None);
}

#[test]
fn lengths() {
    let cases: [(DataType, &[u16], &[u16]); 8] = [
        (DataType::Unsigned8, &[1], &[0, 2, 65535]),
        (DataType::Unsigned32, &[1, 2, 3, 4], &[0, 5, 65535]),
        (DataType::Unsigned256, &[1, 2, 31, 32], &[0, 33]),
        (DataType::Float64, &[4, 8], &[0, 1, 2, 3, 5, 7, 9]),
        (DataType::Float32, &[4], &[2, 8]),
        (DataType::DateTimeMilliseconds, &[8], &[4, 7]),
        (DataType::Ipv6Address, &[16], &[15, 4, 65535]),
        (DataType::String, &[0, 1, 64, 65535], &[]),
    ];
    for (data_type, valid, invalid) in cases {
        assert!(valid.iter().all(|&length| data_type.is_valid_length(length)), "{data_type:?}");
        assert!(!invalid.iter().any(|&length| data_type.is_valid_length(length)), "{data_type:?}");
    }
}

#[test]
fn codes_round_trip() {
    for data_type in DataType::ALL {
        assert_eq!(DataType::from_code(data_type.code()), Some(*data_type));
    }
    for semantics in Semantics::ALL {
        assert_eq!(Semantics::from_code(semantics.code()), Some(*semantics));
    }
    for units in Units::ALL {
        assert_eq!(Units::from_code(units.code()), Some(*units));
    }
    let registry = ie_registry::subregistry("ipfix-information-element-data-types").unwrap();
    for data_type in DataType::ALL {
        assert_eq!(registry.label(u32::from(data_type.code())), Some(data_type.name()));
    }
    let registry = ie_registry::subregistry("ipfix-information-element-units").unwrap();
    for units in Units::ALL {
        assert_eq!(registry.label(u32::from(units.code())), Some(units.name()));
    }
}

#[test]
fn extension_headers_and_their_bits() {
    let headers: Vec<u8> =
        (0..=255).filter(|&p| ie_registry::is_ipv6_extension_header(p)).collect();
    assert_eq!(headers, [0, 43, 44, 50, 51, 60, 135, 139, 140, 147, 253, 254]);
    let bits = [(60, 0), (0, 1), (59, 2), (44, 4), (43, 5), (135, 7), (50, 8), (51, 9), (139, 10)];
    for (protocol, bit) in bits {
        assert_eq!(ie_registry::extension_header_bit(protocol, false), bit);
    }
    assert_eq!(ie_registry::extension_header_bit(44, true), 6);
    assert_eq!(ie_registry::extension_header_bit(147, false), 3, "no bit of its own: UNK");
    assert_eq!(ie_registry::protocol_name(58), Some("IPv6-ICMP"));
    assert_eq!(ie_registry::protocol_name(200), None);
}
