//! One row an element: the crafted case that shows it, the value, and where the value comes from.
//!
//! Each row holds three to each other: the value written here, the record that `sixtap probe` exports, and the reference. Every
//! element that a preset carries must have a row.

use crate::meters::json::{plain, run};
use crate::meters::{Asked, Elements, frames, slow};
use serde_json::{Value, json};
use sixtap::meter::packet::TunnelMode;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// One element shown.
struct Row {
    element: &'static str,
    /// A case of `sixtap craft`.
    case: &'static str,
    /// Words for `sixtap probe`.
    words: &'static [&'static str],
    value: Value,
    /// Why it has this value.
    source: &'static str,
}

const FULL: &[&str] = &["--template", "full"];
const DEFAULT: &[&str] = &["--template", "default"];
const INNER: &[&str] = &["--template", "full", "--tunnel", "inner"];

/// Elements without a row, and why.
const WITHOUT: &[(&str, &str)] = &[
    (
        "sixtap:extraFactsLost",
        "no traffic sets it, only a full pool of extras does: src/meter/flow/tests",
    ),
    (
        "flowStartMilliseconds",
        "a time of day, compared for every flow in tests/records.rs; here only its distance is a fact",
    ),
];

fn row(element: &'static str, case: &'static str, value: Value, source: &'static str) -> Row {
    Row { element, case, words: FULL, value, source }
}

fn inner(element: &'static str, case: &'static str, value: Value, source: &'static str) -> Row {
    Row { words: INNER, ..row(element, case, value, source) }
}

