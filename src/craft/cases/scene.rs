//! Where one case is put together: its addresses, its clock, the frames so far, the truth so far.

use super::{Case, Definition, Frame, Needs, Plan, Set};
use crate::craft::checksum::Ends;
use crate::craft::header::{Head4, Head6, Header, Tag, chain, ethernet};
use crate::craft::random::Random;
use crate::craft::transport::{Ports, Tcp, tcp, udp};
use crate::craft::truth::{Flow, milliseconds};
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) const IPV4: u16 = 0x0800;
pub(super) const IPV6: u16 = 0x86dd;

/// Shortest Ethernet frame, without its frame check sequence.
const SHORTEST_FRAME: usize = 60;

/// Largest IP packet of an Ethernet that is not special.
const USUAL_MTU: usize = 1500;

const MILLISECOND: u64 = 1_000_000;

pub(super) struct Scene<'p> {
    plan: &'p Plan,
    number: u16,
    /// When the next frame is sent.
    now: u64,
    /// Nanoseconds from one frame to the next.
    gap: u64,
    frames: Vec<Frame>,
    flows: Vec<Flow>,
    inner: Vec<Flow>,
    invalid: Option<&'static str>,
    needs: Needs,
    destination_mac: [u8; 6],
    /// Tags put on every frame.
    pub(super) tags: Vec<Tag>,
    /// What frames shorter than the shortest are filled with.
    pub(super) padding: u8,
    /// The frames of the flow that is being put together begin here.
    from: usize,
    pub(super) random: Random,
}

impl<'p> Scene<'p> {
    pub(super) fn new(plan: &'p Plan, number: u16, start: u64) -> Self {
        Self {
            plan,
            number,
            now: start,
            gap: MILLISECOND,
            frames: Vec::new(),
            flows: Vec::new(),
            inner: Vec::new(),
            invalid: None,
            needs: Needs::default(),
            destination_mac: plan.destination_mac,
            tags: Vec::new(),
            padding: 0,
            from: 0,
            random: Random::new(plan.seed ^ u64::from(number) << 32),
        }
    }

    pub(super) fn into_case(self, definition: &Definition, set: Set) -> Case {
        Case {
            name: definition.name.to_owned(),
            set,
            shows: definition.shows,
            rule: definition.rule,
            invalid: self.invalid,
            needs: self.needs,
            frames: self.frames,
            flows: self.flows,
            inner: self.inner,
        }
    }

    /// A unicast IPv6 address of this case. Host 2 is where its packets go to.
    pub(super) fn address6(&self, host: u16) -> Ipv6Addr {
        let low = u128::from(self.number) << 16 | u128::from(host);
        let network = if host == 2 { self.plan.destination_prefix } else { self.plan.prefix };
        Ipv6Addr::from(u128::from(network) | low)
    }

    /// A unicast IPv6 address of the destinations' prefix drawn by lot, of no case.
    /// `number`, below 1024, keeps addresses apart.
    pub(super) fn address_by_lot(&mut self, number: usize) -> Ipv6Addr {
        let low = 0x8000_0000 | self.random.below(1 << 21) << 10 | number as u64;
        Ipv6Addr::from(u128::from(self.plan.destination_prefix) | u128::from(low))
    }

    pub(super) fn source4(&self) -> Ipv4Addr {
        with_host(self.plan.source_network, self.number)
    }

    pub(super) fn destination4(&self) -> Ipv4Addr {
        with_host(self.plan.destination_network, self.number)
    }

    /// The IPv6 header of this case's packets: its flow label is its own.
    pub(super) fn head6(&self) -> Head6 {
        Head6 {
            source: self.address6(1),
            destination: self.address6(2),
            class: 0,
            label: self.label(),
            hop_limit: 64,
        }
    }

    pub(super) fn label(&self) -> u32 {
        0xf_0000 | u32::from(self.number)
    }

