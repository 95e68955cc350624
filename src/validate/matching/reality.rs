//! What is true of the traffic, from wherever it is known: metered by the reference meter, or told by the records of a
//! probe that is trusted.
//!
//! Comes in: the reference meter's flows, or gathered records. Goes out: a [`Reality`] to compare with.
//!
//! Must stay true: what a reference does not tell is marked so and never judged.

use super::exported::{Exported, Gathering, What};
use super::truth::Truth;
use crate::validate::reference::{Metered, Ports};
use std::collections::BTreeMap;

/// Elements that are known of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known(u64);

impl Known {
    /// Every element.
    pub const ALL: Self = Self(u64::MAX);
    /// None.
    pub const NOTHING: Self = Self(0);

    /// Whether the element is known.
    #[must_use]
    pub const fn has(self, what: What) -> bool {
        self.0 >> what as u32 & 1 == 1
    }

    /// With these elements too.
    #[must_use]
    pub fn with(self, elements: &[What]) -> Self {
        Self(elements.iter().fold(self.0, |bits, &what| bits | 1 << what as u32))
    }

    /// Without these elements.
    #[must_use]
    pub fn without(self, elements: &[What]) -> Self {
        Self(elements.iter().fold(self.0, |bits, &what| bits & !(1 << what as u32)))
    }

    /// What both know.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// What is true.
#[derive(Clone, Debug, Default)]
pub struct Reality {
    /// Frames of the traffic.
    pub frames: u64,
    /// Frames that are in no flow, by reason.
    pub unmetered: BTreeMap<String, u64>,
    /// The flows.
    pub flows: Vec<Truth>,
    /// When the traffic was observed, nanoseconds since 1970, if that was not all of it.
    pub window: Option<(i64, i64)>,
}

impl Reality {
    /// As the reference meter saw it.
    #[must_use]
    pub fn of_traffic(metered: Metered) -> Self {
        let reasons = metered.unmetered.iter();
        Self {
            frames: metered.frames,
            unmetered: reasons.map(|(reason, &count)| (reason.name().to_owned(), count)).collect(),
            flows: metered
                .flows
                .into_iter()
                .filter(|flow| flow.key.level == 0)
                .map(|flow| Truth::of(&flow))
                .collect(),
            window: None,
        }
    }

