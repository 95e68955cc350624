//! Both meters over the same frames, and what they say of them in the same words.
//!
//! In: frames. Out: for each meter a [`View`]: records by key, each a map from element name to value, and the count of
//! frames that are in none. [`differences`] names what is not equal.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

pub mod grammar;
#[cfg(not(fuzzing))]
pub mod json;

use serde_json::{Value, json};
use sixtap::capture::{CaptureError, Frame, LinkType, Poll, Source, Timestamp, pcap};
use sixtap::meter::flow::{
    Distinct, Extra, FinishedFlow, FlowBatch, FlowMeter, FlowRecord, Outlet, Settings, feature,
};
use sixtap::meter::packet;
use sixtap::validate::reference;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A frame that owns its octets.
#[derive(Clone, Debug)]
pub struct Octets {
    pub data: Vec<u8>,
    pub wire_length: u32,
    pub interface: u32,
    pub link: LinkType,
    pub time: Timestamp,
}

impl Octets {
    pub fn frame(&self) -> Frame<'_> {
        Frame {
            data: &self.data,
            wire_length: self.wire_length,
            interface: self.interface,
            link: self.link,
            time: self.time,
        }
    }
}

/// What both meters are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    pub tunnel: packet::TunnelMode,
    pub label_key: bool,
    pub chain_key: bool,
}

impl Asked {
    /// One way to ask for each octet.
    pub fn from_octet(octet: u8) -> Self {
        let tunnel = match octet & 3 {
            0 | 1 => packet::TunnelMode::Outer,
            2 => packet::TunnelMode::Inner,
            _ => packet::TunnelMode::Both,
        };
        Self { tunnel, label_key: octet & 4 != 0, chain_key: octet & 8 != 0 }
    }
}

/// Flows that the fast meter has room for.
const CAPACITY: usize = if cfg!(fuzzing) { 1 << 8 } else { 1 << 14 };

/// Element name to value.
pub type Elements = BTreeMap<String, Value>;

/// What a meter says.
#[derive(Debug, Default)]
pub struct View {
    /// Records by key, in order of their beginning.
    pub records: BTreeMap<String, Vec<Elements>>,
    /// Frames that are in no record, by reason.
    pub unmetered: BTreeMap<String, u64>,
    pub metered: u64,
}

impl View {
    fn add(&mut self, key: String, elements: Elements) {
        self.records.entry(key).or_default().push(elements);
    }

    fn sort(mut self) -> Self {
        let order = |elements: &Elements| {
            ["first", "last", "packetDeltaCount", "octetDeltaCount"]
                .map(|name| elements.get(name).and_then(Value::as_u64).unwrap_or(0))
        };
        for records in self.records.values_mut() {
            records.sort_by_key(order);
        }
        self
    }

    pub fn packets(&self) -> u64 {
        let of = |elements: &Elements| {
            elements.get("packetDeltaCount").and_then(Value::as_u64).unwrap_or(0)
        };
        self.records.values().flatten().map(of).sum()
    }
}

/// One thing that is not equal.
#[derive(Clone, Debug)]
pub struct Difference {
    pub key: String,
    pub record: usize,
    pub element: String,
    pub fast: Value,
    pub reference: Value,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { key, record, element, fast, reference } = self;
        write!(f, "{key} record {record}: {element}: fast {fast}, reference {reference}")
    }
}

/// The captures of the corpus, or `None` where it is not there.
pub fn corpus(folders: &[&str]) -> Option<Vec<PathBuf>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = folders.iter().map(|name| root.join(name)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).ok()?.flatten() {
            let path = entry.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    Some(files)
}

/// The frames of a capture, up to where it is damaged.
pub fn frames(path: &Path) -> Vec<Octets> {
    let Ok(mut source) = pcap::open(path) else { return Vec::new() };
    let mut frames = Vec::new();
    loop {
        let poll: Result<Poll, CaptureError> = source.poll(Duration::from_secs(1), &mut |batch| {
            frames.extend(batch.iter().map(|frame| Octets {
                data: frame.data.to_vec(),
                wire_length: frame.wire_length,
                interface: frame.interface,
                link: frame.link,
                time: frame.time,
            }));
        });
        if !matches!(poll, Ok(Poll::Frames(_) | Poll::Idle)) {
            return frames;
        }
    }
}

