//! A flow as Information Elements by name.
//!
//! In: a [`Flow`]. Out: a map from element name to value; sixtap's own elements are `sixtap:NAME`. Numbers are
//! numbers (flags too), addresses text, times milliseconds since the UNIX epoch, lists arrays. An element that does not apply to
//! the flow is not in the map; an exporter whose template has it all the same sends 0.

use super::chain::Chain;
use super::facts::Ports;
use super::flow::{Flow, FragmentCounts};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Distinct values are counted exactly up to this.
pub const DISTINCT: usize = 8;
/// ExIDs of each size that are kept.
const EXIDS: usize = 4;
/// Segments of an SRH that are kept.
const SEGMENTS: usize = 8;

/// Octets of an SRH that are kept; a longer one is not shown whole.
const SRH: usize = 176;

/// Element name to value.
pub type Elements = BTreeMap<&'static str, Value>;

impl Flow {
    /// Every element that applies to this flow.
    #[must_use]
    pub fn elements(&self) -> Elements {
        let mut elements = Elements::new();
        self.key_elements(&mut elements);
        self.counter_elements(&mut elements);
        self.header_elements(&mut elements);
        self.link_elements(&mut elements);
        self.tcp_elements(&mut elements);
        if let Some(fragments) = &self.fragments {
            fragment_elements(fragments, &mut elements);
        }
        self.tunnel_elements(&mut elements);
        elements
    }

    /// Number of the distinct chains, 9 for more than 8.
    #[must_use]
    pub fn chain_count(&self) -> usize {
        saturated(self.chains.len())
    }

    fn key_elements(&self, out: &mut Elements) {
        let (source, destination) = match self.key.source {
            IpAddr::V4(_) => ("sourceIPv4Address", "destinationIPv4Address"),
            IpAddr::V6(_) => ("sourceIPv6Address", "destinationIPv6Address"),
        };
        out.insert(source, json!(self.key.source.to_string()));
        out.insert(destination, json!(self.key.destination.to_string()));
        out.insert("ipVersion", json!(if self.key.source.is_ipv4() { 4 } else { 6 }));
        out.insert("isMulticast", json!(multicast(self.key.destination)));
        out.insert("protocolIdentifier", json!(self.key.protocol));
        match self.key.ports {
            Ports::Known(source, destination) => {
                out.insert("sourceTransportPort", json!(source));
                out.insert("destinationTransportPort", json!(destination));
            }
            Ports::Icmp(kind, code) => {
                let names = match self.key.source {
                    IpAddr::V4(_) => ["icmpTypeCodeIPv4", "icmpTypeIPv4", "icmpCodeIPv4"],
                    IpAddr::V6(_) => ["icmpTypeCodeIPv6", "icmpTypeIPv6", "icmpCodeIPv6"],
                };
                out.insert(names[0], json!(u16::from(kind) << 8 | u16::from(code)));
                out.insert(names[1], json!(kind));
                out.insert(names[2], json!(code));
            }
            Ports::None | Ports::Unknown => {}
        }
    }

    fn counter_elements(&self, out: &mut Elements) {
        out.insert("packetDeltaCount", json!(self.packets));
        out.insert("octetDeltaCount", json!(self.octets));
        out.insert("minimumIpTotalLength", json!(self.minimum_length));
        out.insert("maximumIpTotalLength", json!(self.maximum_length));
        out.insert("flowStartMilliseconds", json!(self.first.milliseconds()));
        out.insert("flowEndMilliseconds", json!(self.last.milliseconds()));
        out.insert("flowEndReason", json!(self.end_reason));
        out.insert("ingressInterface", json!(self.interface));
    }

    fn header_elements(&self, out: &mut Elements) {
        let first = &self.first_packet;
        out.insert("ipClassOfService", json!(first.traffic_class));
        out.insert("ipDiffServCodePoint", json!(first.traffic_class >> 2));
        out.insert("ipTTL", json!(first.hop_limit));
        changes(
            out,
            &self.hop_limits,
            ["sixtap:hopLimitDistinctCount", "minimumTTL", "maximumTTL"],
        );
        changes(
            out,
            &self.classes,
            [
                "sixtap:trafficClassDistinctCount",
                "sixtap:trafficClassMinimum",
                "sixtap:trafficClassMaximum",
            ],
        );
        if let Some(spi) = self.spi {
            out.insert("IPSecSPI", json!(spi));
        }
        let (Some(label), Some(next_header)) = (first.flow_label, first.next_header) else {
            return;
        };
        out.insert("flowLabelIPv6", json!(label));
        out.insert("nextHeaderIPv6", json!(next_header));
        changes(
            out,
            &self.labels,
            ["sixtap:flowLabelDistinctCount", "sixtap:flowLabelMinimum", "sixtap:flowLabelMaximum"],
        );
        self.chain_elements(out);
        self.segment_elements(out);
    }

