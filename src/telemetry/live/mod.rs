//! The flows that are live: what can be asked of them, and what is kept of the answer.
//!
//! In: a [`Question`], then flows one by one. Out: the largest, or the largest groups of them. Bounded: at most
//! [`MOST_ROWS`] rows leave, and at most twice `ranking::GROUPS` groups are kept on the way.

mod filter;
mod ranking;

pub use filter::{Filter, FilterError};
pub use ranking::{Ranking, protocol_name};

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Most rows of an answer.
pub const MOST_ROWS: usize = 500;

/// One live flow: plain facts, apart from any table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Source port; 0 where the protocol has none.
    pub source_port: u16,
    /// Destination port; for ICMP and ICMPv6 type × 256 + code.
    pub destination_port: u16,
    /// The ports are not known: fragments without their first, or a cut header.
    pub ports_unknown: bool,
    /// Upper-layer protocol.
    pub protocol: u8,
    /// VLAN identifier, 0 without a tag.
    pub vlan: u16,
    /// Packets so far, of both directions for a biflow.
    pub packets: u64,
    /// IP octets so far.
    pub octets: u64,
    /// First packet: nanoseconds since 1970.
    pub first: u64,
    /// Last packet.
    pub last: u64,
    /// Extension headers: bits of `ipv6ExtensionHeadersFull`.
    pub headers: u16,
    /// TCP flags, 12 bits.
    pub tcp_flags: u16,
    /// Flow label of the first packet.
    pub label: u32,
    /// Fragments.
    pub fragments: Fragments,
}

/// What is known of a flow's fragments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fragments {
    /// Fragment packets.
    pub packets: u32,
    /// Of them atomic ones (RFC 6946).
    pub atomic: u32,
    /// First fragments without the whole chain of headers (RFC 7112).
    pub tiny: u32,
    /// Fragments that overlap others (RFC 5722).
    pub overlaps: u32,
    /// Exact repetitions.
    pub duplicates: u32,
    /// Fragments behind one with a larger offset.
    pub out_of_order: u32,
    /// Datagrams that are not complete.
    pub incomplete: u32,
    /// An overlap wrote other ports over the first ones.
    pub ports_rewritten: bool,
}

impl Fragments {
    /// Adds another flow's.
    pub fn add(&mut self, other: &Self) {
        let sum = |one: &mut u32, more: u32| *one = one.saturating_add(more);
        sum(&mut self.packets, other.packets);
        sum(&mut self.atomic, other.atomic);
        sum(&mut self.tiny, other.tiny);
        sum(&mut self.overlaps, other.overlaps);
        sum(&mut self.duplicates, other.duplicates);
        sum(&mut self.out_of_order, other.out_of_order);
        sum(&mut self.incomplete, other.incomplete);
        self.ports_rewritten |= other.ports_rewritten;
    }
}

/// Short names of the bits of `ipv6ExtensionHeadersFull`, bit 0 first, as RFC 9740 has them.
pub const HEADER_NAMES: [&str; 14] = [
    "DST", "HOP", "NoNxt", "UNK", "FRA0", "RH", "FRA1", "MOB", "ESP", "AH", "HIP", "SHIM6", "253",
    "254",
];

/// The headers of `bits`, as `HOP,RH`; `-` for none.
#[must_use]
pub fn header_names(bits: u16) -> String {
    let set = HEADER_NAMES.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1);
    let names: Vec<&str> = set.map(|(_, name)| *name).collect();
    if names.is_empty() { "-".to_owned() } else { names.join(",") }
}

/// What flows are put together by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// Not at all: one row a flow.
    #[default]
    Flow,
    /// Source address.
    Source,
    /// Destination address.
    Destination,
    /// Source network: the first 64 bits of an IPv6 address, 24 of an IPv4 address.
    Network,
    /// Protocol and destination port.
    Port,
    /// Upper-layer protocol and IP version.
    Protocol,
    /// Extension headers of IPv6 flows.
    Headers,
}

/// What makes a row large.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sort {
    /// IP octets.
    #[default]
    Octets,
    /// Packets.
    Packets,
    /// Flows.
    Flows,
    /// Octets a second over the life of the record.
    Rate,
}