/// Addresses, counters, header fields, upper layers.
fn plain_rows() -> Vec<Row> {
    vec![
        row(
            "octetDeltaCount",
            "ethernet-padding",
            json!(80),
            "IANA 1: IP octets; 2 × 40, not 2 × 46",
        ),
        row(
            "octetDeltaCount",
            "jumbogram",
            json!(70_040),
            "RFC 2675 section 3: 40 + Jumbo Payload Length 70000",
        ),
        row(
            "maximumIpTotalLength",
            "snapshot-length",
            json!(1500),
            "RFC 8200 section 3: the length is in the header",
        ),
        row("packetDeltaCount", "packet-sizes", json!(8), "IANA 2"),
        row("minimumIpTotalLength", "packet-sizes", json!(48), "IANA 25: 40 + UDP header"),
        row("maximumIpTotalLength", "packet-sizes", json!(1500), "IANA 26"),
        row(
            "maximumIpTotalLength",
            "payload-length-65535",
            json!(65_575),
            "IANA 26: 40 + 65535 is no 16-bit number",
        ),
        row(
            "protocolIdentifier",
            "mld-report",
            json!(58),
            "IANA 4: the last Next Header, not Hop-by-Hop's 0",
        ),
        row(
            "protocolIdentifier",
            "esp",
            json!(50),
            "RFC 4303 section 2: nothing behind ESP can be read",
        ),
        row(
            "protocolIdentifier",
            "fragment-looks-like-options-alone",
            json!(60),
            "RFC 8200 section 4.5: Next Header of the Fragment header",
        ),
        row("nextHeaderIPv6", "mld-report", json!(0), "IANA 193: octet 6 of the fixed header"),
        row("ipVersion", "ipv4-udp", json!(4), "IANA 60"),
        row("ipClassOfService", "class-and-label", json!(0xb8), "RFC 8200 section 3: bits 4 to 11"),
        row(
            "ipClassOfService",
            "class-change",
            json!(40),
            "RFC 7012 section 5: value of the first packet",
        ),
        row("ipDiffServCodePoint", "class-and-label", json!(0x2e), "RFC 2474 section 3: 0xb8 >> 2"),
        row(
            "flowLabelIPv6",
            "class-and-label",
            json!(0x12345),
            "RFC 8200 section 3: bits 12 to 31",
        ),
        row("flowLabelIPv6", "label-all-ones", json!(0xf_ffff), "RFC 6437 section 2: 20 bits"),
        row(
            "flowLabelIPv6",
            "label-change",
            json!(0x11111),
            "RFC 7012 section 5: value of the first packet",
        ),
        row(
            "ipTTL",
            "hop-limit-change",
            json!(60),
            "RFC 7012 section 5: value of the first packet",
        ),
        row("minimumTTL", "hop-limit-change", json!(50), "IANA 52"),
        row("maximumTTL", "hop-limit-change", json!(64), "IANA 53"),
        row("sourceIPv6Address", "6in6", json!("2001:db8::6e:1"), "IANA 27: outermost header"),
        row("destinationIPv6Address", "6in6", json!("2001:db8::6e:2"), "IANA 28: outermost header"),
        row("sourceIPv4Address", "ipv4-udp", json!("192.0.2.90"), "IANA 8"),
        row("destinationIPv4Address", "ipv4-udp", json!("198.51.100.90"), "IANA 12"),
        row(
            "isMulticast",
            "neighbor-solicitation",
            json!(0x20),
            "IANA 206: scope 2 of ff02:: in bits 0 to 3",
        ),
        row("sourceTransportPort", "udp", json!(49_153), "RFC 768"),
        row("destinationTransportPort", "udp", json!(4242), "RFC 768"),
        row(
            "tcpControlBits",
            "tcp-twelve-flags",
            json!(0x1d2),
            "RFC 9565 section 3: AE CWR ECE ACK SYN, OR-ed",
        ),
        row(
            "tcpControlBits",
            "tcp-fin",
            json!(0x1b),
            "RFC 9565 section 3: SYN, ACK, PSH and FIN of five packets",
        ),
        row(
            "icmpTypeCodeIPv6",
            "icmpv6-unreachable-port",
            json!(260),
            "IANA 139: 1 × 256 + 4 (RFC 4443 section 3.1)",
        ),
        row("icmpTypeIPv6", "icmpv6-unreachable-port", json!(1), "IANA 178"),
        row("icmpCodeIPv6", "icmpv6-unreachable-port", json!(4), "IANA 179"),
        row("icmpTypeCodeIPv4", "ipv4-echo-request", json!(2048), "IANA 32: 8 × 256 + 0"),
        row("icmpTypeIPv4", "ipv4-echo-request", json!(8), "IANA 176"),
        row("icmpCodeIPv4", "ipv4-echo-request", json!(0), "IANA 177"),
        row("flowEndReason", "tcp-fin", json!(3), "IANA 136: end of Flow detected"),
        row("flowEndReason", "tcp-reset", json!(3), "IANA 136: end of Flow detected"),
        row("flowEndReason", "tcp-without-fin", json!(4), "IANA 136: forced end"),
        row("flowEndReason", "idle-split", json!(1), "IANA 136: idle timeout"),
        row("flowEndReason", "active-timeout", json!(2), "IANA 136: active timeout"),
        row("ingressInterface", "udp", json!(0), "the capture file's first interface"),
        row(
            "flowEndMilliseconds",
            "udp",
            json!(1_767_225_600_002_u64),
            "IANA 153: 2026-01-01 and 2 ms, the third packet",
        ),
    ]
}

