//! What is in a capture. Of a crafted one its makers say it; of a real one tshark reads it packet by packet, and the
//! packets are simply added up. Nothing of sixtap's meter takes part.

use crate::interop::collectors;
use crate::interop::flows::{Flows, Record, by_key, ie, number};
use serde_json::Value;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// One packet's fields, as tshark prints them. A field that stands several times has its values after each other.
const FIELDS: &[&str] = &[
    "frame.time_epoch",
    "frame.protocols",
    "vlan.id",
    "ip.version",
    "ip.src",
    "ip.dst",
    "ip.proto",
    "ip.len",
    "ip.ttl",
    "ip.dsfield",
    "ip.id",
    "ip.frag_offset",
    "ip.flags.mf",
    "ip.flags.df",
    "ipv6.src",
    "ipv6.dst",
    "ipv6.nxt",
    "ipv6.plen",
    "ipv6.hlim",
    "ipv6.tclass",
    "ipv6.flow",
    "ipv6.hopopts.nxt",
    "ipv6.routing.nxt",
    "ipv6.dstopts.nxt",
    "ipv6.fraghdr.nxt",
    "ipv6.fraghdr.offset",
    "ipv6.fraghdr.more",
    "ipv6.fraghdr.ident",
    "ah.next_header",
    "mip6.proto",
    "hip.proto",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.flags",
    "udp.srcport",
    "udp.dstport",
    "sctp.srcport",
    "sctp.dstport",
    "dccp.srcport",
    "dccp.dstport",
    "icmp.type",
    "icmp.code",
    "icmpv6.type",
    "icmpv6.code",
];

struct Packet<'a> {
    values: HashMap<&'static str, Vec<&'a str>>,
}

impl<'a> Packet<'a> {
    fn read(line: &'a str) -> Self {
        let values = FIELDS
            .iter()
            .zip(line.split('\t'))
            .filter(|(_, text)| !text.is_empty())
            .map(|(field, text)| (*field, text.split(',').collect()))
            .collect();
        Self { values }
    }

    fn first(&self, field: &str) -> Option<&'a str> {
        self.values.get(field).and_then(|values| values.first().copied())
    }

    fn number(&self, field: &str) -> Option<u64> {
        let text = self.first(field)?;
        match text.strip_prefix("0x") {
            Some(hexadecimal) => u64::from_str_radix(hexadecimal, 16).ok(),
            None => match text {
                "True" => Some(1),
                "False" => Some(0),
                _ => text.parse().ok(),
            },
        }
    }

    /// Whether the outermost IP header is IPv6.
    fn is_v6(&self) -> bool {
        let layers = self.first("frame.protocols").unwrap_or("");
        layers.split(':').find(|layer| matches!(*layer, "ip" | "ipv6")) == Some("ipv6")
    }

    /// Milliseconds since the epoch, cut, as dateTimeMilliseconds is.
    fn milliseconds(&self) -> u64 {
        let text = self.first("frame.time_epoch").expect("every packet has a time");
        let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
        seconds.parse::<u64>().expect("seconds") * 1000
            + thousandths.parse::<u64>().expect("digits")
    }

    /// The header types from the base header's Next Header to the upper layer, and whether the walk ended at a
    /// non-first fragment.
    fn chain(&self) -> (Vec<u64>, bool) {
        let mut taken: HashMap<&str, usize> = HashMap::new();
        let mut chain = vec![self.number("ipv6.nxt").expect("an IPv6 header has a next header")];
        loop {
            let field = match chain[chain.len() - 1] {
                0 => "ipv6.hopopts.nxt",
                43 => "ipv6.routing.nxt",
                44 => "ipv6.fraghdr.nxt",
                51 => "ah.next_header",
                60 => "ipv6.dstopts.nxt",
                135 => "mip6.proto",
                _ => return (chain, false),
            };
            let at = taken.entry(field).or_default();
            let next = self.values.get(field).and_then(|values| values.get(*at));
            *at += 1;
            let Some(next) = next.and_then(|text| text.parse().ok()) else { return (chain, false) };
            chain.push(next);
            if field == "ipv6.fraghdr.nxt" && self.number("ipv6.fraghdr.offset").unwrap_or(0) != 0 {
                return (chain, true);
            }
        }
    }
}