/// An outlet that keeps every batch.
#[derive(Default)]
pub struct Collected(pub Vec<Box<FlowBatch>>);

impl Outlet for Collected {
    fn empty(&mut self) -> Option<Box<FlowBatch>> {
        Some(Box::default())
    }

    fn ended(&mut self, batch: Box<FlowBatch>) {
        self.0.push(batch);
    }
}

/// The fast meter's view, with every detail asked for.
pub fn fast(frames: &[Octets], asked: Asked) -> View {
    let parse = packet::Options {
        tunnel: asked.tunnel,
        label_key: asked.label_key,
        detail: true,
        ..packet::Options::default()
    };
    let settings = Settings {
        capacity: CAPACITY,
        extras: CAPACITY,
        parse,
        chain_key: asked.chain_key,
        ..Settings::default()
    };
    let mut meter = FlowMeter::new(settings, secret()).expect("a small table");
    let mut out = Collected::default();
    for batch in frames.chunks(sixtap::capture::BATCH) {
        let batch: Vec<Frame<'_>> = batch.iter().map(Octets::frame).collect();
        meter.frames(&batch, &mut out);
    }
    meter.finish(&mut out);
    meter.flush(&mut out);
    let mut view = View::default();
    for batch in &out.0 {
        for flow in batch.iter(0) {
            let elements = fast_elements(&flow);
            let chain =
                elements.get("ipv6ExtensionHeaderTypeCountList").filter(|_| asked.chain_key);
            let key = format!("{}{}{}", key(flow.record, asked), json!(chain), carrier(&elements));
            view.add(key, elements);
        }
    }
    let outcomes = meter.outcomes();
    view.metered = outcomes.metered;
    for (reason, count) in packet::Reason::ALL.iter().zip(outcomes.ignored) {
        if count > 0 {
            view.unmetered.insert(reason.name().to_owned(), count);
        }
    }
    view.sort()
}

/// The same in every run. Words that are equal would make a poor hash.
pub fn secret() -> [u8; 96] {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::array::from_fn(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
}

/// The reference's view.
pub fn slow(frames: &[Octets], asked: Asked) -> View {
    let tunnel = match asked.tunnel {
        packet::TunnelMode::Outer => reference::TunnelMode::Outer,
        packet::TunnelMode::Inner => reference::TunnelMode::Inner,
        packet::TunnelMode::Both => reference::TunnelMode::Both,
    };
    let mut meter = reference::Reference::new(reference::Options {
        tunnel,
        label_and_class_key: asked.label_key,
        chain_key: asked.chain_key,
        ..reference::Options::default()
    });
    for octets in frames {
        meter.observe(&octets.frame());
    }
    let metered = meter.finish();
    let mut view = View { metered: metered.metered, ..View::default() };
    for flow in &metered.flows {
        let mut elements: Elements =
            flow.elements().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        elements.insert("first".to_owned(), json!(flow.first.0));
        elements.insert("last".to_owned(), json!(flow.last.0));
        let chain = elements.get("ipv6ExtensionHeaderTypeCountList").filter(|_| asked.chain_key);
        let key = format!("{}{}{}", reference_key(&flow.key), json!(chain), carrier(&elements));
        view.add(key, elements);
    }
    for (reason, count) in &metered.unmetered {
        let name = match reason {
            reference::Reason::LinkType => "link_type",
            reference::Reason::LinkCut => "link_cut",
            reference::Reason::NotIp => "not_ip",
            reference::Reason::IpCut => "ip_cut",
            reference::Reason::BadVersion => "version",
            reference::Reason::BadHeaderLength | reference::Reason::BadTotalLength => "length",
        };
        *view.unmetered.entry(name.to_owned()).or_default() += count;
    }
    view.sort()
}

/// What is not equal in two views of the same frames.
pub fn differences(fast: &View, slow: &View) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut note = |key: &str, record: usize, element: &str, fast: Value, reference: Value| {
        if fast != reference {
            let (key, element) = (key.to_owned(), element.to_owned());
            found.push(Difference { key, record, element, fast, reference });
        }
    };
    note("all", 0, "metered", json!(fast.metered), json!(slow.metered));
    note("all", 0, "unmetered", json!(fast.unmetered), json!(slow.unmetered));
    let mut keys: Vec<&String> = fast.records.keys().chain(slow.records.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let none = Vec::new();
        let ours = fast.records.get(key).unwrap_or(&none);
        let theirs = slow.records.get(key).unwrap_or(&none);
        note(key, 0, "records", json!(ours.len()), json!(theirs.len()));
        for (index, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
            for (name, value) in theirs {
                if ["ipv6ExtensionHeaders", "isMulticast"].contains(&name.as_str()) {
                    // Made by the exporter: see tests/records.rs.
                    continue;
                }
                note(
                    key,
                    index,
                    name,
                    ours.get(name).cloned().unwrap_or(Value::Null),
                    value.clone(),
                );
            }
            for (name, value) in ours.iter().filter(|(name, _)| !theirs.contains_key(*name)) {
                note(key, index, name, value.clone(), Value::Null);
            }
        }
    }
    found
}

