//! What an exporter said, gathered by flow.
//!
//! Comes in: the collector's records. Goes out: an [`Exported`] for each key, whatever the number of its records.
//!
//! Must stay true: the number of keys is bounded, records of keys beyond the bound are counted; nothing here judges.

use super::reality::Known;
use crate::collect::{Event, Record as Collected, Version};
use crate::ipfix::Template;
use crate::validate::view::{Message, Record, Slot, Span, View};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// Keys remembered at most.
const KEYS: usize = 4_000_000;
/// Templates remembered with what is looked up in them.
const VIEWS: usize = 4096;
/// Different values of an element kept of a flow.
const VALUES: usize = 8;

/// An element that is held against the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "named like the elements")]
pub enum What {
    FlowLabel,
    Class,
    Dscp,
    Protocol,
    NextHeader,
    SourcePort,
    DestinationPort,
    IcmpV6,
    IcmpTypeV6,
    IcmpCodeV6,
    IcmpV4,
    HeadersFull,
    Headers,
    HeadersLimit,
    ChainLength,
    FragmentId,
    FragmentOffset,
    FragmentFlags,
    Ttl,
    MinimumTtl,
    MaximumTtl,
    TcpFlags,
    MinimumLength,
    MaximumLength,
    Octets,
    Packets,
    OctetTotal,
    PacketTotal,
    Start,
    End,
    Vlan,
    Dot1qVlan,
    CustomerVlan,
    LayerTwo,
}

/// Each element with its slot and name.
pub const ELEMENTS: &[(What, Slot, &str)] = &[
    (What::FlowLabel, Slot::FlowLabel, "flowLabelIPv6"),
    (What::Class, Slot::Class, "ipClassOfService"),
    (What::Dscp, Slot::Dscp, "ipDiffServCodePoint"),
    (What::Protocol, Slot::Protocol, "protocolIdentifier"),
    (What::NextHeader, Slot::NextHeader, "nextHeaderIPv6"),
    (What::SourcePort, Slot::SourcePort, "sourceTransportPort"),
    (What::DestinationPort, Slot::DestinationPort, "destinationTransportPort"),
    (What::IcmpV6, Slot::IcmpV6, "icmpTypeCodeIPv6"),
    (What::IcmpTypeV6, Slot::IcmpTypeV6, "icmpTypeIPv6"),
    (What::IcmpCodeV6, Slot::IcmpCodeV6, "icmpCodeIPv6"),
    (What::IcmpV4, Slot::IcmpV4, "icmpTypeCodeIPv4"),
    (What::HeadersFull, Slot::HeadersFull, "ipv6ExtensionHeadersFull"),
    (What::Headers, Slot::ExtensionHeaders, "ipv6ExtensionHeaders"),
    (What::HeadersLimit, Slot::HeadersLimit, "ipv6ExtensionHeadersLimit"),
    (What::ChainLength, Slot::ChainLength, "ipv6ExtensionHeadersChainLength"),
    (What::FragmentId, Slot::FragmentId, "fragmentIdentification"),
    (What::FragmentOffset, Slot::FragmentOffset, "fragmentOffset"),
    (What::FragmentFlags, Slot::FragmentFlags, "fragmentFlags"),
    (What::Ttl, Slot::Ttl, "ipTTL"),
    (What::MinimumTtl, Slot::MinimumTtl, "minimumTTL"),
    (What::MaximumTtl, Slot::MaximumTtl, "maximumTTL"),
    (What::TcpFlags, Slot::TcpFlags, "tcpControlBits"),
    (What::MinimumLength, Slot::MinimumLength, "minimumIpTotalLength"),
    (What::MaximumLength, Slot::MaximumLength, "maximumIpTotalLength"),
    (What::Octets, Slot::OctetDelta, "octetDeltaCount"),
    (What::Packets, Slot::PacketDelta, "packetDeltaCount"),
    (What::OctetTotal, Slot::OctetTotal, "octetTotalCount"),
    (What::PacketTotal, Slot::PacketTotal, "packetTotalCount"),
    (What::Start, Slot::StartMillis, "flowStartMilliseconds"),
    (What::End, Slot::EndMillis, "flowEndMilliseconds"),
    (What::Vlan, Slot::Vlan, "vlanId"),
    (What::Dot1qVlan, Slot::Dot1qVlan, "dot1qVlanId"),
    (What::CustomerVlan, Slot::CustomerVlan, "dot1qCustomerVlanId"),
    (What::LayerTwo, Slot::LayerTwoOctetDelta, "layer2OctetDeltaCount"),
];

/// The key as exported.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// protocolIdentifier; nextHeaderIPv6 where it is missing.
    pub protocol: Option<u8>,
    /// Ports as they stand.
    pub ports: (u16, u16),
    /// ICMP type and code, wherever they stand; 0 where nothing tells.
    pub icmp: u16,
}

