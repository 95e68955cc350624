//! The largest of many, in bounded memory.

use super::{By, Flow, Found, Fragments, HEADER_NAMES, Question, Row, Sort, header_names, size};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Groups that stay when there were twice as many. A group that holds more than one in this many of all octets, packets or
/// flows stays in any case: what is dropped is the smaller half.
pub(super) const GROUPS: usize = 8192;

/// What the flows of a group have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Group {
    Address(IpAddr),
    Network(IpAddr, u8),
    Port(u8, u16),
    Protocol(u8, bool),
    Headers(u16),
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    flows: u64,
    packets: u64,
    octets: u64,
    rate: f64,
    fragments: Fragments,
}

/// The largest flows, or groups of flows, of those that were shown to it.
#[derive(Debug)]
pub struct Ranking {
    question: Question,
    /// The largest flows so far; up to twice as many as are wanted.
    flows: Vec<Flow>,
    /// A flow smaller than this is not among the largest.
    least: f64,
    groups: HashMap<Group, Sum>,
    found: Found,
}

impl Ranking {
    /// An empty ranking.
    #[must_use]
    pub fn new(question: &Question) -> Self {
        let count = question.count.min(super::MOST_ROWS);
        Self {
            question: Question { count, ..question.clone() },
            flows: Vec::new(),
            least: 0.0,
            groups: HashMap::new(),
            found: Found::default(),
        }
    }

    /// Takes one more flow in.
    pub fn add(&mut self, flow: &Flow) {
        self.found.flows += 1;
        if !self.question.filter.selects(flow) {
            return;
        }
        self.found.selected += 1;
        self.found.packets += flow.packets;
        self.found.octets += flow.octets;
        self.found.ipv6 += u64::from(flow.source.is_ipv6());
        self.found.fragments.add(&flow.fragments);
        match group(flow, self.question.by) {
            None if self.question.by == By::Flow => self.add_flow(flow),
            None => {}
            Some(group) => self.add_to(group, flow),
        }
    }

    fn add_flow(&mut self, flow: &Flow) {
        let size = flow_size(flow, self.question.sort);
        if size < self.least || self.question.count == 0 {
            return;
        }
        self.flows.push(*flow);
        if self.flows.len() >= 2 * self.question.count {
            let sort = self.question.sort;
            self.flows
                .sort_by(|one, other| flow_size(other, sort).total_cmp(&flow_size(one, sort)));
            self.flows.truncate(self.question.count);
            self.least = self.flows.last().map_or(0.0, |flow| flow_size(flow, sort));
        }
    }

    fn add_to(&mut self, group: Group, flow: &Flow) {
        if self.groups.len() >= 2 * GROUPS && !self.groups.contains_key(&group) {
            self.drop_the_smaller_half();
        }
        let sum = self.groups.entry(group).or_default();
        sum.flows += 1;
        sum.packets += flow.packets;
        sum.octets += flow.octets;
        sum.rate += rate(flow);
        sum.fragments.add(&flow.fragments);
    }

    #[cold]
    fn drop_the_smaller_half(&mut self) {
        let sort = self.question.sort;
        let mut groups: Vec<(Group, Sum)> = self.groups.drain().collect();
        groups.sort_by(|one, other| sum_size(&other.1, sort).total_cmp(&sum_size(&one.1, sort)));
        self.found.dropped += groups.iter().skip(GROUPS).map(|(_, sum)| sum.flows).sum::<u64>();
        self.groups.extend(groups.into_iter().take(GROUPS));
    }

    /// What was found; the ranking is empty afterwards.
    #[must_use]
    pub fn take(&mut self) -> Found {
        let sort = self.question.sort;
        let flows = std::mem::take(&mut self.flows);
        let mut rows: Vec<Row> = flows.iter().map(flow_row).collect();
        // All groups leave: those of other workers are still to be added to them.
        rows.extend(self.groups.drain().map(|(group, sum)| group_row(group, &sum)));
        rows.sort_by(|one, other| size(other, sort).total_cmp(&size(one, sort)));
        if self.question.by == By::Flow {
            rows.truncate(self.question.count);
        }
        Found { rows, ..std::mem::take(&mut self.found) }
    }
}

