//! Frames of numbered flows, back to back in one piece of memory, made before the clock runs.
//!
//! In: a shape, how many frames, their flow numbers. Out: octets. All frames of an arena have one length. Headers are
//! valid but for the checksums, which are zero: nothing that is measured here reads them.

/// What the frames look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// IPv4 and UDP: 60 octets, 64 with the frame check sequence.
    Ipv4,
    /// IPv6 and UDP: 78 octets.
    Ipv6,
    /// IPv6 with one extension header (Destination Options), two (Hop-by-Hop before it) or three (AH behind it), and UDP.
    Headers(u8),
    /// IPv6 and UDP in two fragments, in turn the first and the last: both of one flow and one datagram.
    Fragments,
    /// IPv6 with as many extension headers as 1,500 octets hold: 181 Destination Options headers, and UDP.
    Longest,
}

const UDP: u8 = 17;
const HOP_BY_HOP: u8 = 0;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;
const FRAGMENT: u8 = 44;
/// Octets behind the UDP header.
const PAYLOAD: usize = 16;
/// Extension headers of the longest chain.
const LONGEST: usize = 181;

impl Shape {
    /// One frame, flow number 0; of fragments both.
    fn frames(self) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        match self {
            Self::Ipv4 => {
                let octets = (20 + 8 + PAYLOAD + 2) as u8;
                frame.extend([0x08, 0x00, 0x45, 0, 0, octets, 0, 0, 0x40, 0, 64, UDP, 0, 0]);
                frame.extend([10, 0, 0, 1, 198, 18, 0, 1]);
                upper(&mut frame, PAYLOAD + 2);
            }
            Self::Ipv6 => ipv6(&mut frame, &[], PAYLOAD),
            Self::Headers(count) => {
                let all = [HOP_BY_HOP, DESTINATION_OPTIONS, AUTHENTICATION];
                let chosen = match count {
                    0 | 1 => &all[1..2],
                    2 => &all[..2],
                    _ => &all[..],
                };
                ipv6(&mut frame, chosen, PAYLOAD);
            }
            Self::Fragments => {
                ipv6(&mut frame, &[FRAGMENT], PAYLOAD);
                let first = frame.len();
                frame.extend_from_within(..);
                // The first: offset 0, more to come. The last: behind the UDP header and its payload.
                frame[57] = 1;
                frame[first + 57] = 8 + PAYLOAD as u8;
            }
            Self::Longest => ipv6(&mut frame, &[DESTINATION_OPTIONS; LONGEST], 0),
        }
        frame
    }
}

fn ipv6(frame: &mut Vec<u8>, headers: &[u8], payload: usize) {
    let length = |header: &u8| if *header == AUTHENTICATION { 24 } else { 8 };
    let octets = headers.iter().map(length).sum::<usize>() + 8 + payload;
    let [high, low] = (octets as u16).to_be_bytes();
    let first = headers.first().copied().unwrap_or(UDP);
    frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, high, low, first, 64]);
    frame.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    frame.extend([0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    for (index, header) in headers.iter().enumerate() {
        let next = headers.get(index + 1).copied().unwrap_or(UDP);
        if *header == AUTHENTICATION {
            // RFC 4302: the length in words of four octets, less two; SPI 256, sequence number 1.
            frame.extend([next, 4, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]);
            frame.extend([0xaa; 12]);
        } else if *header == FRAGMENT {
            frame.extend([next, 0, 0, 0, 0, 0, 0, 0]);
        } else {
            // One PadN option fills the header.
            frame.extend([next, 0, 1, 4, 0, 0, 0, 0]);
        }
    }
    upper(frame, payload);
}

fn upper(frame: &mut Vec<u8>, payload: usize) {
    frame.extend([0x04, 0x00, 0x01, 0xbb, 0, (8 + payload) as u8, 0, 0]);
    frame.extend(std::iter::repeat_n(0, payload));
}

/// A number of frames of one shape.
pub(super) struct Arena {
    octets: Vec<u8>,
    shape: Shape,
    length: usize,
    /// Datagrams in fragments so far: each has its own identification.
    datagrams: u32,
}

impl Arena {
    /// `count` frames, all of flow number 0.
    pub(super) fn new(shape: Shape, count: usize) -> Self {
        let frames = shape.frames();
        let together = if shape == Shape::Fragments { 2 } else { 1 };
        Self {
            length: frames.len() / together,
            octets: frames.repeat(count / together),
            shape,
            datagrams: 0,
        }
    }

    /// Gives each frame a flow number: no two numbers (below 2³²) are one flow.
    pub(super) fn renumber(&mut self, mut number: impl FnMut() -> u64) {
        let mut last = 0;
        for (place, frame) in self.octets.chunks_exact_mut(self.length).enumerate() {
            if self.shape == Shape::Fragments {
                self.datagrams += u32::from(place % 2 == 0);
                frame[58..62].copy_from_slice(&self.datagrams.to_be_bytes());
            }
            // Odd factors: different numbers stay different, and every bit of the key changes.
            let number =
                if self.shape == Shape::Fragments && place % 2 == 1 { last } else { number() };
            last = number;
            if self.shape == Shape::Ipv4 {
                let address = (number as u32).wrapping_mul(0x9e37_79b1);
                frame[26..30].copy_from_slice(&address.to_be_bytes());
                frame[34..36].copy_from_slice(&(number as u16).to_be_bytes());
            } else {
                let address = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                frame[30..38].copy_from_slice(&address.to_be_bytes());
            }
        }
    }

    /// The frames.
    pub(super) fn frames(&self) -> impl Iterator<Item = &[u8]> {
        self.octets.chunks_exact(self.length)
    }
}

/// Numbers that look random and are the same in every run (xorshift64, Marsaglia 2003).
pub(super) struct Lots(u64);

impl Lots {
    /// The first number follows from `seed`.
    pub(super) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// From 0 up to, not including, `limit`.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((u128::from(self.0) * u128::from(limit)) >> 64) as u64
    }
}