    fn chain_elements(&self, out: &mut Elements) {
        out.insert("ipv6ExtensionHeadersFull", json!(self.header_bits));
        out.insert("ipv6ExtensionHeaders", json!(deprecated_bits(self)));
        out.insert("ipv6ExtensionHeadersLimit", json!(self.complete));
        out.insert("sixtap:ipv6ExtensionHeaderChainDistinctCount", json!(self.chain_count()));
        let Some(first) = self.chains.first() else { return };
        out.insert("ipv6ExtensionHeadersChainLength", json!(first.length));
        let kept = &self.chains[..self.chains.len().min(DISTINCT)];
        let types: Vec<_> = kept.iter().map(|chain| json!(chain.runs)).collect();
        out.insert("ipv6ExtensionHeaderTypeCountList", json!(types));
        let lengths: Vec<_> =
            kept.iter().map(|Chain { bits, length, .. }| (bits, length)).collect();
        out.insert("ipv6ExtensionHeaderChainLengthList", json!(lengths));
    }

    fn segment_elements(&self, out: &mut Elements) {
        let Some(segments) = &self.segments else { return };
        let text = |octets: &[u8; 16]| std::net::Ipv6Addr::from(*octets).to_string();
        let list: Vec<_> = segments.list.iter().take(SEGMENTS).map(text).collect();
        out.insert("srhFlagsIPv6", json!(segments.flags));
        out.insert("srhTagIPv6", json!(segments.tag));
        out.insert("srhSegmentsIPv6Left", json!(segments.left));
        out.insert("srhActiveSegmentIPv6", json!(text(&segments.active)));
        out.insert("srhSegmentIPv6BasicList", json!(list));
        out.insert("srhIPv6ActiveSegmentType", json!(0));
        let kept: Vec<u8> = segments.list.iter().take(SEGMENTS).flatten().copied().collect();
        if !kept.is_empty() {
            out.insert("srhSegmentIPv6ListSection", json!(hexadecimal(&kept)));
        }
        if let Some(section) = segments.section.as_ref().filter(|section| section.len() <= SRH) {
            out.insert("srhIPv6Section", json!(hexadecimal(section)));
        }
    }

    fn link_elements(&self, out: &mut Elements) {
        if self.link.addresses.is_some() {
            out.insert("layer2OctetDeltaCount", json!(self.layer2_octets));
        }
        if let Some((source, destination)) = self.link.addresses {
            out.insert("sourceMacAddress", json!(mac(source)));
            out.insert("destinationMacAddress", json!(mac(destination)));
        }
        if let Some(ether_type) = self.link.ether_type {
            out.insert("ethernetType", json!(ether_type));
        }
        let names = [
            ["dot1qVlanId", "dot1qPriority", "dot1qDEI"],
            ["dot1qCustomerVlanId", "dot1qCustomerPriority", "dot1qCustomerDEI"],
        ];
        if let Some(tag) = self.link.tags.first() {
            // The same by its older name.
            out.insert("vlanId", json!(tag & 0xfff));
        }
        for (tag, names) in self.link.tags.iter().zip(names) {
            out.insert(names[0], json!(tag & 0xfff));
            out.insert(names[1], json!(tag >> 13));
            out.insert(names[2], json!(tag & 0x1000 != 0));
        }
        let names =
            ["mplsTopLabelStackSection", "mplsLabelStackSection2", "mplsLabelStackSection3"];
        for (entry, name) in self.link.labels.iter().zip(names) {
            out.insert(name, json!(format!("{:06x}", entry >> 8)));
        }
    }