    pub(super) fn head4(&self) -> Head4 {
        Head4 {
            source: self.source4(),
            destination: self.destination4(),
            tos: 0,
            ttl: 64,
            identification: self.number,
            fragment: 0,
        }
    }

    pub(super) fn ends6(&self) -> Ends {
        Ends { source: self.address6(1).into(), destination: self.address6(2).into() }
    }

    pub(super) fn ends4(&self) -> Ends {
        Ends { source: self.source4().into(), destination: self.destination4().into() }
    }

    pub(super) fn ports(&self) -> Ports {
        (49152 + self.number, 4242)
    }

    /// A UDP datagram between this case's IPv6 addresses: 8 octets and the payload.
    pub(super) fn udp6(&self, payload: usize) -> Vec<u8> {
        udp(self.ends6(), self.ports(), &filler(payload))
    }

    /// A TCP segment between this case's IPv6 addresses: 20 octets and the payload.
    pub(super) fn tcp6(&self, flags: u16, payload: usize) -> Vec<u8> {
        tcp(self.ends6(), self.ports(), Tcp { flags, ..Tcp::default() }, &filler(payload))
    }

    /// The truth of a flow between this case's IPv6 addresses with its label, class 0 and hop limit 64.
    pub(super) fn flow6(&self, protocol: u8) -> Flow {
        Flow::new(self.address6(1).into(), self.address6(2).into(), protocol)
            .class_and_hops(0, 64)
            .set("flowLabelIPv6", self.label())
    }

    /// The truth of a flow between this case's IPv4 addresses with TOS 0 and TTL 64.
    pub(super) fn flow4(&self, protocol: u8) -> Flow {
        Flow::new(self.source4().into(), self.destination4().into(), protocol).class_and_hops(0, 64)
    }

    /// Sends an IPv6 packet.
    pub(super) fn send6(&mut self, packet: &[u8]) {
        self.send(IPV6, packet);
    }

    /// Sends an IPv4 packet.
    pub(super) fn send4(&mut self, packet: &[u8]) {
        self.send(IPV4, packet);
    }

    /// Sends this case's IPv6 header, extension headers and an upper layer.
    pub(super) fn send_chain(&mut self, headers: &[Header], last: u8, upper: &[u8]) {
        let (next, octets) = chain(headers, last, upper);
        let packet = self.head6().packet(next, &octets);
        self.send6(&packet);
    }

    /// Sends `count` times the same: what it shows is not in the differences.
    pub(super) fn send_chains(&mut self, count: usize, headers: &[Header], last: u8, upper: &[u8]) {
        for _ in 0..count {
            self.send_chain(headers, last, upper);
        }
    }

    /// Sends an Ethernet frame with this payload, filled up to the shortest length.
    pub(super) fn send(&mut self, ether_type: u16, payload: &[u8]) {
        let source = self.plan.source_mac;
        let mut frame = ethernet(self.destination_mac, source, &self.tags, ether_type, payload);
        if frame.len() < SHORTEST_FRAME {
            frame.resize(SHORTEST_FRAME, self.padding);
        }
        if payload.len() > USUAL_MTU {
            let largest = payload.len() as u32;
            self.needs.mtu = Some(self.needs.mtu.unwrap_or(0).max(largest));
        }
        let wire_length = frame.len() as u32;
        self.frames.push(Frame { time: self.now, octets: frame, wire_length });
        self.now += self.gap;
    }

    /// Cuts the last frame as a snapshot length does.
    pub(super) fn cut(&mut self, captured: usize) {
        self.needs.file = true;
        if let Some(frame) = self.frames.last_mut() {
            frame.octets.truncate(captured);
        }
    }

    /// Sends to a multicast group's MAC address (RFC 2464 section 7).
    pub(super) fn multicast(&mut self, group: Ipv6Addr) {
        let low = group.octets();
        self.destination_mac = [0x33, 0x33, low[12], low[13], low[14], low[15]];
    }

