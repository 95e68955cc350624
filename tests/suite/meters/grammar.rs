//! Frames made from choices: a grammar of IPv6 chains, fragments, tunnels and damage.
//!
//! In: octets, each a choice. Out: frames with ascending times. The same octets always make the same frames, so a fuzzer can
//! steer, and a failure can be repeated. Few addresses, identifications and offsets, so that packets meet each other.

use super::Octets;
use sixtap::capture::{LinkType, Timestamp};

/// Most frames of one input.
const FRAMES: usize = 32;
/// Tunnels in tunnels.
const DEPTH: usize = 4;

/// A supply of choices that never ends: zeros behind the last octet.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn octet(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn below(&mut self, count: usize) -> usize {
        usize::from(self.octet()) % count
    }

    fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }

    /// True once in `times`.
    fn rarely(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    fn octets(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.octet()).collect()
    }

    fn two(&mut self) -> u16 {
        u16::from_be_bytes([self.octet(), self.octet()])
    }
}

/// The frames that `choices` make.
pub fn frames(choices: &[u8]) -> Vec<Octets> {
    let mut choices = Choices(choices);
    let mut time = 1_000_000_000_000_u64;
    let mut frames = Vec::new();
    // One link type a capture.
    let kind = choices.below(16);
    while !choices.0.is_empty() && frames.len() < FRAMES {
        let pauses = [0, 1_000, 1_000_000, 1_000_000, 900_000_000, 4_999_999_999, 5_000_000_000];
        let long = [5_000_000_001, 15_000_000_000, 15_000_000_001, 30_000_000_000, 30_000_000_001];
        time += if choices.rarely(8) { choices.of(&long) } else { choices.of(&pauses) };
        frames.push(frame(&mut choices, kind, Timestamp(time)));
    }
    frames
}

fn frame(choices: &mut Choices<'_>, kind: usize, time: Timestamp) -> Octets {
    let v6 = !choices.rarely(4);
    let packet = ip(choices, v6, 0);
    let (link, mut data) = link(choices, kind, v6);
    data.extend(packet);
    if choices.rarely(6) {
        data.extend(vec![0; choices.below(20)]);
    }
    let mut wire_length = data.len() as u32;
    if choices.rarely(5) {
        let kept = choices.two() as usize % (data.len() + 1);
        data.truncate(kept);
    }
    if choices.rarely(40) {
        wire_length = wire_length.max(choices.of(&[1514, 70_000, 200_000]));
    }
    Octets { data, wire_length, interface: 0, link, time }
}

fn link(choices: &mut Choices<'_>, kind: usize, v6: bool) -> (LinkType, Vec<u8>) {
    let ether_type: u16 = if v6 { 0x86dd } else { 0x0800 };
    match kind {
        0 => (LinkType::Raw, Vec::new()),
        1 => {
            let family = if v6 { choices.of(&[10, 24, 28, 30]) } else { 2 };
            let order = choices.of(&[0, 3]);
            let mut header = vec![0; 4];
            header[order] = family;
            (choices.of(&[LinkType::Null, LinkType::Loop]), header)
        }
        2 => {
            let mut header = vec![0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
            header.extend(ether(choices, ether_type));
            (LinkType::LinuxSll, header)
        }
        3 => {
            let mut header = ether_type.to_be_bytes().to_vec();
            header.extend([0; 18]);
            (LinkType::LinuxSll2, header)
        }
        _ => {
            let mut header = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, choices.octet()];
            header.extend(ether(choices, ether_type));
            (LinkType::Ethernet, header)
        }
    }
}

