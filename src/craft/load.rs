//! Load profiles: many packets over many flows, the same for the same seed.
//!
//! In: a profile, how many packets and flows, how the packets are spread over them. Out: Ethernet frames in order of
//! time, each valid, and the totals. Nothing is kept of a flow but its number: addresses, ports and protocol follow
//! from that and the seed.

use super::cases::Plan;
use super::checksum::{fold, sum};
use super::header::number;
use super::random::Random;
use serde_json::{Value, json};

/// Most flows of a profile: the popularity table takes 8 octets for each.
pub const MOST_FLOWS: u64 = 50_000_000;

const ETHERNET: usize = 14;
/// Link, IPv6 and TCP headers.
const LONGEST_HEADERS: usize = 74;
const LONGEST_FRAME: usize = 9014;

/// Sizes of the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// 7:4:1 of 60–86, 590 and 1514 octets.
    Imix,
    /// 60–86 octets.
    Small,
    /// As FlowTest's GÉANT profiles: 64 octets 7.9 %, 65–127 28.4 %, 1024–1518 7.1 %, above 52.4 %, mean near 1030.
    Geant,
}

impl Profile {
    fn size(self, random: &mut Random) -> usize {
        let between = |random: &mut Random, from: u64, to: u64| from + random.below(to - from + 1);
        let octets = match self {
            Self::Small => between(random, 60, 86),
            Self::Imix => match random.below(12) {
                0..=6 => between(random, 60, 86),
                7..=10 => 590,
                _ => 1514,
            },
            Self::Geant => match random.below(1000) {
                0..=78 => 64,
                79..=362 => between(random, 65, 127),
                363..=404 => between(random, 128, 1023),
                405..=475 => between(random, 1024, 1518),
                476..=989 => between(random, 1519, 1560),
                _ => LONGEST_FRAME as u64,
            },
        };
        octets as usize
    }
}

/// What to make.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Sizes of the frames.
    pub profile: Profile,
    /// How many packets.
    pub packets: u64,
    /// How many flows they are drawn from: 1 to [`MOST_FLOWS`].
    pub flows: u64,
    /// Exponent of the flows' popularity (Zipf): 0 makes all alike.
    pub zipf: f64,
    /// How many in a hundred packets are IPv6; a flow is one or the other.
    pub ipv6: u8,
    /// Whole seconds over which the packets are spread evenly.
    pub duration: u64,
}

/// What was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Packets.
    pub packets: u64,
    /// IP octets.
    pub octets: u64,
    /// Octets of the frames.
    pub frame_octets: u64,
    /// Packets that are IPv6.
    pub packets_ipv6: u64,
    /// Flows that have at least one packet (default key, uniflow).
    pub flows: u64,
    /// Of these, IPv6.
    pub flows_ipv6: u64,
}

impl Totals {
    /// As JSON.
    #[must_use]
    pub fn truth(&self) -> Value {
        json!({
            "packets": self.packets,
            "octets": self.octets,
            "layer2Octets": self.frame_octets,
            "packetsIPv6": self.packets_ipv6,
            "flows": self.flows,
            "flowsIPv6": self.flows_ipv6,
        })
    }
}

/// Makes the frames, one call of `emit` each: its time in nanoseconds since the UNIX epoch, and its octets.
///
/// # Errors
/// The first that `emit` returns; it ends the work.
pub fn generate<E>(
    load: &Load,
    plan: &Plan,
    mut emit: impl FnMut(u64, &[u8]) -> Result<(), E>,
) -> Result<Totals, E> {
    let popularity = Popularity::new(load.flows.clamp(1, MOST_FLOWS), load.zipf);
    let versions = popularity.versions(load.ipv6);
    let mut random = Random::new(plan.seed);
    let mut seen = vec![0_u64; versions.len()];
    let mut frame = [0; LONGEST_FRAME];
    let mut totals = Totals::default();
    for (group, mac) in [(0, plan.destination_mac), (6, plan.source_mac)] {
        frame[group..group + 6].copy_from_slice(&mac);
    }
    let span = u128::from(load.duration) * 1_000_000_000;
    for packet in 0..load.packets {
        let number = popularity.draw(&mut random);
        let (word, mask) = (number as usize / 64, 1 << (number % 64));
        let flow = FlowFacts::new(number, versions[word] & mask != 0, plan);
        let size = load.profile.size(&mut random).max(flow.shortest());
        flow.write(plan, &mut frame[..size]);
        let since = span * u128::from(packet) / u128::from(load.packets);
        emit(plan.start + since as u64, &frame[..size])?;
        totals.packets += 1;
        totals.octets += (size - ETHERNET) as u64;
        totals.frame_octets += size as u64;
        totals.packets_ipv6 += u64::from(flow.ipv6);
        if seen[word] & mask == 0 {
            seen[word] |= mask;
            totals.flows += 1;
            totals.flows_ipv6 += u64::from(flow.ipv6);
        }
    }
    Ok(totals)
}