/// Chains, IPSec, segment routing, TCP options.
fn header_rows() -> Vec<Row> {
    let case = "hop-segment-routing-destination-tcp";
    vec![
        row("ipv6ExtensionHeaders", case, json!(0x23), "IANA 64: DST bit 0, HOP bit 1, RH bit 5"),
        row(
            "ipv6ExtensionHeaders",
            "authentication-destination",
            json!(0x4001),
            "IANA 64: AH bit 14, DST bit 0",
        ),
        row("ipv6ExtensionHeaders", "fragments-3", json!(0x50), "IANA 64: FRA0 bit 4, FRA1 bit 6"),
        Row {
            words: DEFAULT,
            ..row(
                "ipv6ExtensionHeadersFull",
                case,
                json!(0x23),
                "RFC 9740 section 3.3, figure: DST, HOP and RH",
            )
        },
        Row {
            words: DEFAULT,
            ..row(
                "ipv6ExtensionHeadersFull",
                "authentication-destination",
                json!(0x201),
                "RFC 9740: AH bit 9, DST bit 0",
            )
        },
        Row {
            words: DEFAULT,
            ..row("ipv6ExtensionHeadersFull", "no-next-header", json!(0x4), "RFC 9740: NoNxt bit 2")
        },
        row(
            "ipv6ExtensionHeadersFull",
            "no-next-header",
            json!(0x4),
            "RFC 9740 section 3.4: no header to list, so 515 is beside no 516",
        ),
        Row {
            words: DEFAULT,
            ..row("ipv6ExtensionHeadersFull", "unknown-200", json!(0x8), "RFC 9740: UNK bit 3")
        },
        Row {
            words: DEFAULT,
            ..row(
                "ipv6ExtensionHeadersFull",
                "chain-change",
                json!(0x3),
                "RFC 9740 section 3.3: merged, HOP or DST",
            )
        },
        row(
            "ipv6ExtensionHeaderTypeCountList",
            case,
            json!([[[0, 1], [43, 1], [60, 1]]]),
            "RFC 9740 section 3.4: in wire order",
        ),
        row(
            "ipv6ExtensionHeaderTypeCountList",
            "headers-40",
            json!([[[60, 40]]]),
            "RFC 9740 section 3.4: consecutive ones are counted",
        ),
        row(
            "ipv6ExtensionHeaderTypeCountList",
            "bit-emulation",
            json!([[[147, 1]]]),
            "RFC 9740 section 3.4: the number of a header that has no bit",
        ),
        row(
            "ipv6ExtensionHeadersLimit",
            case,
            json!(true),
            "RFC 9740 section 3.5: the list is complete",
        ),
        row(
            "ipv6ExtensionHeadersLimit",
            "chain-cut-by-snapshot",
            json!(false),
            "RFC 9740 section 3.5: it is not",
        ),
        row(
            "ipv6ExtensionHeadersLimit",
            "experiment-253",
            json!(false),
            "RFC 6564 section 4 does not bind 253: its end is not known",
        ),
        row(
            "ipv6ExtensionHeadersChainLength",
            case,
            json!(80),
            "RFC 9740 section 3.6: 16 + 56 + 8 octets",
        ),
        row(
            "ipv6ExtensionHeadersChainLength",
            "authentication-96",
            json!(24),
            "RFC 4302 section 2.2: (4 + 2) × 4 octets",
        ),
        row(
            "ipv6ExtensionHeadersChainLength",
            "destination-304",
            json!(304),
            "RFC 8200 section 4.6: units of 8 octets",
        ),
        row(
            "ipv6ExtensionHeaderChainLengthList",
            "chain-change",
            json!([[2, 8], [1, 24]]),
            "RFC 9740 section 3.7: {515, 518} a chain",
        ),
        row(
            "sixtap:ipv6ExtensionHeaderChainDistinctCount",
            "chain-change",
            json!(2),
            "reference, section 3",
        ),
        row("IPSecSPI", "authentication-destination", json!(4097), "RFC 4302 section 2.4"),
        row("IPSecSPI", "authentication-esp", json!(4097), "the first of two: AH's"),
        row("srhFlagsIPv6", "segment-routing", json!(0), "RFC 8754 section 2: octet 5"),
        row("srhTagIPv6", "segment-routing", json!(0x1234), "RFC 8754 section 2: octets 6 and 7"),
        row("srhSegmentsIPv6Left", "segment-routing", json!(1), "RFC 8754 section 2: octet 3"),
        row(
            "srhActiveSegmentIPv6",
            "segment-routing",
            json!("2001:db8::26:2"),
            "RFC 8754 section 4.3: the destination address",
        ),
        row(
            "srhIPv6ActiveSegmentType",
            "segment-routing",
            json!(0),
            "RFC 9487 section 5.9: unknown; no packet says from where the router has it",
        ),
        row(
            "srhSegmentIPv6BasicList",
            "segment-routing",
            json!(["2001:db8::26:5", "2001:db8::26:2", "2001:db8::26:4"]),
            "RFC 9487 section 3: as in the header, last segment first",
        ),
        row(
            "tcpOptionsFull",
            "tcp-options",
            json!([1, 2, 3, 4, 8]),
            "RFC 9740 section 4.1: bit n is kind n, OR-ed",
        ),
        row(
            "tcpOptionsFull",
            "tcp-experiments",
            json!([1]),
            "RFC 9740 section 4.1: 253 and 254 are 0 beside ExIDs",
        ),
        row(
            "tcpSharedOptionExID16List",
            "tcp-experiments",
            json!([0xf989, 0x1234]),
            "RFC 9740 section 4.2",
        ),
        row(
            "tcpSharedOptionExID16List",
            "tcp-experiments-alone",
            json!([0xf989, 0x1234]),
            "RFC 9740 section 4.2: also where 520 is 0",
        ),
        row(
            "tcpSharedOptionExID32List",
            "tcp-experiments",
            json!([0xe2d4_c3d9_u32]),
            "RFC 9740 section 4.3; IANA TCP ExIDs",
        ),
    ]
}