/// Tags, labels or PPPoE, and the EtherType.
fn ether(choices: &mut Choices<'_>, ether_type: u16) -> Vec<u8> {
    let mut header = Vec::new();
    for _ in 0..choices.of(&[0, 0, 0, 0, 0, 1, 2, 3]) {
        header.extend(choices.of(&[0x8100_u16, 0x88a8, 0x9100]).to_be_bytes());
        header.extend([choices.of(&[0, 0x60, 0xf0]), choices.of(&[0, 1, 2])]);
    }
    match choices.below(24) {
        0 => {
            header.extend(choices.of(&[0x8847_u16, 0x8848]).to_be_bytes());
            for left in (0..choices.below(5)).rev() {
                header.extend([
                    0,
                    choices.octet(),
                    choices.octet() & 0xfe | u8::from(left == 0),
                    64,
                ]);
            }
        }
        1 => {
            let protocol: u16 = if ether_type == 0x86dd { 0x57 } else { 0x21 };
            header.extend([0x88, 0x64, 0x11, choices.of(&[0, 0, 0, 9]), 0, 1, 0, 40]);
            header.extend(protocol.to_be_bytes());
        }
        2 => header.extend(choices.two().to_be_bytes()),
        _ => header.extend(ether_type.to_be_bytes()),
    }
    header
}

fn ip(choices: &mut Choices<'_>, v6: bool, depth: usize) -> Vec<u8> {
    if v6 { ipv6(choices, depth) } else { ipv4(choices, depth) }
}

fn ipv4(choices: &mut Choices<'_>, depth: usize) -> Vec<u8> {
    let (protocol, upper) = upper(choices, false, depth);
    let options = choices.of(&[0, 0, 0, 4, 40]);
    let field = match choices.below(4) {
        0 => fragment_field(choices),
        1 => 0x4000,
        _ => 0,
    };
    let field = field >> 3 | if field & 1 != 0 { 0x2000 } else { 0 } | field & 0x4000;
    let total = length(choices, 20 + options + upper.len());
    let words = if choices.rarely(50) { choices.octet() & 0xf } else { 5 + (options / 4) as u8 };
    let mut packet = vec![0x40 | words, choices.of(&[0, 0, 0xb8])];
    packet.extend(total.to_be_bytes());
    packet.extend([0, choices.of(&[1, 2])]);
    packet.extend(field.to_be_bytes());
    packet.extend([choices.of(&[64, 64, 63, 1]), protocol, 0, 0]);
    packet.extend([192, 0, 2, choices.of(&[1, 2]), 198, 51, 100, 1]);
    packet.extend(vec![1; options]);
    packet.extend(upper);
    packet
}

/// A length field: mostly right.
fn length(choices: &mut Choices<'_>, right: usize) -> u16 {
    match choices.below(24) {
        0 => 0,
        1 => choices.two(),
        2 => (right as u16).saturating_sub(u16::from(choices.octet() % 16)),
        _ => right as u16,
    }
}

/// Offset, reserved and M bits of a Fragment header.
fn fragment_field(choices: &mut Choices<'_>) -> u16 {
    let offset = choices.of(&[0_u16, 0, 0, 1, 1, 2, 2, 3, 4, 8, 0x1fff]);
    offset << 3 | choices.of(&[0, 1, 1, 1, 6, 7])
}

fn ipv6(choices: &mut Choices<'_>, depth: usize) -> Vec<u8> {
    let (protocol, upper) = upper(choices, true, depth);
    let count = match choices.below(20) {
        0 => 40,
        few => [0, 1, 2, 3, 4][few % 5],
    };
    let kinds = [0, 60, 60, 43, 43, 44, 44, 44, 51, 135, 139, 140, 50, 147, 253, 254, 59, 200];
    let mut chain: Vec<u8> = (0..count).map(|_| choices.of(&kinds)).collect();
    if count == 40 {
        let one = choices.of(&[0, 60, 44]);
        chain = (0..40).map(|_| if choices.rarely(4) { 60 } else { one }).collect();
    }
    if choices.rarely(12) {
        chain.insert(0, 0);
    }
    let jumbo = choices.rarely(30);
    let mut payload = Vec::new();
    for (index, kind) in chain.iter().enumerate() {
        let mut next = chain.get(index + 1).copied().unwrap_or(protocol);
        if choices.rarely(40) {
            next = choices.octet();
        }
        payload.extend(extension(choices, *kind, next, jumbo && index == 0));
    }
    payload.extend(upper);
    let stated = if jumbo { 0 } else { length(choices, payload.len()) };
    let class = choices.of(&[0_u8, 0, 0, 4, 0xff]);
    let label: [u8; 2] = [choices.of(&[0, 0, 1]), choices.octet() & 7];
    let version = if choices.rarely(60) { choices.octet() & 0xf0 } else { 0x60 };
    let mut packet = vec![version | class >> 4, class << 4, label[0], label[1]];
    packet.extend(stated.to_be_bytes());
    packet.push(chain.first().copied().unwrap_or(protocol));
    packet.push(choices.of(&[64, 64, 63, 255]));
    packet.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, choices.of(&[1, 2])]);
    packet.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
    packet.extend(payload);
    packet
}