/// Draws flow numbers so that number n is about n^-s as frequent as number 1.
struct Popularity {
    /// Running sums of the weights.
    sums: Vec<f64>,
}

impl Popularity {
    fn new(flows: u64, exponent: f64) -> Self {
        let mut sum = 0.0;
        let weights = (1..=flows).map(|rank| (rank as f64).powf(-exponent));
        let sums = weights
            .map(|weight| {
                sum += weight;
                sum
            })
            .collect();
        Self { sums }
    }

    /// Which flows are IPv6, a bit each: so that their weights, down to any rank, have this share in a hundred.
    fn versions(&self, share: u8) -> Vec<u64> {
        let share = f64::from(share.min(100)) / 100.0;
        let mut bits = vec![0_u64; self.sums.len().div_ceil(64)];
        let (mut ipv6, mut before) = (0.0, 0.0);
        for (number, sum) in self.sums.iter().enumerate() {
            if ipv6 < share * sum {
                bits[number / 64] |= 1 << (number % 64);
                ipv6 += sum - before;
            }
            before = *sum;
        }
        bits
    }

    fn draw(&self, random: &mut Random) -> u64 {
        let all = self.sums.last().copied().unwrap_or(0.0);
        let point = random.unit() * all;
        let place = self.sums.partition_point(|sum| *sum <= point);
        place.min(self.sums.len() - 1) as u64
    }
}

/// What follows from the number of a flow.
struct FlowFacts {
    number: u64,
    ipv6: bool,
    protocol: u8,
    ports: u32,
    label: u32,
    hops: u8,
    high: u64,
}

impl FlowFacts {
    fn new(number: u64, ipv6: bool, plan: &Plan) -> Self {
        let mut random = Random::new(plan.seed ^ (number + 1).wrapping_mul(0xd134_2543_de82_ef95));
        let protocol = match random.below(100) {
            0..70 => number::TCP,
            70..96 => number::UDP,
            _ if ipv6 => number::ICMPV6,
            _ => number::ICMP,
        };
        let lots = random.next();
        let service = [443, 80, 53, 22, 4433, 8080, 123, 25][(lots >> 60 & 7) as usize];
        let ports = (1024 + (lots as u32 % 64512)) << 16 | service;
        Self {
            number,
            ipv6,
            protocol,
            ports,
            label: (lots >> 20) as u32 & 0xf_ffff,
            hops: 48 + (lots >> 40 & 15) as u8,
            high: random.next(),
        }
    }

    /// Octets of the shortest frame it can have.
    fn shortest(&self) -> usize {
        let upper = if self.protocol == number::TCP { 20 } else { 8 };
        (ETHERNET + if self.ipv6 { 40 } else { 20 } + upper).max(60)
    }