/// Fragments, changes within a flow.
fn fragment_rows() -> Vec<Row> {
    let overlap = "attack-overlap";
    vec![
        row(
            "fragmentIdentification",
            "fragments-3",
            json!(269_418_564),
            "RFC 8200 section 4.5: 32 bits",
        ),
        row(
            "fragmentOffset",
            "fragments-3-mixed",
            json!(12),
            "IANA 88: of the first fragment seen, which is the last; units of 8 octets",
        ),
        row("fragmentOffset", "last-at-largest-offset", json!(8191), "IANA 88: 13 bits"),
        row("fragmentFlags", "fragments-3", json!(0x20), "IANA 197: M is bit 2 from the left"),
        row("fragmentFlags", "atomic-fragment", json!(0), "RFC 6946: neither offset nor M"),
        row(
            "sixtap:fragmentMinimumOffset",
            "fragments-3",
            json!(6),
            "reference, section 6: smallest that is not 0",
        ),
        row("sixtap:fragmentMinimumOffset", overlap, json!(2), "reference, section 6"),
        row("sixtap:fragmentPackets", overlap, json!(22), "reference, section 6"),
        row("sixtap:fragmentAtomicCount", "atomic-fragment", json!(2), "RFC 6946"),
        row(
            "sixtap:fragmentDuplicateCount",
            "fragments-duplicate",
            json!(1),
            "RFC 8200 section 4.5: exact duplicates",
        ),
        row("sixtap:fragmentOverlapCount", "overlap-other-octets", json!(1), "RFC 5722"),
        row(
            "sixtap:fragmentOverlapCount",
            "overlap-two-firsts",
            json!(1),
            "RFC 5722: another port is no duplicate",
        ),
        row(
            "sixtap:fragmentOutOfOrderCount",
            "fragments-4-reversed",
            json!(3),
            "reference, section 6: offset below an earlier one",
        ),
        row(
            "sixtap:fragmentIncompleteDatagramCount",
            "fragments-middle-missing",
            json!(1),
            "RFC 8200 section 4.5",
        ),
        row(
            "sixtap:fragmentIncompleteDatagramCount",
            "fragments-3-mixed",
            json!(0),
            "RFC 8200 section 4.5: complete in any order",
        ),
        row("sixtap:fragmentTinyFirstCount", "tiny-first-fragment", json!(1), "RFC 7112 section 5"),
        row(
            "sixtap:fragmentPortsRewritten",
            overlap,
            json!(true),
            "RFC 5722 section 3: the attack",
        ),
        row("sixtap:fragmentRewrittenDestinationPort", overlap, json!(22), "reference, section 6"),
        row(
            "destinationTransportPort",
            overlap,
            json!(80),
            "reference, section 6: the port that came first",
        ),
        row("sixtap:flowLabelDistinctCount", "label-change", json!(3), "reference, section 5"),
        row(
            "sixtap:flowLabelDistinctCount",
            "attack-covert-label",
            json!(9),
            "reference, section 5: more than 8",
        ),
        row("sixtap:flowLabelMinimum", "label-change", json!(3), "reference, section 5"),
        row("sixtap:flowLabelMaximum", "label-change", json!(0x22222), "reference, section 5"),
        row("sixtap:trafficClassDistinctCount", "class-change", json!(3), "reference, section 5"),
        row("sixtap:trafficClassMinimum", "class-change", json!(0), "reference, section 5"),
        row("sixtap:trafficClassMaximum", "class-change", json!(0xb8), "reference, section 5"),
        row("sixtap:hopLimitDistinctCount", "hop-limit-change", json!(3), "reference, section 5"),
    ]
}