/// The values of one element over the records of a flow.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    /// Of the record that starts first.
    pub first: u128,
    what: What,
    others: &'a [(What, u64)],
}

impl Values<'_> {
    /// Different values, as far as kept.
    pub fn all(&self) -> impl Iterator<Item = u128> + '_ {
        let others = self.others.iter().filter(|(what, _)| *what == self.what);
        std::iter::once(self.first).chain(others.map(|&(_, value)| value.into()))
    }
}

/// What was said of one flow.
#[derive(Clone, Debug)]
pub struct Exported {
    /// The key.
    pub key: Key,
    /// Records.
    pub records: u64,
    /// Packets of all of them.
    pub packets: u64,
    /// Octets of all of them.
    pub octets: u64,
    /// Earliest start, nanoseconds since 1970.
    pub start: Option<i64>,
    /// Latest end.
    pub end: Option<i64>,
    /// Whether times are in whole seconds.
    pub coarse: bool,
    /// Elements that its records carry. Most flows share this list, the template's.
    shape: Arc<[What]>,
    /// Their values in the record that starts first.
    firsts: Box<[u64]>,
    /// Different values of other records.
    others: Vec<(What, u64)>,
    /// The template of the first record.
    pub template: u16,
    /// Session and message of the first record.
    pub place: (u32, u64),
    /// Whether it is the reverse half of biflows.
    pub reverse: bool,
    /// Whether it was observed on its way out: flowDirection is 1.
    pub egress: bool,
    /// Whether its times are those of both directions.
    pub both: bool,
}

impl Exported {
    /// Values of an element.
    #[must_use]
    pub fn values(&self, what: What) -> Option<Values<'_>> {
        let at = self.shape.iter().position(|&known| known == what)?;
        let first = (*self.firsts.get(at)?).into();
        Some(Values { first, what, others: &self.others })
    }

    /// Adds a value of a further record; `earlier`: it starts before all others.
    fn note(&mut self, what: What, value: u64, earlier: bool) {
        let Some(at) = self.shape.iter().position(|&known| known == what) else {
            self.shape = self.shape.iter().copied().chain([what]).collect();
            self.firsts = self.firsts.iter().copied().chain([value]).collect();
            return;
        };
        let Some(first) = self.firsts.get_mut(at) else { return };
        let other = if earlier { std::mem::replace(first, value) } else { value };
        let same = self.others.iter().filter(|(known, _)| *known == what);
        if other != *first
            && same.clone().count() < VALUES - 1
            && !same.clone().any(|&(_, known)| known == other)
        {
            self.others.push((what, other));
        }
    }
}

/// A template with what is looked up in its records.
#[derive(Debug)]
struct Compiled {
    /// Kept, so that its address stays its own.
    _template: Arc<Template>,
    view: View,
    shape: Arc<[What]>,
    fields: Box<[usize]>,
}

/// Gathers records.
#[derive(Debug)]
pub struct Gathering {
    views: HashMap<*const Template, Compiled>,
    carried: Known,
    /// By key, whether it is the reverse half of a biflow, and whether it was observed on its way out.
    flows: HashMap<(Key, bool, bool), Exported>,
    /// Flow records taken.
    pub records: u64,
    /// Records of biflows with both halves.
    pub biflows: u64,
    /// Records of keys beyond the bound, or without addresses.
    pub left_out: u64,
    /// One in how many packets is metered, as options say.
    pub sampling: Option<f64>,
    /// systemInitTimeMilliseconds of each session and domain, as options say.
    inits: HashMap<(u32, u32), u64>,
    spans: Vec<Span>,
    messages: u64,
}

impl Default for Gathering {
    fn default() -> Self {
        Self {
            views: HashMap::new(),
            carried: Known::NOTHING,
            flows: HashMap::new(),
            records: 0,
            biflows: 0,
            left_out: 0,
            sampling: None,
            inits: HashMap::new(),
            spans: Vec::new(),
            messages: 0,
        }
    }
}