/// A word that names no [`By`] or [`Sort`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{word}\" is none of {choices}")]
pub struct UnknownWord {
    word: String,
    choices: &'static str,
}

const BY: [(&str, By); 7] = [
    ("flow", By::Flow),
    ("source", By::Source),
    ("destination", By::Destination),
    ("network", By::Network),
    ("port", By::Port),
    ("protocol", By::Protocol),
    ("headers", By::Headers),
];

const SORT: [(&str, Sort); 4] = [
    ("octets", Sort::Octets),
    ("packets", Sort::Packets),
    ("flows", Sort::Flows),
    ("rate", Sort::Rate),
];

fn named<T: Copy>(list: &[(&str, T)], word: &str, choices: &'static str) -> Result<T, UnknownWord> {
    let found = list.iter().find(|(name, _)| *name == word);
    found.map(|(_, value)| *value).ok_or_else(|| UnknownWord { word: word.to_owned(), choices })
}

impl FromStr for By {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        named(&BY, word, "flow, source, destination, network, port, protocol, headers")
    }
}

impl FromStr for Sort {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        named(&SORT, word, "octets, packets, flows, rate")
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(BY.iter().find(|(_, by)| by == self).map_or("", |(name, _)| name))
    }
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SORT.iter().find(|(_, sort)| sort == self).map_or("", |(name, _)| name))
    }
}

/// What is asked of the live flows.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// What flows are put together by.
    pub by: By,
    /// What makes a row large.
    pub sort: Sort,
    /// Rows wanted, [`MOST_ROWS`] at the most.
    pub count: usize,
    /// Which flows.
    pub filter: Filter,
}

/// One row of an answer: a flow, or a group of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The flow, if flows are not put together.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub flow: Option<Flow>,
    /// What the flows of the row have in common.
    pub name: String,
    /// Flows.
    pub flows: u64,
    /// Packets.
    pub packets: u64,
    /// IP octets.
    pub octets: u64,
    /// Octets a second over the life of the records.
    pub rate: f64,
    /// Fragments.
    pub fragments: Fragments,
}

/// What one look found, or several put together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The rows, largest first.
    pub rows: Vec<Row>,
    /// Flows in the table.
    pub flows: u64,
    /// Flows that the filter selects.
    pub selected: u64,
    /// Packets in them.
    pub packets: u64,
    /// IP octets in them.
    pub octets: u64,
    /// IPv6 flows among them.
    pub ipv6: u64,
    /// Their fragments.
    pub fragments: Fragments,
    /// Flows in groups that were dropped because there were too many: they may be missing in any row.
    pub dropped: u64,
    /// Workers that did not answer in time.
    pub missing: u32,
}

impl Found {
    /// Puts the looks of several workers together. `sort` and `count` as they were asked.
    #[must_use]
    pub fn together(parts: Vec<Self>, question: &Question) -> Self {
        let mut sum = Self::default();
        let mut rows: Vec<Row> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for part in parts {
            sum.flows += part.flows;
            sum.selected += part.selected;
            sum.packets += part.packets;
            sum.octets += part.octets;
            sum.ipv6 += part.ipv6;
            sum.dropped += part.dropped;
            sum.missing += part.missing;
            sum.fragments.add(&part.fragments);
            for row in part.rows {
                let place = row
                    .flow
                    .is_none()
                    .then(|| *places.entry(row.name.clone()).or_insert(rows.len()));
                if let Some(known) = place.and_then(|place| rows.get_mut(place)) {
                    known.flows += row.flows;
                    known.packets += row.packets;
                    known.octets += row.octets;
                    known.rate += row.rate;
                    known.fragments.add(&row.fragments);
                } else {
                    rows.push(row);
                }
            }
        }
        rows.sort_by(|one, other| size(other, question.sort).total_cmp(&size(one, question.sort)));
        rows.truncate(question.count);
        Self { rows, ..sum }
    }
}

/// How large a row is.
fn size(row: &Row, sort: Sort) -> f64 {
    match sort {
        Sort::Octets => row.octets as f64,
        Sort::Packets => row.packets as f64,
        // A flow is one: the newest first.
        Sort::Flows => row.flow.map_or(row.flows as f64, |flow| flow.first as f64),
        Sort::Rate => row.rate,
    }
}

#[cfg(test)]
mod tests;