    /// The source's MAC address: for Neighbor Discovery options.
    pub(super) fn source_mac(&self) -> [u8; 6] {
        self.plan.source_mac
    }

    /// Sets how far frames are apart; their times then matter.
    pub(super) fn every(&mut self, milliseconds: u64) {
        self.gap = milliseconds * MILLISECOND;
    }

    /// Lets time pass, which is what the case is about.
    pub(super) fn wait(&mut self, milliseconds: u64) {
        self.needs.time = true;
        self.now += milliseconds * MILLISECOND;
    }

    pub(super) fn needs_time(&mut self) {
        self.needs.time = true;
    }

    /// Says that the packets are not valid, and why.
    pub(super) fn invalid(&mut self, why: &'static str) {
        self.invalid = Some(why);
    }

    /// The truth of a flow of which all frames since the last call of this are: times and link layer are added.
    pub(super) fn flow(&mut self, flow: Flow) {
        let from = std::mem::replace(&mut self.from, self.frames.len());
        let places: Vec<usize> = (from..self.frames.len()).collect();
        self.flow_of(&places, flow);
    }

    /// The truth of a flow of the frames at these places.
    pub(super) fn flow_of(&mut self, places: &[usize], flow: Flow) {
        self.from = self.frames.len();
        let frames: Vec<&Frame> =
            places.iter().filter_map(|place| self.frames.get(*place)).collect();
        let (Some(first), Some(last)) = (frames.first(), frames.last()) else { return };
        let octets: u64 = frames.iter().map(|frame| u64::from(frame.wire_length)).sum();
        let mut flow = flow
            .set("flowStartMilliseconds", milliseconds(first.time))
            .set("flowEndMilliseconds", milliseconds(last.time))
            .set("sourceMacAddress", mac(self.plan.source_mac))
            .set("destinationMacAddress", mac(self.destination_mac))
            .set("layer2OctetDeltaCount", octets);
        for (element, priority, tag) in [
            ("dot1qVlanId", "dot1qPriority", self.tags.first()),
            ("dot1qCustomerVlanId", "dot1qCustomerPriority", self.tags.get(1)),
        ] {
            if let Some((_, control)) = tag {
                flow = flow.set(priority, control >> 13);
                // Identifier 0 names no VLAN: to leave the element out and to say 0 are both right.
                if control & 0xfff != 0 {
                    flow = flow.set(element, control & 0xfff);
                }
            }
        }
        self.flows.push(flow);
    }

    /// The truth of a flow inside the tunnel: kind and identifier as in the own elements, outer addresses.
    pub(super) fn inner(&mut self, kind: u8, identifier: u32, outer: Ends, flow: Flow) {
        let family = if outer.source.is_ipv6() { "IPv6" } else { "IPv4" };
        let flow = flow
            .set("sixtap:tunnelKind", kind)
            .set("sixtap:tunnelIdentifier", identifier)
            .set(&format!("sixtap:tunnelSource{family}Address"), json!(outer.source.to_string()))
            .set(
                &format!("sixtap:tunnelDestination{family}Address"),
                json!(outer.destination.to_string()),
            );
        self.inner.push(flow);
    }
}

fn with_host(network: Ipv4Addr, host: u16) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(network) & !0xff | u32::from(host & 0xff))
}

fn mac(octets: [u8; 6]) -> String {
    let parts: Vec<String> = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    parts.join(":")
}

/// A payload that is no header of anything.
pub(super) fn filler(octets: usize) -> Vec<u8> {
    (0..octets).map(|at| b'a' + (at % 26) as u8).collect()
}

/// Between two addresses.
pub(super) fn between(source: impl Into<IpAddr>, destination: impl Into<IpAddr>) -> Ends {
    Ends { source: source.into(), destination: destination.into() }
}

/// `number::UDP` and the like are used by every table.
pub(super) use crate::craft::header::number as proto;