impl Gathering {
    /// Takes an event of the collector.
    pub fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Message(_) => self.messages += 1,
            Event::Record(record) => self.record(record),
            Event::Template { message, template, .. } => {
                self.compile(message.version, template);
            }
            _ => {}
        }
    }

    /// Elements that any template of flows carries.
    #[must_use]
    pub const fn carried(&self) -> Known {
        self.carried
    }

    /// The template with what is looked up in it.
    fn compile(&mut self, version: Version, template: &Arc<Template>) {
        let address = Arc::as_ptr(template);
        if self.views.contains_key(&address) {
            return;
        }
        if self.views.len() >= VIEWS {
            // An exporter that defines its templates anew all the time. What is in use comes back.
            self.views.clear();
        }
        let scopes = usize::from(template.scope_count());
        let fields = template.fields().to_vec();
        let view = View::new(version, template.id(), fields, scopes, template.is_options());
        let carried =
            ELEMENTS.iter().filter_map(|&(what, slot, _)| Some((what, view.field(slot)?)));
        let (shape, fields): (Vec<What>, Vec<usize>) = carried.unzip();
        if view.is_flow() {
            self.carried = self.carried.with(&shape);
        }
        let compiled = Compiled {
            _template: Arc::clone(template),
            view,
            shape: shape.into(),
            fields: fields.into(),
        };
        self.views.insert(address, compiled);
    }

    /// All flows, in order of their keys, and the records that tell again, on its way out, of a flow that was told of on its
    /// way in.
    #[must_use]
    pub fn flows(mut self) -> (Vec<Exported>, u64) {
        let mut again = 0;
        let outs: Vec<_> = self.flows.keys().filter(|(.., egress)| *egress).cloned().collect();
        for (key, reverse, _) in outs {
            if self.flows.contains_key(&(key.clone(), reverse, false))
                && let Some(out) = self.flows.remove(&(key, reverse, true))
            {
                again += out.records;
            }
        }
        let mut flows: Vec<_> = self.flows.into_values().collect();
        flows.sort_by(|a, b| a.key.cmp(&b.key).then(a.reverse.cmp(&b.reverse)));
        (flows, again)
    }

    fn record(&mut self, collected: &Collected<'_>) {
        let template = collected.template;
        self.compile(collected.message.version, template);
        let Self { views, spans, .. } = self;
        let Some(compiled) = views.get(&Arc::as_ptr(template)) else { return };
        let view = &compiled.view;
        spans.clear();
        spans.extend(collected.fields().map(|field| Span {
            start: (field.offset - collected.octets.offset) as u32,
            length: field.octets.len() as u32,
        }));
        let header = &collected.message.header;
        let domain = (collected.message.session, header.domain);
        let message = Message {
            version: collected.message.version,
            transport: collected.message.transport.protocol,
            octets: collected.message.octets,
            position: collected.message.transport.position,
            number: self.messages,
            export_time: header.export_time,
            sequence: header.sequence,
            domain: header.domain,
            uptime: header.uptime,
            received: None,
        };
        let record = Record {
            view,
            message: &message,
            octets: collected.octets.octets,
            start: collected.octets.offset as u32,
            spans,
            set: 0,
            number: 0,
            system_init: self.inits.get(&domain).copied(),
            times: (None, None),
        }
        .with_times();
        if view.options {
            self.sampling = sampling(&record).or(self.sampling);
            if let Some(init) =
                record.unsigned(Slot::SystemInit).filter(|_| self.inits.len() < 4096)
            {
                self.inits.insert(domain, init);
            }
            return;
        }
        if !view.is_flow() {
            return;
        }
        self.records += 1;
        let Some(key) = key(&record) else {
            self.left_out += 1;
            return;
        };
        let place = (collected.message.session, self.messages);
        let reverse = record.unsigned(Slot::ReversePacketDelta).filter(|&packets| packets > 0);
        if let Some(packets) = reverse {
            self.biflows += 1;
            let octets = record.unsigned(Slot::ReverseOctetDelta).unwrap_or(0);
            let flags = record.unsigned(Slot::ReverseTcpFlags);
            let (shape, firsts): (Vec<What>, Vec<u64>) =
                flags.map(|flags| (What::TcpFlags, flags)).into_iter().unzip();
            let half = Exported {
                key: turned(&key),
                records: 1,
                packets,
                octets,
                start: None,
                end: None,
                coarse: false,
                shape: shape.into(),
                firsts: firsts.into(),
                others: Vec::new(),
                template: record.view.template,
                place,
                reverse: true,
                egress: false,
                both: true,
            };
            add(&mut self.flows, half, &mut self.left_out);
        }
        let flow = exported(&record, compiled, key, place);
        add(&mut self.flows, flow, &mut self.left_out);
    }
}

fn add(flows: &mut HashMap<(Key, bool, bool), Exported>, new: Exported, left_out: &mut u64) {
    let key = (new.key.clone(), new.reverse, new.egress);
    if let Some(known) = flows.get_mut(&key) {
        join(known, new);
    } else if flows.len() < KEYS {
        flows.insert(key, new);
    } else {
        *left_out += 1;
    }
}