/// Link layer and tunnels.
fn link_rows() -> Vec<Row> {
    vec![
        row("sourceMacAddress", "udp", json!("00:00:5e:00:53:01"), "IANA 56"),
        row(
            "destinationMacAddress",
            "neighbor-solicitation",
            json!("33:33:ff:1a:00:02"),
            "RFC 2464 section 7",
        ),
        row("ethernetType", "udp", json!(0x86dd), "RFC 2464 section 3"),
        row("ethernetType", "mpls-3", json!(0x8847), "RFC 3032 section 5"),
        row(
            "layer2OctetDeltaCount",
            "ethernet-padding",
            json!(120),
            "IANA 352: two frames of 60 octets",
        ),
        row("vlanId", "vlan", json!(42), "IANA 58"),
        row("dot1qVlanId", "qinq", json!(100), "IANA 243: the outer tag"),
        row("dot1qPriority", "qinq", json!(2), "IANA 244: the outer tag"),
        row("dot1qDEI", "qinq", json!(false), "IANA 388"),
        row("dot1qCustomerVlanId", "qinq", json!(200), "IANA 245: the inner tag"),
        row("dot1qCustomerPriority", "qinq", json!(1), "IANA 246: the inner tag"),
        row("dot1qCustomerDEI", "qinq", json!(false), "IANA 389"),
        row(
            "mplsTopLabelStackSection",
            "mpls-3",
            json!("000100"),
            "RFC 3032 section 2.1: label 16, then TC and S",
        ),
        row(
            "mplsLabelStackSection2",
            "mpls-3",
            json!("ffffee"),
            "RFC 3032 section 2.1: label 0xffffe, TC 7, S 0",
        ),
        row(
            "mplsLabelStackSection3",
            "mpls-3",
            json!("003e83"),
            "RFC 3032 section 2.1: label 1000, TC 1, S 1",
        ),
        inner("sixtap:tunnelKind", "6in4", json!(1), "RFC 4213 section 3"),
        inner("sixtap:tunnelLevel", "6in4", json!(1), "reference, section 7"),
        inner(
            "sixtap:tunnelIdentifier",
            "vxlan-over-ipv6",
            json!(0x1234),
            "RFC 7348 section 5: VNI",
        ),
        inner(
            "sixtap:tunnelIdentifier",
            "vxlan-two-networks",
            json!(2),
            "RFC 7348 section 4: the same addresses in another network are another flow",
        ),
        inner("sixtap:tunnelSourceIPv4Address", "6in4", json!("192.0.2.107"), "RFC 4213 section 3"),
        inner(
            "sixtap:tunnelDestinationIPv4Address",
            "6in4",
            json!("198.51.100.107"),
            "RFC 4213 section 3",
        ),
        inner(
            "sixtap:tunnelSourceIPv6Address",
            "gre-with-key",
            json!("2001:db8::72:1"),
            "RFC 7676 section 3",
        ),
        inner(
            "sixtap:tunnelDestinationIPv6Address",
            "gre-with-key",
            json!("2001:db8::72:2"),
            "RFC 7676 section 3",
        ),
        inner(
            "sourceIPv6Address",
            "6in4",
            json!("2001:db8::6b:101"),
            "IANA 27: of the header that the mode names",
        ),
        inner("octetDeltaCount", "6in4", json!(160), "IANA 1: two inner packets of 80 octets"),
    ]
}

fn rows() -> Vec<Row> {
    let mut rows = plain_rows();
    rows.extend(header_rows());
    rows.extend(fragment_rows());
    rows.extend(link_rows());
    rows
}

fn sixtap(words: &[&str]) -> String {
    let done =
        Command::new(env!("CARGO_BIN_EXE_sixtap")).args(words).output().expect("sixtap starts");
    assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("UTF-8")
}

/// The records in the reference's terms.
fn in_plain_terms(records: Vec<Elements>) -> Vec<Elements> {
    let plain = |record: Elements| {
        record.iter().map(|(name, value)| (name.clone(), plain(name, value))).collect()
    };
    records.into_iter().map(plain).collect()
}

/// Whether one of the records has the value.
fn shows(records: &[Elements], element: &str, value: &Value) -> bool {
    records.iter().any(|record| record.get(element) == Some(value))
}

fn understood(capture: &Path, inner: bool) -> Vec<Elements> {
    let tunnel = if inner { TunnelMode::Inner } else { TunnelMode::Outer };
    let view = slow(&frames(capture), Asked { tunnel, ..Asked::default() });
    view.records.into_values().flatten().collect()
}