/// Octets a second over the life of the record, which counts as a second at least.
fn rate(flow: &Flow) -> f64 {
    let seconds = flow.last.saturating_sub(flow.first) as f64 / 1e9;
    flow.octets as f64 / seconds.max(1.0)
}

fn flow_size(flow: &Flow, sort: Sort) -> f64 {
    match sort {
        Sort::Octets => flow.octets as f64,
        Sort::Packets => flow.packets as f64,
        // Each is one: then by time, the newest first.
        Sort::Flows => flow.first as f64,
        Sort::Rate => rate(flow),
    }
}

fn sum_size(sum: &Sum, sort: Sort) -> f64 {
    match sort {
        Sort::Octets => sum.octets as f64,
        Sort::Packets => sum.packets as f64,
        Sort::Flows => sum.flows as f64,
        Sort::Rate => sum.rate,
    }
}

/// The group of a flow; `None` if it is in none.
fn group(flow: &Flow, by: By) -> Option<Group> {
    Some(match by {
        By::Flow => return None,
        By::Source => Group::Address(flow.source),
        By::Destination => Group::Address(flow.destination),
        By::Network => network(flow.source),
        By::Port => Group::Port(flow.protocol, flow.destination_port),
        By::Protocol => Group::Protocol(flow.protocol, flow.source.is_ipv6()),
        By::Headers if flow.source.is_ipv6() => Group::Headers(flow.headers),
        By::Headers => return None,
    })
}

fn network(address: IpAddr) -> Group {
    match address {
        IpAddr::V6(address) => {
            let bits = u128::from(address) >> 64 << 64;
            Group::Network(Ipv6Addr::from(bits).into(), 64)
        }
        IpAddr::V4(address) => {
            let bits = u32::from(address) & 0xffff_ff00;
            Group::Network(Ipv4Addr::from(bits).into(), 24)
        }
    }
}

fn flow_row(flow: &Flow) -> Row {
    Row {
        flow: Some(*flow),
        name: String::new(),
        flows: 1,
        packets: flow.packets,
        octets: flow.octets,
        rate: rate(flow),
        fragments: flow.fragments,
    }
}

fn group_row(group: Group, sum: &Sum) -> Row {
    let name = match group {
        Group::Address(address) => address.to_string(),
        Group::Network(address, length) => format!("{address}/{length}"),
        Group::Port(protocol, port) => match protocol {
            1 | 58 => format!("{} {}/{}", protocol_name(protocol), port >> 8, port & 255),
            _ => format!("{} {port}", protocol_name(protocol)),
        },
        Group::Protocol(protocol, ipv6) => {
            format!("{} over IPv{}", protocol_name(protocol), if ipv6 { 6 } else { 4 })
        }
        Group::Headers(0) => "none".to_owned(),
        Group::Headers(bits) => header_names(bits & ((1 << HEADER_NAMES.len()) - 1)),
    };
    let Sum { flows, packets, octets, rate, fragments } = *sum;
    Row { flow: None, name, flows, packets, octets, rate, fragments }
}

/// The usual name of an upper-layer protocol, or its number.
#[must_use]
pub fn protocol_name(protocol: u8) -> String {
    let name = match protocol {
        1 => "ICMP",
        2 => "IGMP",
        4 => "IPv4",
        6 => "TCP",
        17 => "UDP",
        41 => "IPv6",
        47 => "GRE",
        50 => "ESP",
        51 => "AH",
        58 => "ICMPv6",
        59 => "NoNxt",
        89 => "OSPF",
        103 => "PIM",
        112 => "VRRP",
        115 => "L2TP",
        132 => "SCTP",
        other => return other.to_string(),
    };
    name.to_owned()
}