    /// As the records of a trusted probe tell it.
    #[must_use]
    pub fn of_records(gathering: Gathering) -> Self {
        let told = told(&gathering);
        let flows: Vec<_> =
            gathering.flows().0.iter().map(|flow| Truth::of_record(flow, told)).collect();
        Self {
            frames: flows.iter().map(|flow| flow.packets).fold(0, u64::saturating_add),
            flows,
            ..Self::default()
        }
    }
}

/// Elements whose truth follows from those that the records carry.
fn told(gathering: &Gathering) -> Known {
    let carried = gathering.carried();
    let any = |elements: &[What]| elements.iter().any(|&what| carried.has(what));
    let mut told = carried;
    for same in [
        &[What::Octets, What::OctetTotal][..],
        &[What::Packets, What::PacketTotal],
        &[What::Vlan, What::Dot1qVlan],
        &[What::IcmpV6, What::IcmpTypeV6, What::IcmpCodeV6, What::IcmpV4],
    ] {
        if any(same) {
            told = told.with(same);
        }
    }
    if any(&[What::Class]) {
        told = told.with(&[What::Dscp]);
    }
    told.without(&[What::LayerTwo])
}

/// Upper layers with ports.
const PORTED: [u8; 5] = [6, 17, 33, 132, 136];
/// Extension headers of the bits of ipv6ExtensionHeadersFull (RFC 9740 section 3.3).
const HEADERS: [(u8, u8); 12] = [
    (0, 60),
    (1, 0),
    (4, 44),
    (5, 43),
    (6, 44),
    (7, 135),
    (8, 50),
    (9, 51),
    (10, 139),
    (11, 140),
    (12, 253),
    (13, 254),
];

impl Truth {
    /// Of the records of one key. `told`: what the records of the stream tell at all; an element that others of its
    /// templates carry and this record's does not has nothing to tell here.
    #[must_use]
    pub fn of_record(said: &Exported, told: Known) -> Self {
        let first = |what| said.values(what).map(|values| values.first);
        let all = |what| -> Vec<u128> {
            said.values(what).map_or_else(Vec::new, |values| values.all().collect())
        };
        let or = |what| all(what).iter().fold(0, |bits, value| bits | value);
        let v6 = said.key.source.is_ipv6();
        let protocol = said.key.protocol.unwrap_or(0);
        let header_bits = or(What::HeadersFull) as u16;
        let mut chain: Vec<u8> = HEADERS
            .iter()
            .filter(|(bit, _)| header_bits >> bit & 1 == 1)
            .map(|&(_, header)| header)
            .collect();
        chain.sort_unstable();
        chain.dedup();
        let (offset, flags) = (or(What::FragmentOffset), or(What::FragmentFlags));
        let later = first(What::FragmentOffset).is_some_and(|offset| offset > 0);
        let mut hop_limits: Vec<u8> = [What::MinimumTtl, What::Ttl, What::MaximumTtl]
            .into_iter()
            .flat_map(all)
            .map(|value| value as u8)
            .collect();
        hop_limits.sort_unstable();
        hop_limits.dedup();
        let ports = match protocol {
            _ if later && said.key.ports == (0, 0) => Ports::Unknown,
            1 | 58 if (protocol == 58) == v6 => {
                Ports::Icmp((said.key.icmp >> 8) as u8, said.key.icmp as u8)
            }
            _ if PORTED.contains(&protocol) => Ports::Known(said.key.ports.0, said.key.ports.1),
            _ => Ports::None,
        };
        let known = match (said.reverse, said.both) {
            (true, _) => reverse(told),
            // Times, extremes and first values are those of both directions, or of one: not known which.
            (false, true) => told.without(&[What::Start, What::End]),
            (false, false) => told,
        };
        Self {
            source: said.key.source,
            destination: said.key.destination,
            protocol,
            ports,
            packets: said.packets,
            octets: said.octets,
            layer_two: 0,
            first: said.start.unwrap_or(0).max(0).cast_unsigned(),
            last: said.end.unwrap_or(0).max(0).cast_unsigned(),
            minimum: all(What::MinimumLength).iter().min().map_or(0, |&least| least as u64),
            maximum: all(What::MaximumLength).iter().max().map_or(0, |&most| most as u64),
            label: first(What::FlowLabel).filter(|_| v6).map(|label| label as u32),
            class: first(What::Class).map(|class| class as u8),
            next_header: first(What::NextHeader).map(|header| header as u8),
            hop_limit: first(What::Ttl).unwrap_or(0) as u8,
            labels: all(What::FlowLabel).iter().map(|&label| label as u32).collect(),
            classes: all(What::Class).iter().map(|&class| class as u8).collect(),
            hop_limits,
            header_bits,
            deprecated_bits: or(What::Headers) as u32,
            complete: all(What::HeadersLimit).iter().all(|&limit| limit != 2),
            chain,
            chain_length: match all(What::ChainLength).as_slice() {
                [] => Some(0),
                [only] => u32::try_from(*only).ok(),
                _ => None,
            },
            tcp_flags: or(What::TcpFlags) as u16,
            fragments: offset != 0 || flags & 0x20 != 0 || header_bits >> 6 & 1 == 1,
            fragment: first(What::FragmentId).map(|id| {
                let field = |what| first(what).unwrap_or(0);
                (
                    id as u32,
                    field(What::FragmentOffset) as u16,
                    field(What::FragmentFlags) as u8 & 0x60,
                )
            }),
            vlans: (
                first(What::Dot1qVlan).or(first(What::Vlan)).unwrap_or(0) as u16 & 0xfff,
                first(What::CustomerVlan).unwrap_or(0) as u16 & 0xfff,
            ),
            merged: false,
            known,
        }
    }
}

/// What the reverse half of a biflow tells.
fn reverse(told: Known) -> Known {
    told.and(Known::NOTHING.with(&[
        What::Protocol,
        What::SourcePort,
        What::DestinationPort,
        What::Octets,
        What::OctetTotal,
        What::Packets,
        What::PacketTotal,
        What::TcpFlags,
    ]))
}
