//! True flows, gathered for matching: everything the packets of one key were, over the whole capture.
//!
//! Comes in: the reference meter's flows, or records of a trusted probe. Goes out: a [`Truth`] for each set of addresses, protocol and ports; flows
//! that differ in VLAN, or in time, are one, for an exporter may cut time where it likes.

use super::reality::Known;
use crate::validate::reference::{Flow, Key, Ports};
use std::net::IpAddr;

/// What is true of a flow.
#[derive(Clone, Debug)]
pub struct Truth {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Upper layer.
    pub protocol: u8,
    /// Ports.
    pub ports: Ports,
    /// Packets.
    pub packets: u64,
    /// Octets.
    pub octets: u64,
    /// Octets of frames.
    pub layer_two: u64,
    /// First packet, nanoseconds since 1970.
    pub first: u64,
    /// Last packet.
    pub last: u64,
    /// Shortest packet.
    pub minimum: u64,
    /// Longest packet.
    pub maximum: u64,
    /// First packet's label.
    pub label: Option<u32>,
    /// First packet's class.
    pub class: Option<u8>,
    /// First packet's Next Header.
    pub next_header: Option<u8>,
    /// First packet's hop limit.
    pub hop_limit: u8,
    /// All labels.
    pub labels: Vec<u32>,
    /// All classes.
    pub classes: Vec<u8>,
    /// All hop limits, in order of size.
    pub hop_limits: Vec<u8>,
    /// Bits of ipv6ExtensionHeadersFull.
    pub header_bits: u16,
    /// Bits of ipv6ExtensionHeaders, in the registry's last numbering.
    pub deprecated_bits: u32,
    /// Whether chains are listed in full.
    pub complete: bool,
    /// Extension headers of all chains.
    pub chain: Vec<u8>,
    /// Octets of the only chain.
    pub chain_length: Option<u32>,
    /// TCP flags.
    pub tcp_flags: u16,
    /// Whether there are fragments that are not atomic.
    pub fragments: bool,
    /// Identification, offset and flags of the first fragment.
    pub fragment: Option<(u32, u16, u8)>,
    /// Outer and inner VLAN identifier.
    pub vlans: (u16, u16),
    /// Whether flows of several keys were put together.
    pub merged: bool,
    /// The elements of which the truth is known.
    pub known: Known,
}

impl Truth {
    /// Of one reference flow.
    #[must_use]
    pub fn of(flow: &Flow) -> Self {
        let Key { source, destination, protocol, ports, vlan, customer_vlan, .. } =
            flow.key.clone();
        let mut chain: Vec<u8> =
            flow.chains.iter().flat_map(|chain| chain.runs.iter().map(|run| run.0)).collect();
        chain.sort_unstable();
        chain.dedup();
        let full = u32::from(flow.header_bits);
        let moved: u32 =
            [(7, 12), (8, 13), (9, 14)].iter().map(|(from, to)| (full >> from & 1) << to).sum();
        let first = &flow.first_packet;
        Self {
            source,
            destination,
            protocol,
            ports,
            packets: flow.packets,
            octets: flow.octets,
            layer_two: flow.layer2_octets,
            first: flow.first.0,
            last: flow.last.0,
            minimum: flow.minimum_length,
            maximum: flow.maximum_length,
            label: first.flow_label,
            class: Some(first.traffic_class),
            next_header: first.next_header,
            hop_limit: first.hop_limit,
            labels: flow.labels.keys().copied().collect(),
            classes: flow.classes.keys().copied().collect(),
            hop_limits: flow.hop_limits.keys().copied().collect(),
            header_bits: flow.header_bits,
            deprecated_bits: full & 0b111_1011 | moved | u32::from(protocol == 108) << 15,
            complete: flow.complete,
            chain,
            chain_length: match flow.chains.as_slice() {
                [] => Some(0),
                [only] => Some(only.length),
                _ => None,
            },
            tcp_flags: flow.tcp_flags,
            fragments: flow.fragments.as_ref().is_some_and(|counts| counts.packets > counts.atomic),
            fragment: flow
                .fragments
                .as_ref()
                .map(|counts| (counts.identification, counts.offset, counts.flags)),
            vlans: (vlan, customer_vlan),
            merged: false,
            known: Known::ALL,
        }
    }

    /// Puts another flow to this one.
    pub fn join(&mut self, other: &Self) {
        let earlier = other.first < self.first;
        if earlier {
            self.label = other.label;
            self.class = other.class;
            self.next_header = other.next_header;
            self.hop_limit = other.hop_limit;
            self.vlans = other.vlans;
            self.fragment = other.fragment.or(self.fragment);
        }
        self.fragment = self.fragment.or(other.fragment);
        self.packets = self.packets.saturating_add(other.packets);
        self.octets = self.octets.saturating_add(other.octets);
        self.layer_two = self.layer_two.saturating_add(other.layer_two);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.minimum = self.minimum.min(other.minimum);
        self.maximum = self.maximum.max(other.maximum);
        union(&mut self.labels, &other.labels);
        union(&mut self.classes, &other.classes);
        union(&mut self.hop_limits, &other.hop_limits);
        union(&mut self.chain, &other.chain);
        self.header_bits |= other.header_bits;
        self.deprecated_bits |= other.deprecated_bits;
        self.complete &= other.complete;
        self.chain_length = self.chain_length.filter(|_| self.chain_length == other.chain_length);
        self.tcp_flags |= other.tcp_flags;
        self.fragments |= other.fragments;
        self.known = self.known.and(other.known);
    }

    /// Whether the addresses are IPv6.
    #[must_use]
    pub const fn is_ipv6(&self) -> bool {
        self.source.is_ipv6()
    }

    /// ICMP type and code.
    #[must_use]
    pub const fn icmp(&self) -> Option<(u8, u8)> {
        match self.ports {
            Ports::Icmp(kind, code) => Some((kind, code)),
            _ => None,
        }
    }

    /// What kind of traffic it is: what is most remarkable of it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        let has = |number: u8| self.chain.contains(&number);
        match () {
            () if self.fragments && self.is_ipv6() => "IPv6 fragments",
            () if self.fragments => "IPv4 fragments",
            () if has(51) => "Authentication header",
            () if has(44) => "atomic fragments",
            () if has(43) => "Routing header",
            () if has(0) => "Hop-by-Hop options",
            () if has(60) => "Destination options",
            () if has(135) || has(139) || has(140) => "Mobility, HIP, Shim6",
            () if has(50) => "ESP",
            () if has(253) || has(254) => "experimental headers",
            () if self.maximum > 65_575 => "jumbograms",
            () if !self.is_ipv6() => "IPv4",
            () => match self.protocol {
                6 => "TCP over IPv6",
                17 => "UDP over IPv6",
                58 => "ICMPv6",
                59 => "no next header",
                4 | 41 | 47 => "tunnels over IPv6",
                _ => "other protocols over IPv6",
            },
        }
    }

    /// The flow in words.
    #[must_use]
    pub fn show(&self) -> String {
        let (source, destination, protocol) = (self.source, self.destination, self.protocol);
        match self.ports {
            Ports::Known(from, to) => {
                format!("{source} port {from} to {destination} port {to}, protocol {protocol}")
            }
            Ports::Icmp(kind, code) => {
                format!("{source} to {destination}, ICMP type {kind} code {code}")
            }
            Ports::None | Ports::Unknown => {
                format!("{source} to {destination}, protocol {protocol}")
            }
        }
    }
}

fn union<T: Ord + Copy>(known: &mut Vec<T>, new: &[T]) {
    known.extend_from_slice(new);
    known.sort_unstable();
    known.dedup();
}