/// What carries a flow tells it from others, too.
pub fn carrier(elements: &Elements) -> String {
    let of = |(name, value): (&String, &Value)| {
        (name.starts_with("sixtap:tunnel") && name != "sixtap:tunnelLevel")
            .then(|| value.to_string())
    };
    elements.iter().filter_map(of).map(|value| format!(" {value}")).collect()
}

fn reference_key(key: &reference::Key) -> String {
    let ports = match key.ports {
        reference::Ports::None => "0 0".to_owned(),
        reference::Ports::Unknown => "0 0 unknown".to_owned(),
        reference::Ports::Known(source, destination) => format!("{source} {destination}"),
        reference::Ports::Icmp(kind, code) => {
            format!("0 {}", u16::from(kind) << 8 | u16::from(code))
        }
    };
    let (label, class) = key.label_and_class.unwrap_or((0, 0));
    format!(
        "{} > {} proto {} ports {ports} vlan {}.{} level {} label {label} class {class}",
        key.source, key.destination, key.protocol, key.vlan, key.customer_vlan, key.level
    )
}

fn key(record: &FlowRecord, asked: Asked) -> String {
    let key = &record.key;
    let unknown = if key.ports_unknown() { " unknown" } else { "" };
    let (label, class) =
        if asked.label_key { (record.label, record.traffic_class) } else { (0, 0) };
    format!(
        "{} > {} proto {} ports {} {}{unknown} vlan {}.{} level {} label {label} class {class}",
        key.source(),
        key.destination(),
        key.protocol(),
        key.source_port(),
        key.destination_port(),
        key.vlan(),
        key.customer_vlan(),
        key.tunnel_level()
    )
}

fn fast_elements(flow: &FinishedFlow<'_>) -> Elements {
    let record = flow.record;
    let mut out = Elements::new();
    let mut put = |name: &str, value: Value| {
        out.insert(name.to_owned(), value);
    };
    let v6 = record.key.is_ipv6();
    let (source, destination) = if v6 {
        ("sourceIPv6Address", "destinationIPv6Address")
    } else {
        ("sourceIPv4Address", "destinationIPv4Address")
    };
    put(source, json!(record.key.source().to_string()));
    put(destination, json!(record.key.destination().to_string()));
    put("ipVersion", json!(if v6 { 6 } else { 4 }));
    let protocol = record.key.protocol();
    put("protocolIdentifier", json!(protocol));
    if !record.key.ports_unknown() {
        match protocol {
            6 | 17 | 33 | 132 | 136 => {
                put("sourceTransportPort", json!(record.key.source_port()));
                put("destinationTransportPort", json!(record.key.destination_port()));
            }
            1 | 58 if v6 == (protocol == 58) => {
                let both = record.key.destination_port();
                let version = if v6 { "IPv6" } else { "IPv4" };
                put(&format!("icmpTypeCode{version}"), json!(both));
                put(&format!("icmpType{version}"), json!(both >> 8));
                put(&format!("icmpCode{version}"), json!(both & 0xff));
            }
            _ => {}
        }
    }
    put("first", json!(record.first.0));
    put("last", json!(record.last.0));
    put("flowStartMilliseconds", json!(record.first.milliseconds()));
    put("flowEndMilliseconds", json!(record.last.milliseconds()));
    put("packetDeltaCount", json!(record.packets));
    put("octetDeltaCount", json!(record.octets));
    put("minimumIpTotalLength", json!(record.min_length));
    put("maximumIpTotalLength", json!(record.max_length));
    put("flowEndReason", json!(record.end_reason));
    put("ingressInterface", json!(record.interface));
    put("ipClassOfService", json!(record.traffic_class));
    put("ipDiffServCodePoint", json!(record.traffic_class >> 2));
    put("ipTTL", json!(record.hop_limit));
    put("minimumTTL", json!(record.min_hop_limit));
    put("maximumTTL", json!(record.max_hop_limit));
    if v6 {
        put("flowLabelIPv6", json!(record.label));
        put("nextHeaderIPv6", json!(record.next_header));
        put("ipv6ExtensionHeadersFull", json!(record.headers));
        put("ipv6ExtensionHeadersLimit", json!(!record.has(feature::CHAIN_CUT)));
    }
    let unseen = record.tcp_flags == 0 && record.has(feature::FLAGS_UNSEEN);
    if protocol == 6 && !record.key.ports_unknown() && !unseen {
        put("tcpControlBits", json!(record.tcp_flags));
    }
    if let Some(extra) = flow.extra {
        extra_elements(flow, extra, &mut put);
    }
    out
}