fn extension(choices: &mut Choices<'_>, kind: u8, next: u8, jumbo: bool) -> Vec<u8> {
    let mut header = match kind {
        44 => {
            let mut header = vec![next, 0];
            header.extend(fragment_field(choices).to_be_bytes());
            header.extend([0, 0, 0, choices.of(&[1, 1, 2])]);
            return header;
        }
        50 => return choices.octets(8),
        59 | 147 | 200 => return Vec::new(),
        51 => {
            let words = choices.of(&[4_u8, 1, 0, 2, 3]);
            let mut header = vec![next, words, 0, 0];
            header.extend(choices.octets(4));
            header.resize((usize::from(words) + 2) * 4, 0);
            return header;
        }
        0 if jumbo => {
            let mut header = vec![next, 0, 194, choices.of(&[4, 4, 4, 3])];
            header.extend(choices.of(&[[0, 1, 7, 0], [0, 0, 0xff, 0], [0, 1, 0, 0], [0xff; 4]]));
            return header;
        }
        43 if choices.below(2) == 0 => {
            let segments = choices.below(4) as u8;
            let last = if choices.rarely(6) { choices.octet() } else { segments.saturating_sub(1) };
            let mut header = vec![next, segments * 2, 4, choices.octet() & 3, last];
            header.extend(choices.octets(3));
            header.resize(8 + usize::from(segments) * 16, choices.octet());
            return header;
        }
        _ => vec![next, choices.of(&[0, 0, 0, 1, 2])],
    };
    if choices.rarely(40) {
        header[1] = choices.octet();
    }
    let length = 8 * (1 + usize::from(header[1].min(3)));
    header.extend([1, (length - 4) as u8]);
    header.resize(length, 0);
    header
}

/// Protocol and octets of the upper layer; sometimes cut short.
fn upper(choices: &mut Choices<'_>, v6: bool, depth: usize) -> (u8, Vec<u8>) {
    let ports = [choices.of(&[0x1f_u8, 0x1f, 0x20]), 0x90, 0, choices.of(&[80, 80, 22])];
    let (protocol, mut octets) = match choices.below(16) {
        0..3 => {
            let options = tcp_options(choices);
            let words =
                if choices.rarely(20) { choices.octet() >> 4 } else { 5 + options.len() as u8 / 4 };
            let mut header = ports.to_vec();
            header.extend([0, 0, 0, 1, 0, 0, 0, 2, words << 4 | choices.octet() & 0xf]);
            header.extend([choices.of(&[0x10, 0x02, 0x18, 0x11, 0x04, 0xc2]), 1, 0, 0, 0, 0, 0]);
            header.extend(options);
            (6, header)
        }
        3..6 => (17, [&ports[..], &[0, 8, 0, 0]].concat()),
        6..8 => {
            let kind = choices.of(&[128, 129, 135, 8]);
            (
                if v6 != choices.rarely(10) { 58 } else { 1 },
                vec![kind, choices.octet() & 1, 0, 0, 0, 1],
            )
        }
        8 => (choices.of(&[33, 132, 136]), [&ports[..], &[0; 12]].concat()),
        9 => (choices.of(&[59, 89, 108, 112, 147, 200, 255, 51, 50]), choices.octets(12)),
        _ if depth < DEPTH => tunnel(choices, ports, v6, depth + 1),
        _ => (17, ports.to_vec()),
    };
    let more = choices.below(3) * 8;
    octets.extend(vec![0x41; more]);
    if choices.rarely(8) {
        let kept = choices.below(octets.len() + 1);
        octets.truncate(kept);
    }
    (protocol, octets)
}