    fn tcp_elements(&self, out: &mut Elements) {
        if self.key.protocol != 6 {
            return;
        }
        if self.key.ports != Ports::Unknown && !(self.tcp_flags == 0 && self.tcp_flags_cut) {
            out.insert("tcpControlBits", json!(self.tcp_flags));
        }
        let shared = !(self.exids16.is_empty() && self.exids32.is_empty());
        let kinds: Vec<u8> = self
            .tcp_kinds
            .iter()
            .copied()
            .filter(|kind| !(shared && *kind > 252 && *kind < 255))
            .collect();
        out.insert("tcpOptionsFull", json!(kinds));
        let kept = |count: usize| count.min(EXIDS);
        if !self.exids16.is_empty() {
            let list = &self.exids16[..kept(self.exids16.len())];
            out.insert("tcpSharedOptionExID16List", json!(list));
        }
        if !self.exids32.is_empty() {
            let list = &self.exids32[..kept(self.exids32.len())];
            out.insert("tcpSharedOptionExID32List", json!(list));
        }
    }

    fn tunnel_elements(&self, out: &mut Elements) {
        let Some(carrier) = &self.carrier else { return };
        let names = match carrier.source {
            IpAddr::V4(_) => {
                ["sixtap:tunnelSourceIPv4Address", "sixtap:tunnelDestinationIPv4Address"]
            }
            IpAddr::V6(_) => {
                ["sixtap:tunnelSourceIPv6Address", "sixtap:tunnelDestinationIPv6Address"]
            }
        };
        out.insert("sixtap:tunnelLevel", json!(self.key.level));
        out.insert("sixtap:tunnelKind", json!(carrier.kind_number()));
        out.insert("sixtap:tunnelIdentifier", json!(carrier.identifier));
        out.insert(names[0], json!(carrier.source.to_string()));
        out.insert(names[1], json!(carrier.destination.to_string()));
    }
}

fn fragment_elements(fragments: &FragmentCounts, out: &mut Elements) {
    out.insert("fragmentIdentification", json!(fragments.identification));
    out.insert("fragmentOffset", json!(fragments.offset));
    out.insert("fragmentFlags", json!(fragments.flags));
    out.insert("sixtap:fragmentMinimumOffset", json!(fragments.minimum_offset));
    out.insert("sixtap:fragmentPackets", json!(fragments.packets));
    out.insert("sixtap:fragmentAtomicCount", json!(fragments.atomic));
    out.insert("sixtap:fragmentDuplicateCount", json!(fragments.duplicates));
    out.insert("sixtap:fragmentOverlapCount", json!(fragments.overlaps));
    out.insert("sixtap:fragmentOutOfOrderCount", json!(fragments.out_of_order));
    out.insert("sixtap:fragmentIncompleteDatagramCount", json!(fragments.incomplete));
    out.insert("sixtap:fragmentTinyFirstCount", json!(fragments.tiny));
    out.insert("sixtap:fragmentPortsRewritten", json!(fragments.rewritten_port.is_some()));
    let port = fragments.rewritten_port.unwrap_or(0);
    out.insert("sixtap:fragmentRewrittenDestinationPort", json!(port));
}

/// Number of distinct values, smallest, largest.
fn changes<T: Copy + Ord + Into<u32>>(
    out: &mut Elements,
    values: &BTreeMap<T, u64>,
    names: [&'static str; 3],
) {
    out.insert(names[0], json!(saturated(values.len())));
    if let (Some((smallest, _)), Some((largest, _))) =
        (values.first_key_value(), values.last_key_value())
    {
        let [smallest, largest]: [u32; 2] = [(*smallest).into(), (*largest).into()];
        out.insert(names[1], json!(smallest));
        out.insert(names[2], json!(largest));
    }
}

fn saturated(count: usize) -> usize {
    count.min(DISTINCT + 1)
}

/// `isMulticast`: IPv6 scope in the upper four bits, then the T flag; lowest bit IPv4 multicast.
fn multicast(destination: IpAddr) -> u8 {
    match destination {
        IpAddr::V4(address) => u8::from(address.is_multicast()),
        IpAddr::V6(address) => match address.octets() {
            [0xff, second, ..] => second << 4 | (second >> 4 & 1) << 3,
            _ => 0,
        },
    }
}

/// `ipv6ExtensionHeaders` (IE 64) in the last numbering that the registry had.
fn deprecated_bits(flow: &Flow) -> u32 {
    let full = u32::from(flow.header_bits);
    let moved =
        [(7, 12), (8, 13), (9, 14)].iter().map(|(from, to)| (full >> from & 1) << to).sum::<u32>();
    full & 0b111_1011 | moved | u32::from(flow.key.protocol == 108) << 15
}

fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn mac(octets: [u8; 6]) -> String {
    octets.map(|octet| format!("{octet:02x}")).join(":")
}