/// What the crafted traffic is said to be (`sixtap craft --truth`). The makers of the packets wrote it, not the meter.
pub(crate) fn crafted(truth: &Path) -> Flows {
    let text = fs::read_to_string(truth).expect("craft wrote the truth");
    let truth: Value = serde_json::from_str(&text).expect("the truth is JSON");
    let cases = truth["cases"].as_array().expect("cases");
    let flows = cases.iter().flat_map(|case| case["flows"].as_array().expect("flows"));
    by_key(flows.map(|flow| {
        let mut record = Record::new();
        record.insert(ie::VLAN, "0".to_owned());
        for (name, value) in flow.as_object().expect("a flow is an object") {
            let Some(element) = ie_registry::by_name(name).filter(|found| found.enterprise == 0)
            else {
                continue;
            };
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            match element.id {
                ie::START | ie::END => {
                    let time = collectors::milliseconds(&text).expect("a time");
                    record.insert(element.id, time.to_string())
                }
                DOT1Q_VLAN => record.insert(ie::VLAN, text),
                id => record.insert(id, text),
            };
        }
        for (both, kind, code) in [
            (ie::ICMP_V6, ie::ICMP_TYPE_V6, ie::ICMP_CODE_V6),
            (ie::ICMP_V4, ie::ICMP_TYPE_V4, ie::ICMP_CODE_V4),
        ] {
            if let Some(value) = number(&record, both) {
                record.insert(kind, (value >> 8).to_string());
                record.insert(code, (value & 0xff).to_string());
            }
        }
        record.retain(|element, _| ie::COMPARED.contains(element));
        record
    }))
}

/// dot1qVlanId, which says the same as vlanId.
const DOT1Q_VLAN: u16 = 243;

