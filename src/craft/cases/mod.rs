//! The labelled cases: one situation each, with the flow records it must give.
//!
//! In: a [`Plan`]. Out: frames with times, and the truth. Each case has addresses of its own, by its number, so that
//! all can stand in one capture. The rules for what is right are those at the head of `validate::reference`: default
//! key, uniflow, outermost IP header, active timeout 300 s, idle timeout 30 s.

mod attacks;
mod corners;
mod fragments;
mod headers;
mod ipv4;
mod link;
mod ordinary;
mod plain;
mod scene;
#[cfg(test)]
mod tests;
mod timing;
mod transports;
mod tunnels;

use super::truth::{Flow, milliseconds};
use scene::Scene;
use serde_json::{Map, Value, json};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Addresses and start of crafted traffic.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Source of the Ethernet frames.
    pub source_mac: [u8; 6],
    /// Destination of the Ethernet frames, but of multicast.
    pub destination_mac: [u8; 6],
    /// Network of the unicast IPv6 addresses; the lower 32 bits are the case's.
    pub prefix: Ipv6Addr,
    /// Network of the IPv6 destinations.
    pub destination_prefix: Ipv6Addr,
    /// Network of the IPv4 sources; the last octet is the case's.
    pub source_network: Ipv4Addr,
    /// Network of the IPv4 destinations; the last octet is the case's.
    pub destination_network: Ipv4Addr,
    /// Seed of what is drawn by lot in the attacks.
    pub seed: u64,
    /// Time of the first frame, nanoseconds since the UNIX epoch.
    pub start: u64,
}

impl Default for Plan {
    /// Addresses for documentation (RFC 3849, RFC 5737, RFC 7042 section 2.1.2), 2026-01-01.
    fn default() -> Self {
        Self {
            source_mac: [0x00, 0x00, 0x5e, 0x00, 0x53, 0x01],
            destination_mac: [0x00, 0x00, 0x5e, 0x00, 0x53, 0x02],
            prefix: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0),
            destination_prefix: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0),
            source_network: Ipv4Addr::new(192, 0, 2, 0),
            destination_network: Ipv4Addr::new(198, 51, 100, 0),
            seed: 1,
            start: 1_767_225_600_000_000_000,
        }
    }
}

/// Which set a case belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Set {
    /// One situation of protocol, header, fragment, tunnel or link.
    Case,
    /// One of the attacks of Hendriks and others (2017).
    Attack,
    /// What any network carries.
    Ordinary,
}

impl Set {
    /// The name on the command line and in the truth.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Case => "case",
            Self::Attack => "attack",
            Self::Ordinary => "ordinary",
        }
    }
}

/// What a case needs of the way it is sent, beyond an Ethernet with an MTU of 1500.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Its times are the point: it cannot be sent faster.
    pub time: bool,
    /// It is about a cut capture: it can only be written to a file.
    pub file: bool,
    /// Octets of its largest IP packet, if above 1500.
    pub mtu: Option<u32>,
}

/// One frame.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Nanoseconds since the UNIX epoch.
    pub time: u64,
    /// The captured octets.
    pub octets: Vec<u8>,
    /// Octets on the wire.
    pub wire_length: u32,
}

/// One case: traffic and its truth.
#[derive(Clone, Debug)]
pub struct Case {
    /// The name, unique in the suite.
    pub name: String,
    /// The set it belongs to.
    pub set: Set,
    /// What it shows.
    pub shows: &'static str,
    /// Where it is written what is right.
    pub rule: &'static str,
    /// What about its packets is not valid, if anything.
    pub invalid: Option<&'static str>,
    /// How it can be sent.
    pub needs: Needs,
    /// The frames, in order of time.
    pub frames: Vec<Frame>,
    /// The flow records that must come of it.
    pub flows: Vec<Flow>,
    /// The flow records of what tunnels carry, where the exporter looks inside.
    pub inner: Vec<Flow>,
}

impl Case {
    /// The truth as JSON. `packets`: with the frames in hexadecimal.
    #[must_use]
    pub fn truth(&self, packets: bool) -> Value {
        let flows = |flows: &[Flow]| -> Vec<Value> {
            flows.iter().map(|flow| Value::Object(flow.elements.clone())).collect()
        };
        let mut object = Map::new();
        let mut set = |name: &str, value: Value| object.insert(name.to_owned(), value);
        set("name", json!(self.name));
        set("set", json!(self.set.name()));
        set("shows", json!(self.shows));
        set("rule", json!(self.rule));
        if let Some(invalid) = self.invalid {
            set("invalid", json!(invalid));
        }
        set("frames", json!(self.frames.len()));
        if let (Some(first), Some(last)) = (self.frames.first(), self.frames.last()) {
            set("first", milliseconds(first.time));
            set("last", milliseconds(last.time));
        }
        set("flows", Value::Array(flows(&self.flows)));
        if !self.inner.is_empty() {
            set("innerFlows", Value::Array(flows(&self.inner)));
        }
        if packets {
            let octets: Vec<Value> =
                self.frames.iter().map(|frame| json!(hexadecimal(&frame.octets))).collect();
            set("packets", Value::Array(octets));
        }
        Value::Object(object)
    }
}

fn hexadecimal(octets: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    octets
        .iter()
        .flat_map(|octet| [octet >> 4, octet & 0xf])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

/// A case before its addresses are known.
struct Definition {
    name: &'static str,
    shows: &'static str,
    rule: &'static str,
    build: fn(&mut Scene<'_>),
}

/// A short hand for tables of cases.
const fn case(
    name: &'static str,
    rule: &'static str,
    shows: &'static str,
    build: fn(&mut Scene<'_>),
) -> Definition {
    Definition { name, shows, rule, build }
}

const TABLES: &[(Set, &[Definition])] = &[
    (Set::Case, plain::CASES),
    (Set::Case, transports::CASES),
    (Set::Case, headers::CASES),
    (Set::Case, fragments::CASES),
    (Set::Case, ipv4::CASES),
    (Set::Case, link::CASES),
    (Set::Case, tunnels::CASES),
    (Set::Case, timing::CASES),
    (Set::Ordinary, ordinary::CASES),
    (Set::Attack, attacks::CASES),
    (Set::Case, tunnels::MORE),
    (Set::Case, corners::CASES),
];

/// Builds every case that `wanted` says yes to. The others leave no gap in time, but keep their addresses.
#[must_use]
pub fn suite(plan: &Plan, wanted: impl Fn(&str, Set) -> bool) -> Vec<Case> {
    /// Nanoseconds between the end of a case and the start of the next.
    const PAUSE: u64 = 100_000_000;
    let definitions =
        TABLES.iter().flat_map(|(set, table)| table.iter().map(move |one| (*set, one)));
    let mut start = plan.start;
    let mut cases = Vec::new();
    for (number, (set, definition)) in (1..).zip(definitions) {
        if !wanted(definition.name, set) {
            continue;
        }
        let mut scene = Scene::new(plan, number, start);
        (definition.build)(&mut scene);
        let case = scene.into_case(definition, set);
        start = case.frames.last().map_or(start, |frame| frame.time) + PAUSE;
        cases.push(case);
    }
    cases
}

/// Name, set and purpose of every case, in order.
pub fn list() -> impl Iterator<Item = (&'static str, Set, &'static str)> {
    TABLES.iter().flat_map(|(set, table)| table.iter().map(|one| (one.name, *set, one.shows)))
}