/// Adds what further records say of a flow.
fn join(known: &mut Exported, new: Exported) {
    let earlier = match (new.start, known.start) {
        (Some(new), Some(known)) => new < known,
        _ => false,
    };
    known.records += new.records;
    known.packets = known.packets.saturating_add(new.packets);
    known.octets = known.octets.saturating_add(new.octets);
    known.start = known.start.into_iter().chain(new.start).min();
    known.end = known.end.into_iter().chain(new.end).max();
    known.coarse |= new.coarse;
    known.both |= new.both;
    for (&what, &value) in new.shape.iter().zip(&new.firsts) {
        known.note(what, value, earlier);
    }
}

fn exported(record: &Record<'_>, compiled: &Compiled, key: Key, place: (u32, u64)) -> Exported {
    let values = compiled.fields.iter().map(|&index| wide(record.field(index)));
    let coarse = record.view.has(Slot::StartSeconds) && !record.view.has(Slot::StartMillis);
    Exported {
        key,
        records: 1,
        packets: record.packet_count().unwrap_or(0),
        octets: record.octet_count().unwrap_or(0),
        start: record.flow_start(),
        end: record.flow_end(),
        coarse,
        shape: Arc::clone(&compiled.shape),
        firsts: values.collect(),
        others: Vec::new(),
        template: record.view.template,
        place,
        reverse: false,
        egress: record.unsigned(Slot::Direction) == Some(1),
        both: record.unsigned(Slot::ReversePacketDelta).is_some_and(|packets| packets > 0),
    }
}

/// Octets as a number; all ones if they do not fit into 64 bits.
fn wide(octets: &[u8]) -> u64 {
    let (upper, lower) = octets.split_at(octets.len().saturating_sub(8));
    if upper.iter().any(|&octet| octet != 0) {
        return u64::MAX;
    }
    lower.iter().fold(0, |value, &octet| value << 8 | u64::from(octet))
}

fn turned(key: &Key) -> Key {
    Key {
        source: key.destination,
        destination: key.source,
        ports: (key.ports.1, key.ports.0),
        ..key.clone()
    }
}

/// One in how many packets, by an options record.
fn sampling(record: &Record<'_>) -> Option<f64> {
    let number = |slot| record.unsigned(slot).map(|value| value as f64);
    let rate = match (number(Slot::PacketInterval), number(Slot::PacketSpace)) {
        (Some(taken), Some(skipped)) if taken > 0.0 => Some((taken + skipped) / taken),
        (Some(rate), None) => Some(rate),
        _ => None,
    };
    let of_population = match (number(Slot::SamplingSize), number(Slot::SamplingPopulation)) {
        (Some(size), Some(population)) if size > 0.0 => Some(population / size),
        _ => None,
    };
    rate.or(of_population)
        .or_else(|| number(Slot::SamplingInterval))
        .or_else(|| number(Slot::SamplerRandom))
        .filter(|rate| *rate >= 1.0)
}

fn key(record: &Record<'_>) -> Option<Key> {
    let v4 = |slot| {
        let octets: [u8; 4] = record.octets_of(slot)?.try_into().ok()?;
        Some(IpAddr::V4(Ipv4Addr::from(octets)))
    };
    let v6 = |slot| record.ipv6(slot).map(IpAddr::V6);
    let (source, destination) = if record.is_ipv6() {
        (v6(Slot::SourceV6)?, v6(Slot::DestinationV6)?)
    } else {
        (v4(Slot::SourceV4)?, v4(Slot::DestinationV4)?)
    };
    let unspecified = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    if source == unspecified && destination == unspecified {
        return None;
    }
    let number = |slot| record.unsigned(slot).and_then(|value| u8::try_from(value).ok());
    let protocol = number(Slot::Protocol).or_else(|| number(Slot::NextHeader));
    let port = |slots: &[Slot]| {
        record.first_of(slots).and_then(|(_, port)| u16::try_from(port).ok()).unwrap_or(0)
    };
    let ports = (
        port(&[Slot::SourcePort, Slot::UdpSourcePort, Slot::TcpSourcePort]),
        port(&[Slot::DestinationPort, Slot::UdpDestinationPort, Slot::TcpDestinationPort]),
    );
    let icmp = match protocol {
        Some(1 | 58) => icmp(record, ports.1),
        _ => 0,
    };
    Some(Key { source, destination, protocol, ports, icmp })
}

/// Type and code, wherever they stand.
fn icmp(record: &Record<'_>, port: u16) -> u16 {
    let pair = |both, kind, code| {
        let both = record.unsigned(both);
        both.or_else(|| Some(record.unsigned(kind)? << 8 | record.unsigned(code)?))
            .filter(|&value| value != 0)
    };
    pair(Slot::IcmpV6, Slot::IcmpTypeV6, Slot::IcmpCodeV6)
        .or_else(|| pair(Slot::IcmpV4, Slot::IcmpTypeV4, Slot::IcmpCodeV4))
        .and_then(|value| u16::try_from(value).ok())
        .unwrap_or(port)
}