fn extra_elements(flow: &FinishedFlow<'_>, extra: &Extra, put: &mut dyn FnMut(&str, Value)) {
    let record = flow.record;
    let v6 = record.key.is_ipv6();
    if extra.hop_limits.count > 0 {
        put("sixtap:hopLimitDistinctCount", json!(extra.hop_limits.count));
    }
    distinct(&extra.traffic_classes, "trafficClass", put);
    if v6 {
        distinct(&extra.labels, "flowLabel", put);
        put("sixtap:ipv6ExtensionHeaderChainDistinctCount", json!(extra.chain_count));
    }
    if !flow.chains.is_empty() {
        let runs = |chain: &packet::Chain| json!(chain.runs[..usize::from(chain.run_count)]);
        let types: Vec<Value> = flow.chains.iter().map(runs).collect();
        let lengths: Vec<(u16, u32)> =
            flow.chains.iter().map(|chain| (chain.headers, chain.length)).collect();
        put("ipv6ExtensionHeadersChainLength", json!(flow.chains[0].length));
        put("ipv6ExtensionHeaderTypeCountList", json!(types));
        put("ipv6ExtensionHeaderChainLengthList", json!(lengths));
    }
    if record.has(feature::SPI) {
        put("IPSecSPI", json!(extra.spi));
    }
    if record.has(feature::SEGMENTS) {
        let segments = &extra.segments;
        let text = |octets: &[u8; 16]| Ipv6Addr::from(*octets).to_string();
        let list: Vec<String> = segments.list().as_chunks().0.iter().map(text).collect();
        put("srhFlagsIPv6", json!(segments.flags));
        put("srhTagIPv6", json!(segments.tag));
        put("srhSegmentsIPv6Left", json!(segments.left));
        put("srhActiveSegmentIPv6", json!(text(&segments.active)));
        put("srhSegmentIPv6BasicList", json!(list));
        put("srhIPv6ActiveSegmentType", json!(0));
        if segments.count > 0 {
            put("srhSegmentIPv6ListSection", json!(hexadecimal(segments.list())));
        }
        if segments.whole > 0 {
            put("srhIPv6Section", json!(hexadecimal(segments.section())));
        }
    }
    if record.has(feature::FRAGMENT) {
        fragments(extra, put);
    }
    layer2(record, extra, put);
    if record.key.protocol() == 6 {
        tcp(extra, put);
    }
    if record.has(feature::TUNNEL) {
        tunnel(record, extra, put);
    }
}

fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn distinct(values: &Distinct, name: &str, put: &mut dyn FnMut(&str, Value)) {
    if values.count > 0 {
        put(&format!("sixtap:{name}DistinctCount"), json!(values.count));
        put(&format!("sixtap:{name}Minimum"), json!(values.min));
        put(&format!("sixtap:{name}Maximum"), json!(values.max));
    }
}