#[test]
fn every_row_holds_in_the_export_and_in_the_reference() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut known = BTreeMap::new();
    let mut wrong = Vec::new();
    for Row { element, case, words, value, source } in rows() {
        let (exported, reference) = known.entry((case, words)).or_insert_with(|| {
            let capture = folder.path().join(format!("{case}.pcap"));
            sixtap(&["craft", "--only", case, "-w", &capture.display().to_string()]);
            (in_plain_terms(run(&capture, words)), understood(&capture, words == INNER))
        });
        if !shows(exported, element, &value) {
            wrong.push(format!("{case}: {element} is not {value} in the export ({source})"));
        }
        if !shows(reference, element, &value) {
            wrong.push(format!("{case}: {element} is not {value} in the reference ({source})"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Elements that no preset carries: of a template file, or of `--biflow`. The reference does not have them; where the value comes
/// from is all there is to hold them against.
fn asked_for() -> Vec<(&'static str, &'static str, Value, &'static str)> {
    let back = "conversation-with-headers";
    let start = "2026-01-01T00:00:00";
    vec![
        ("ipPrecedence", "class-and-label", json!(5), "RFC 791 section 3.1: 0xb8 >> 5"),
        ("flowActiveTimeout", "udp", json!(300), "IANA 36: the default, in seconds"),
        ("flowIdleTimeout", "udp", json!(30), "IANA 37: the default, in seconds"),
        ("flowStartSeconds", "udp", json!(format!("{start}Z")), "IANA 150"),
        ("flowEndSeconds", "udp", json!(format!("{start}Z")), "IANA 151: 2 ms later"),
        ("flowStartMicroseconds", "udp", json!(format!("{start}.000000Z")), "IANA 154"),
        ("flowEndMicroseconds", "udp", json!(format!("{start}.002000Z")), "IANA 155"),
        ("flowStartNanoseconds", "udp", json!(format!("{start}.000000000Z")), "IANA 156"),
        ("flowEndNanoseconds", "udp", json!(format!("{start}.002000000Z")), "IANA 157"),
        ("flowDurationMilliseconds", "udp", json!(2), "IANA 161: three packets, 1 ms apart"),
        ("flowDurationMicroseconds", "udp", json!(2000), "IANA 162"),
        (
            "srhSegmentIPv6ListSection",
            "segment-routing-hmac",
            json!(
                "20010db8000000000000000000910002".to_owned() + "20010db8000000000000000000910004"
            ),
            "RFC 9487 section 5.6: the two segments, no TLV",
        ),
        (
            "srhIPv6Section",
            "segment-routing",
            json!(
                "110604010200123420010db800000000000000000026000520010db8000000000000000000260002"
                    .to_owned()
                    + "20010db8000000000000000000260004"
            ),
            "RFC 9487 section 5.8, RFC 8754 section 2: the header as it was",
        ),
        ("biflowDirection", back, json!(1), "RFC 5103 section 6.3: the source is the initiator"),
        ("reversePacketDeltaCount", back, json!(1), "RFC 5103 section 3"),
        ("reverseOctetDeltaCount", back, json!(136), "40 + 16 + 20 + 60"),
        ("reverseMinimumIpTotalLength", back, json!(136), "one packet"),
        ("reverseMaximumIpTotalLength", back, json!(136), "one packet"),
        ("reverseIpClassOfService", back, json!(0x20), "of the reverse packet"),
        ("reverseFlowLabelIPv6", back, json!(0x54321), "of the reverse packet"),
        ("reverseIpTTL", back, json!(50), "of the reverse packet"),
        ("reverseMinimumTTL", back, json!(50), "one packet"),
        ("reverseMaximumTTL", back, json!(50), "one packet"),
        ("reverseNextHeaderIPv6", back, json!(60), "its chain begins with Destination Options"),
        ("reverseTcpControlBits", back, json!(0x12), "SYN and ACK"),
        ("reverseIpv6ExtensionHeaders", back, json!(1), "DST bit 0"),
        ("reverseIpv6ExtensionHeadersFull", back, json!(1), "RFC 9740: DST bit 0"),
        ("reverseFlowStartMilliseconds", back, Value::Null, "2 ms after the first packet"),
        ("reverseFlowEndMilliseconds", back, Value::Null, "the same: one packet"),
        ("packetDeltaCount", back, json!(2), "RFC 5103 section 3: of the forward direction only"),
        ("ipv6ExtensionHeadersFull", back, json!(2), "of the forward direction only: HOP bit 1"),
        ("tcpControlBits", back, json!(2), "of the forward direction only: SYN"),
    ]
}

/// Writes a case to a capture and runs the probe over it.
fn crafted(folder: &Path, case: &str, words: &[&str]) -> Vec<Elements> {
    let capture = folder.join(format!("{case}.pcap"));
    sixtap(&["craft", "--only", case, "-w", &capture.display().to_string()]);
    run(&capture, words)
}

#[test]
fn every_row_that_is_asked_for_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let template = folder.path().join("asked.toml");
    let rows = asked_for();
    let names = rows.iter().map(|(element, ..)| *element);
    let names: BTreeSet<&str> = names.filter(|name| !name.starts_with("reverse")).collect();
    let names: Vec<&str> = names.into_iter().collect();
    std::fs::write(&template, format!("name = \"asked\"\nfields = {names:?}\n")).expect("writable");
    let template = template.display().to_string();
    let mut wrong = Vec::new();
    for (element, case, value, source) in rows {
        let records =
            crafted(folder.path(), case, &["--template", &template, "--biflow", "--quiet"]);
        let right = if value.is_null() {
            // Times stand where the case does in the suite.
            let full = crafted(folder.path(), case, &["--template", "full"]);
            full.iter()
                .any(|record| Some(&record["flowStartMilliseconds"]) == records[0].get(element))
        } else {
            shows(&records, element, &value)
        };
        if !right {
            wrong.push(format!("{case}: {element} is not {value} ({source}): {records:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What no packet showed is not in the record, not even as 0.
#[test]
fn what_was_not_seen_is_not_told() {
    let folder = tempfile::tempdir().expect("a folder");
    for (case, element) in [
        ("tcp-ends-before-flags", "tcpControlBits"),
        ("esp", "sourceTransportPort"),
        ("no-next-header", "ipv6ExtensionHeadersChainLength"),
        ("no-next-header", "ipv6ExtensionHeaderTypeCountList"),
        ("icmpv6-echo-request", "sourceTransportPort"),
        ("icmpv6-echo-request", "icmpTypeCodeIPv4"),
        ("ipv4-echo-request", "icmpTypeCodeIPv6"),
        ("ipv4-udp", "flowLabelIPv6"),
        ("udp", "tcpControlBits"),
        ("udp", "fragmentOffset"),
        ("udp", "dot1qVlanId"),
        ("chain-change", "ipv6ExtensionHeadersChainLength"),
        ("chain-change", "ipv6ExtensionHeadersFull"),
        ("segment-routing-12", "srhIPv6Section"),
        ("fragments-first-missing", "destinationTransportPort"),
    ] {
        for record in crafted(folder.path(), case, FULL) {
            assert!(!record.contains_key(element), "{case}: {element} is {}", record[element]);
        }
    }
}

#[test]
fn every_element_that_can_be_filled_has_a_row() {
    let mut rows: BTreeSet<&str> = rows().iter().map(|row| row.element).collect();
    rows.extend(asked_for().iter().map(|(element, ..)| *element));
    rows.extend(WITHOUT.iter().map(|(element, _)| *element));
    let missing: Vec<String> = sixtap(&["elements", "--filled", "--json"])
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .map(|element| element["name"].as_str().expect("a name").to_owned())
        .filter(|name| !rows.contains(name.as_str()))
        .collect();
    assert!(missing.is_empty(), "no row for {missing:?}");
}

#[test]
fn every_element_of_a_preset_has_a_row() {
    let rows: BTreeSet<&str> = rows().iter().map(|row| row.element).collect();
    let without: BTreeSet<&str> = WITHOUT.iter().map(|(element, _)| *element).collect();
    let mut missing = BTreeSet::new();
    for preset in ["default", "full", "covert"] {
        for line in sixtap(&["elements", "--template", preset, "--json"]).lines() {
            let element: Value = serde_json::from_str(line).expect("JSON");
            let name = element["name"].as_str().expect("a name").to_owned();
            if !rows.contains(name.as_str()) && !without.contains(name.as_str()) {
                missing.insert(name);
            }
        }
    }
    assert!(missing.is_empty(), "no row for {missing:?}");
    for (element, why) in WITHOUT {
        assert!(!rows.contains(element), "{element} has a row: it is not {why}");
    }
}