fn tcp_options(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut options = Vec::new();
    for _ in 0..choices.of(&[0, 0, 1, 3, 6]) {
        match choices.below(8) {
            0 => options.extend([2, 4, 5, 0xb4]),
            1 => options.push(1),
            2 => options.extend([253, 4, 0xf9, choices.octet() & 7]),
            3 => options.extend([254, 6, 0xe2, 0xd4, 0xc3, 0xd9]),
            4 => options.extend([choices.octet(), choices.octet() & 7, 0, 0]),
            5 => options.extend([254, choices.of(&[2, 3])]),
            6 => options.push(0),
            _ => options.extend([8, 10, 0, 0, 0, 1, 0, 0, 0, 2]),
        }
    }
    options.truncate(40);
    options.resize(options.len().next_multiple_of(4), 0);
    options
}

fn tunnel(choices: &mut Choices<'_>, ports: [u8; 4], v6: bool, depth: usize) -> (u8, Vec<u8>) {
    let inner_v6 = choices.below(3) > 0;
    let inner = ip(choices, inner_v6, depth);
    let ether_type: u16 = if inner_v6 { 0x86dd } else { 0x0800 };
    let ethernet = |choices: &mut Choices<'_>| {
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 3];
        frame.extend(ether(choices, ether_type));
        frame
    };
    let udp = |port: u16, header: Vec<u8>| {
        (17, [&ports[..2], &port.to_be_bytes(), &[0, 0, 0, 0], &header, &inner].concat())
    };
    match choices.below(9) {
        0 | 1 => (if inner_v6 { 41 } else { 4 }, inner.clone()),
        2 => {
            let flags = choices.of(&[0_u8, 0, 0x80, 0x20, 0x10, 0xb0, 0x40]);
            let version = if choices.rarely(10) { 1 } else { 0 };
            let fields = (flags & 0xb0).count_ones() as usize * 4;
            let bridged = choices.rarely(3);
            let mut header = vec![flags, version];
            header.extend(if bridged { 0x6558 } else { ether_type }.to_be_bytes());
            header.extend(choices.octets(fields));
            if bridged {
                header.extend(ethernet(choices));
            }
            header.extend(&inner);
            (47, header)
        }
        3 => {
            let mut header = vec![choices.of(&[8, 8, 8, 0]), 0, 0, 0, 0, 0, choices.octet(), 0];
            header.extend(ethernet(choices));
            udp(4789, header)
        }
        4 => {
            let words = choices.below(3);
            let bridged = choices.below(2) == 0;
            let version = if choices.rarely(10) { 0x40 } else { 0 };
            let mut header = vec![version | words as u8, 0];
            header.extend(if bridged { 0x6558 } else { ether_type }.to_be_bytes());
            header.extend([0, 0, choices.octet(), 0]);
            header.extend(vec![0; words * 4]);
            if bridged {
                header.extend(ethernet(choices));
            }
            udp(6081, header)
        }
        5 => {
            let flags = choices.of(&[0x30_u8, 0x30, 0x32, 0x34, 0x36, 0x20]);
            let mut header = vec![flags, choices.of(&[255, 255, 255, 1]), 0, 0, 0, 0, 0, 7];
            if flags & 7 != 0 {
                header.extend([0, 1, 0, choices.of(&[0, 0x85])]);
                if header[11] != 0 {
                    header.extend([choices.of(&[1, 1, 0, 2]), 0, 9, 0]);
                }
            }
            udp(2152, header)
        }
        6 if !v6 || choices.rarely(3) => {
            let mut header = Vec::new();
            if choices.rarely(3) {
                header.extend([0, 1, 1, 2, 9, 9, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            }
            if choices.rarely(3) {
                header.extend([0, 0, 1, 1, 1, 1, 1, 1]);
            }
            udp(3544, header)
        }
        7 if !v6 || choices.rarely(3) => {
            let mut header =
                vec![0x41, 0x52, choices.of(&[0x11, 0x11, 0x12]), choices.of(&[41, 4, 6])];
            header.extend([0; 4 + 16 + 20]);
            udp(5072, header)
        }
        _ => (choices.of(&[41, 4]), inner.clone()),
    }
}