fn fragments(extra: &Extra, put: &mut dyn FnMut(&str, Value)) {
    let fragments = &extra.fragments;
    put("fragmentIdentification", json!(fragments.identification));
    put("fragmentOffset", json!(fragments.offset));
    put("fragmentFlags", json!(fragments.flags));
    put("sixtap:fragmentMinimumOffset", json!(fragments.min_offset));
    put("sixtap:fragmentPackets", json!(fragments.packets));
    put("sixtap:fragmentAtomicCount", json!(fragments.atomic));
    put("sixtap:fragmentDuplicateCount", json!(fragments.duplicates));
    put("sixtap:fragmentOverlapCount", json!(fragments.overlaps));
    put("sixtap:fragmentOutOfOrderCount", json!(fragments.out_of_order));
    put("sixtap:fragmentIncompleteDatagramCount", json!(fragments.incomplete));
    put("sixtap:fragmentTinyFirstCount", json!(fragments.tiny));
    put("sixtap:fragmentPortsRewritten", json!(fragments.ports_rewritten));
    put("sixtap:fragmentRewrittenDestinationPort", json!(fragments.rewritten_port));
}

fn layer2(record: &FlowRecord, extra: &Extra, put: &mut dyn FnMut(&str, Value)) {
    let layer2 = &extra.layer2;
    let mac = |octets: [u8; 6]| octets.map(|octet| format!("{octet:02x}")).join(":");
    if record.has(feature::LAYER2) {
        put("layer2OctetDeltaCount", json!(layer2.octets));
        put("sourceMacAddress", json!(mac(layer2.source)));
        put("destinationMacAddress", json!(mac(layer2.destination)));
        put("ethernetType", json!(layer2.ether_type));
    }
    if layer2.tags > 0 {
        put("vlanId", json!(layer2.tag & 0xfff));
        put("dot1qVlanId", json!(layer2.tag & 0xfff));
        put("dot1qPriority", json!(layer2.tag >> 13));
        put("dot1qDEI", json!(layer2.tag & 0x1000 != 0));
    }
    if layer2.tags > 1 {
        put("dot1qCustomerVlanId", json!(layer2.customer_tag & 0xfff));
        put("dot1qCustomerPriority", json!(layer2.customer_tag >> 13));
        put("dot1qCustomerDEI", json!(layer2.customer_tag & 0x1000 != 0));
    }
    let names = ["mplsTopLabelStackSection", "mplsLabelStackSection2", "mplsLabelStackSection3"];
    if record.has(feature::MPLS) {
        for (entry, name) in extra.mpls.iter().zip(names).take(usize::from(extra.mpls_depth)) {
            put(name, json!(format!("{:06x}", entry >> 8)));
        }
    }
}

fn tcp(extra: &Extra, put: &mut dyn FnMut(&str, Value)) {
    let options = &extra.tcp_options;
    let shared = options.exids16_count > 0 || options.exids32_count > 0;
    let kinds: Vec<u8> = (0..=255_u8)
        .filter(|kind| options.kinds[usize::from(kind / 64)] >> (kind % 64) & 1 != 0)
        .filter(|kind| !(shared && matches!(kind, 253 | 254)))
        .collect();
    put("tcpOptionsFull", json!(kinds));
    if options.exids16_count > 0 {
        let list = &options.exids16[..usize::from(options.exids16_count)];
        put("tcpSharedOptionExID16List", json!(list));
    }
    if options.exids32_count > 0 {
        let list = &options.exids32[..usize::from(options.exids32_count)];
        put("tcpSharedOptionExID32List", json!(list));
    }
}

fn tunnel(record: &FlowRecord, extra: &Extra, put: &mut dyn FnMut(&str, Value)) {
    let tunnel = &extra.tunnel;
    let (version, text): (_, fn([u8; 16]) -> String) = if tunnel.outer_ipv6 {
        ("IPv6", |octets| Ipv6Addr::from(octets).to_string())
    } else {
        ("IPv4", |octets| Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]).to_string())
    };
    put("sixtap:tunnelLevel", json!(record.key.tunnel_level()));
    put("sixtap:tunnelKind", json!(tunnel.kind as u8));
    put("sixtap:tunnelIdentifier", json!(tunnel.identifier));
    put(&format!("sixtap:tunnelSource{version}Address"), json!(text(tunnel.source)));
    put(&format!("sixtap:tunnelDestination{version}Address"), json!(text(tunnel.destination)));
}