    /// Writes headers into a frame that is zero behind them.
    fn write(&self, plan: &Plan, frame: &mut [u8]) {
        let size = frame.len();
        frame[12..LONGEST_HEADERS.min(size)].fill(0);
        let (head, addresses) = if self.ipv6 { self.head6(plan, frame) } else { self.head4(frame) };
        let length = size - head;
        let with_pseudo = self.protocol != number::ICMP;
        let mut total = sum(&frame[addresses..head]) + self.upper(&mut frame[head..]);
        if with_pseudo {
            total += u64::from(self.protocol) + length as u64;
        } else {
            total -= sum(&frame[addresses..head]);
        }
        let at = head
            + match self.protocol {
                number::TCP => 16,
                number::UDP => 6,
                _ => 2,
            };
        let checksum = match fold(total) {
            0 if self.protocol == number::UDP => u16::MAX,
            other => other,
        };
        frame[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
    }

    /// Returns where the upper layer and where the addresses begin.
    fn head6(&self, plan: &Plan, frame: &mut [u8]) -> (usize, usize) {
        let length = (frame.len() - ETHERNET - 40) as u16;
        frame[12..14].copy_from_slice(&0x86dd_u16.to_be_bytes());
        frame[14..18].copy_from_slice(&(6 << 28 | self.label).to_be_bytes());
        frame[18..20].copy_from_slice(&length.to_be_bytes());
        frame[20] = self.protocol;
        frame[21] = self.hops;
        let network = |prefix| u128::from(prefix) >> 64 << 64;
        // The number stands in the source, so that no two flows are one by chance.
        let source = network(plan.prefix) | u128::from(self.high) << 32 & 0x7fff_ffff_0000_0000;
        let source = source | u128::from(self.number as u32);
        let destination = network(plan.destination_prefix) | 1 << 63 | u128::from(self.high >> 1);
        frame[22..38].copy_from_slice(&source.to_be_bytes());
        frame[38..54].copy_from_slice(&destination.to_be_bytes());
        (54, 22)
    }

    fn head4(&self, frame: &mut [u8]) -> (usize, usize) {
        let length = (frame.len() - ETHERNET) as u16;
        frame[12..14].copy_from_slice(&0x0800_u16.to_be_bytes());
        frame[14] = 0x45;
        frame[16..18].copy_from_slice(&length.to_be_bytes());
        frame[18..20].copy_from_slice(&(self.high as u16).to_be_bytes());
        frame[20] = 0x40;
        frame[22] = self.hops;
        frame[23] = self.protocol;
        // The benchmarking network (RFC 2544 appendix C.2.2); the number is in both addresses.
        let low = self.number as u32;
        frame[26..30].copy_from_slice(&(0xc612_0000 | low & 0xffff).to_be_bytes());
        frame[30..34].copy_from_slice(&(0xc613_0000 | low >> 16).to_be_bytes());
        let checksum = fold(sum(&frame[14..34]));
        frame[24..26].copy_from_slice(&checksum.to_be_bytes());
        (34, 26)
    }

    /// Returns the sum of what it wrote, checksum field zero.
    fn upper(&self, octets: &mut [u8]) -> u64 {
        let length = octets.len() as u16;
        match self.protocol {
            number::TCP => {
                octets[..4].copy_from_slice(&self.ports.to_be_bytes());
                octets[4..8].copy_from_slice(&(self.high as u32).to_be_bytes());
                // 20 octets, ACK, a full window.
                octets[12..16].copy_from_slice(&[0x50, 0x10, 0xff, 0xff]);
                sum(&octets[..20])
            }
            number::UDP => {
                octets[..4].copy_from_slice(&self.ports.to_be_bytes());
                octets[4..6].copy_from_slice(&length.to_be_bytes());
                sum(&octets[..8])
            }
            _ => {
                octets[0] = if self.ipv6 { 128 } else { 8 };
                octets[4..8].copy_from_slice(&(self.high as u32).to_be_bytes());
                sum(&octets[..8])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::convert::Infallible;

    const LOAD: Load = Load {
        profile: Profile::Imix,
        packets: 20_000,
        flows: 1000,
        zipf: 1.0,
        ipv6: 61,
        duration: 60,
    };

    fn made(load: &Load, plan: &Plan) -> (Totals, Vec<(u64, Vec<u8>)>) {
        let mut frames = Vec::new();
        let result = generate(load, plan, |time, octets| {
            frames.push((time, octets.to_vec()));
            Ok::<(), Infallible>(())
        });
        let Ok(totals) = result;
        (totals, frames)
    }

    #[test]
    fn the_same_seed_makes_the_same() {
        let one = made(&LOAD, &Plan::default());
        assert_eq!(one, made(&LOAD, &Plan::default()));
        assert_ne!(one.1, made(&LOAD, &Plan { seed: 2, ..Plan::default() }).1);
    }

    #[test]
    fn totals_are_those_of_the_frames() {
        let (totals, frames) = made(&LOAD, &Plan::default());
        assert_eq!(totals.packets, LOAD.packets);
        let octets: u64 = frames.iter().map(|(_, frame)| frame.len() as u64).sum();
        assert_eq!(totals.frame_octets, octets);
        assert_eq!(totals.octets, octets - 14 * LOAD.packets);
        let mut keys = HashSet::new();
        let mut ipv6 = 0;
        for (_, frame) in &frames {
            let packet = etherparse::SlicedPacket::from_ethernet(frame).unwrap();
            let transport = packet.transport.unwrap();
            let ports = match &transport {
                etherparse::TransportSlice::Tcp(tcp) => (tcp.source_port(), tcp.destination_port()),
                etherparse::TransportSlice::Udp(udp) => (udp.source_port(), udp.destination_port()),
                _ => (0, 0),
            };
            match packet.net.unwrap() {
                etherparse::NetSlice::Ipv6(ip) => {
                    ipv6 += 1;
                    let head = ip.header();
                    keys.insert((head.source().to_vec(), head.destination().to_vec(), ports));
                }
                etherparse::NetSlice::Ipv4(ip) => {
                    let head = ip.header();
                    assert_eq!(head.to_header().calc_header_checksum(), head.header_checksum());
                    keys.insert((head.source().to_vec(), head.destination().to_vec(), ports));
                }
                _ => panic!("neither IPv4 nor IPv6"),
            }
        }
        assert_eq!((keys.len() as u64, ipv6), (totals.flows, totals.packets_ipv6));
        let share = ipv6 as f64 / LOAD.packets as f64;
        assert!((0.59..0.63).contains(&share), "{share}");
    }

    #[test]
    fn checksums_are_right() {
        for profile in [Profile::Small, Profile::Geant] {
            let (_, frames) = made(&Load { profile, packets: 3000, ..LOAD }, &Plan::default());
            for (_, frame) in &frames {
                let packet = etherparse::PacketHeaders::from_ethernet_slice(frame).unwrap();
                let (ip, payload) = (packet.net.unwrap(), packet.payload.slice());
                let (written, right) = match (packet.transport.unwrap(), &ip) {
                    (
                        etherparse::TransportHeader::Tcp(tcp),
                        etherparse::NetHeaders::Ipv6(ip, _),
                    ) => (tcp.checksum, tcp.calc_checksum_ipv6(ip, payload).unwrap()),
                    (
                        etherparse::TransportHeader::Tcp(tcp),
                        etherparse::NetHeaders::Ipv4(ip, _),
                    ) => (tcp.checksum, tcp.calc_checksum_ipv4(ip, payload).unwrap()),
                    (
                        etherparse::TransportHeader::Udp(udp),
                        etherparse::NetHeaders::Ipv6(ip, _),
                    ) => (udp.checksum, udp.calc_checksum_ipv6(ip, payload).unwrap()),
                    (
                        etherparse::TransportHeader::Udp(udp),
                        etherparse::NetHeaders::Ipv4(ip, _),
                    ) => (udp.checksum, udp.calc_checksum_ipv4(ip, payload).unwrap()),
                    (
                        etherparse::TransportHeader::Icmpv6(icmp),
                        etherparse::NetHeaders::Ipv6(ip, _),
                    ) => {
                        let right =
                            icmp.icmp_type.calc_checksum(ip.source, ip.destination, payload);
                        (icmp.checksum, right.unwrap())
                    }
                    (etherparse::TransportHeader::Icmpv4(icmp), _) => {
                        (icmp.checksum, icmp.icmp_type.calc_checksum(payload))
                    }
                    other => panic!("{other:?}"),
                };
                assert_eq!(written, right, "{ip:?}");
            }
        }
    }

    #[test]
    fn sizes_are_the_profiles() {
        let mean = |profile| {
            let load = Load { profile, packets: 50_000, ..LOAD };
            let (totals, _) = made(&load, &Plan::default());
            totals.frame_octets as f64 / totals.packets as f64
        };
        assert!((355.0..375.0).contains(&mean(Profile::Imix)));
        assert!((60.0..86.0).contains(&mean(Profile::Small)));
        assert!((980.0..1114.0).contains(&mean(Profile::Geant)));
    }

    #[test]
    fn all_or_nothing_is_ipv6() {
        for (ipv6, zipf) in [(0, 1.0), (100, 1.0), (0, 0.0), (100, 2.0)] {
            let (totals, _) = made(&Load { ipv6, zipf, packets: 2000, ..LOAD }, &Plan::default());
            assert_eq!(totals.packets_ipv6, totals.packets * u64::from(ipv6) / 100);
            assert_eq!(totals.flows_ipv6, totals.flows * u64::from(ipv6) / 100);
        }
    }

    #[test]
    fn times_are_even_and_rising() {
        let (_, frames) = made(&LOAD, &Plan::default());
        let start = Plan::default().start;
        assert!(frames.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(frames[0].0, start);
        assert_eq!(frames[10_000].0, start + 30_000_000_000);
    }
}