/// Reads `capture` with tshark and adds its packets up to flows.
pub(crate) fn of(capture: &Path) -> Flows {
    let mut command = Command::new("tshark");
    command.env("TZ", "UTC").args(["-n", "-T", "fields", "-E", "occurrence=a"]);
    for switch in ["ip.defragment", "ipv6.defragment", "tcp.desegment_tcp_streams"] {
        command.args(["-o", &format!("{switch}:FALSE")]);
    }
    // Whatever a port means to tshark, only the ports matter here.
    command.args(["--enable-protocol", "mip6", "-r"]).arg(capture);
    for field in FIELDS {
        command.args(["-e", field]);
    }
    let output = command.output().expect("tshark runs");
    assert!(output.status.success(), "tshark: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);

    let packets: Vec<Packet<'_>> = text.lines().map(Packet::read).collect();
    let mut first_fragments = HashMap::new();
    let mut records = Vec::new();
    // First fragments first, so that one that comes late still gives its ports to the others.
    for packet in &packets {
        if let (Some(datagram), Some(record)) = (datagram(packet), record(packet))
            && !is_later_fragment(packet)
        {
            first_fragments.entry(datagram).or_insert(record);
        }
    }
    for packet in &packets {
        // Frames without IP are in no flow.
        let Some(mut record) = record(packet) else { continue };
        if is_later_fragment(packet)
            && let Some(first) =
                datagram(packet).and_then(|datagram| first_fragments.get(&datagram))
        {
            for element in [
                ie::PROTOCOL,
                ie::SOURCE_PORT,
                ie::DESTINATION_PORT,
                ie::ICMP_V4,
                ie::ICMP_V6,
                ie::ICMP_TYPE_V4,
                ie::ICMP_CODE_V4,
                ie::ICMP_TYPE_V6,
                ie::ICMP_CODE_V6,
            ] {
                match first.get(&element) {
                    Some(value) => record.insert(element, value.clone()),
                    None => record.remove(&element),
                };
            }
        }
        records.push(record);
    }
    by_key(records)
}

fn is_later_fragment(packet: &Packet<'_>) -> bool {
    let field = if packet.is_v6() { "ipv6.fraghdr.offset" } else { "ip.frag_offset" };
    packet.number(field).unwrap_or(0) != 0
}

/// What the fragments of one datagram share.
fn datagram(packet: &Packet<'_>) -> Option<String> {
    if packet.is_v6() {
        let identification = packet.first("ipv6.fraghdr.ident")?;
        let (source, destination) = (packet.first("ipv6.src")?, packet.first("ipv6.dst")?);
        return Some(format!("{source} {destination} {identification}"));
    }
    let more = packet.number("ip.flags.mf").unwrap_or(0) == 1;
    if !more && packet.number("ip.frag_offset").unwrap_or(0) == 0 {
        return None;
    }
    let (source, destination) = (packet.first("ip.src")?, packet.first("ip.dst")?);
    Some(format!("{source} {destination} {} {}", packet.first("ip.id")?, packet.first("ip.proto")?))
}

/// The flow that this packet alone would make.
fn record(packet: &Packet<'_>) -> Option<Record> {
    let mut record = Record::new();
    let mut put = |element: u16, value: u64| {
        record.insert(element, value.to_string());
    };
    put(ie::PACKETS, 1);
    put(ie::START, packet.milliseconds());
    put(ie::END, packet.milliseconds());
    put(ie::VLAN, packet.number("vlan.id").unwrap_or(0));

    let protocol;
    // What a tunnel carries is not looked at.
    let v6 = packet.is_v6();
    if v6 {
        let (chain, _) = packet.chain();
        protocol = chain[chain.len() - 1];
        let octets = packet.number("ipv6.plen")? + 40;
        put(ie::OCTETS, octets);
        put(ie::LENGTH_MINIMUM, octets);
        put(ie::LENGTH_MAXIMUM, octets);
        put(ie::IP_VERSION, 6);
        put(ie::NEXT_HEADER, chain[0]);
        put(ie::CLASS, packet.number("ipv6.tclass")?);
        put(ie::FLOW_LABEL, packet.number("ipv6.flow")?);
        put(ie::TTL_MINIMUM, packet.number("ipv6.hlim")?);
        put(ie::TTL_MAXIMUM, packet.number("ipv6.hlim")?);
        if let Some(identification) = packet.number("ipv6.fraghdr.ident") {
            put(ie::IDENTIFICATION, identification);
            put(ie::FRAGMENT_OFFSET, packet.number("ipv6.fraghdr.offset")?);
        }
        record.insert(ie::SOURCE_V6, packet.first("ipv6.src")?.to_owned());
        record.insert(ie::DESTINATION_V6, packet.first("ipv6.dst")?.to_owned());
    } else {
        protocol = packet.number("ip.proto")?;
        let octets = packet.number("ip.len")?;
        put(ie::OCTETS, octets);
        put(ie::LENGTH_MINIMUM, octets);
        put(ie::LENGTH_MAXIMUM, octets);
        put(ie::IP_VERSION, 4);
        put(ie::CLASS, packet.number("ip.dsfield")?);
        put(ie::TTL_MINIMUM, packet.number("ip.ttl")?);
        put(ie::TTL_MAXIMUM, packet.number("ip.ttl")?);
        record.insert(ie::SOURCE_V4, packet.first("ip.src")?.to_owned());
        record.insert(ie::DESTINATION_V4, packet.first("ip.dst")?.to_owned());
    }
    record.insert(ie::PROTOCOL, protocol.to_string());
    if !is_later_fragment(packet) {
        upper_layer(packet, protocol, v6, &mut record);
    }
    Some(record)
}

fn upper_layer(packet: &Packet<'_>, protocol: u64, v6: bool, record: &mut Record) {
    let mut put = |element: u16, value: Option<u64>| {
        record.insert(element, value.unwrap_or(0).to_string());
    };
    let transport = match protocol {
        6 => "tcp",
        17 | 136 => "udp",
        33 => "dccp",
        132 => "sctp",
        1 | 58 => {
            let name = if v6 { "icmpv6" } else { "icmp" };
            let kind = packet.number(&format!("{name}.type"));
            let code = packet.number(&format!("{name}.code"));
            let both = kind.zip(code).map(|(kind, code)| kind << 8 | code);
            if v6 {
                put(ie::ICMP_V6, both);
                put(ie::ICMP_TYPE_V6, kind);
                put(ie::ICMP_CODE_V6, code);
            } else {
                put(ie::ICMP_V4, both);
                put(ie::ICMP_TYPE_V4, kind);
                put(ie::ICMP_CODE_V4, code);
            }
            return;
        }
        _ => return,
    };
    put(ie::SOURCE_PORT, packet.number(&format!("{transport}.srcport")));
    put(ie::DESTINATION_PORT, packet.number(&format!("{transport}.dstport")));
    if protocol == 6 {
        put(ie::TCP_FLAGS, packet.number("tcp.flags"));
    }
}
