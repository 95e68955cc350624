//! User-defined elements: a few octets of a layer, without recompiling.
//!
//! In: the captured octets, and where the walker found the layers. Out: a value an element, or none. Every read is bounds
//! checked; what does not reach, or does not meet its condition, gives no value. Who defines none pays nothing.

use super::facts::{Detail, Facts};
use super::ipv6::next_header;
use super::transport::{ICMPV6, TCP, UDP};

/// Most user-defined elements of one plan.
pub const MOST: usize = 8;

/// Where an offset counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The frame's first octet.
    Frame,
    /// The IPv4 header; packets of IPv6 have none.
    Ipv4,
    /// The IPv6 header; packets of IPv4 have none.
    Ipv6,
    /// The first extension header of this type.
    Header(u8),
    /// The first option of this type (second) in the first Hop-by-Hop or Destination Options header (first).
    Option(u8, u8),
    /// The TCP header.
    Tcp,
    /// The UDP header.
    Udp,
    /// The ICMPv6 message.
    Icmpv6,
    /// The octets behind the TCP, UDP, SCTP, DCCP or UDP-Lite header.
    Payload,
}

/// Up to eight octets of a layer as a number: `(octets & mask) >> shift`, octets in network byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Octets {
    /// Where the offset counts from.
    pub layer: Layer,
    /// First octet.
    pub offset: u16,
    /// Octets: 1 to 8.
    pub width: u8,
    /// Bits kept.
    pub mask: u64,
    /// Bits shifted out at the right.
    pub shift: u8,
}

/// How the packets of a flow combine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combine {
    /// The first packet's.
    First,
    /// The last packet's.
    Last,
    /// The smallest.
    Minimum,
    /// The largest.
    Maximum,
    /// All OR-ed.
    Or,
    /// The sum, modulo 2⁶⁴.
    Sum,
    /// How many different values: exact to 8, 9 means more.
    Distinct,
}

/// One user-defined element, resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extraction {
    /// What is read.
    pub octets: Octets,
    /// Only in packets of this upper-layer protocol.
    pub protocol: Option<u8>,
    /// Only in packets from or to this port.
    pub port: Option<u16>,
    /// Only in packets where these octets are this number.
    pub equals: Option<(Octets, u64)>,
    /// How the packets of a flow combine.
    pub combine: Combine,
}

/// The user-defined elements of a plan, in its order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extractions {
    list: [Option<Extraction>; MOST],
}

impl Extractions {
    /// From a list; those beyond [`MOST`] are left out, so check the length before.
    #[must_use]
    pub fn new(extractions: &[Extraction]) -> Self {
        let mut list = [None; MOST];
        for (slot, extraction) in list.iter_mut().zip(extractions) {
            *slot = Some(*extraction);
        }
        Self { list }
    }

    /// The elements.
    pub fn iter(&self) -> impl Iterator<Item = &Extraction> {
        self.list.iter().flatten()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.list[0].is_none()
    }

    /// Reads the values of one packet into its detail.
    #[inline]
    pub(super) fn read(&self, frame: &[u8], facts: &Facts, detail: &mut Detail) {
        if !self.is_empty() {
            for (number, extraction) in self.iter().enumerate() {
                if let Some(value) = extraction.value(frame, facts, detail) {
                    detail.user[number] = value;
                    detail.user_set |= 1 << number;
                }
            }
        }
    }
}

impl Extraction {
    fn value(&self, frame: &[u8], facts: &Facts, detail: &Detail) -> Option<u64> {
        let key = &facts.key;
        if self.protocol.is_some_and(|protocol| protocol != key.protocol()) {
            return None;
        }
        let to_or_from = |port| port == key.source_port() || port == key.destination_port();
        if self.port.is_some_and(|port| key.protocol() == ICMPV6 || !to_or_from(port)) {
            return None;
        }
        if let Some((octets, number)) = self.equals
            && octets.read(frame, facts, detail) != Some(number)
        {
            return None;
        }
        self.octets.read(frame, facts, detail)
    }
}

impl Octets {
    fn read(&self, frame: &[u8], facts: &Facts, detail: &Detail) -> Option<u64> {
        let (start, end) = self.layer.find(frame, facts, detail)?;
        let from = start + usize::from(self.offset);
        let octets = frame
            .get(from..from + usize::from(self.width))
            .filter(|_| from + usize::from(self.width) <= end)?;
        let value = octets.iter().fold(0, |value, octet| value << 8 | u64::from(*octet));
        Some((value & self.mask) >> self.shift)
    }
}

impl Layer {
    /// First octet of the layer in the frame, and where the layer surely ends.
    fn find(self, frame: &[u8], facts: &Facts, detail: &Detail) -> Option<(usize, usize)> {
        let layers = &detail.layers;
        let key = &facts.key;
        let whole = |at: u16| (usize::from(at), frame.len());
        let transport = |protocol| {
            (key.protocol() == protocol && layers.transport != 0).then(|| whole(layers.transport))
        };
        match self {
            Self::Frame => Some((0, frame.len())),
            Self::Ipv4 => (!key.is_ipv6()).then(|| whole(layers.ip)),
            Self::Ipv6 => key.is_ipv6().then(|| whole(layers.ip)),
            Self::Header(kind) => layers.header(kind).map(|at| header_end(frame, kind, at)),
            Self::Option(header, kind) => {
                let (start, end) = header_end(frame, header, layers.header(header)?);
                option(frame.get(start..end.min(frame.len()))?, kind)
                    .map(|at| (start + at, end.min(frame.len())))
            }
            Self::Tcp => transport(TCP),
            Self::Udp => transport(UDP),
            Self::Icmpv6 => transport(ICMPV6),
            Self::Payload => {
                let known = layers.payload != 0 && key.protocol() != ICMPV6;
                known.then(|| whole(layers.payload))
            }
        }
    }
}

impl super::Layers {
    fn header(&self, kind: u8) -> Option<usize> {
        self.headers[..usize::from(self.header_count)]
            .iter()
            .find(|header| header.0 == kind)
            .map(|header| usize::from(header.1))
    }
}

/// The extent of the extension header at `at`, by its own length octet.
fn header_end(frame: &[u8], kind: u8, at: usize) -> (usize, usize) {
    let units = frame.get(at + 1).map_or(0, |units| usize::from(*units));
    let octets = match kind {
        next_header::AUTHENTICATION => (units + 2) * 4,
        next_header::FRAGMENT | next_header::ESP => 8,
        _ => (units + 1) * 8,
    };
    (at, at + octets)
}

/// Where the data of the first option of this type begins in a Hop-by-Hop or Destination Options header.
fn option(header: &[u8], wanted: u8) -> Option<usize> {
    let mut at = 2;
    // Each turn goes at least one octet on, and a header has 2,048 at the most.
    while let Some(kind) = header.get(at) {
        if *kind == 0 && wanted != 0 {
            at += 1;
            continue;
        }
        let length = usize::from(*header.get(at + 1)?);
        if *kind == wanted {
            return Some(at + 2);
        }
        at += 2 + length;
    }
    None
}

const _: () = assert!(MOST <= 8, "which values are set are bits of one octet");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_found_behind_padding() {
        let header = [58, 0, 1, 0, 5, 2, 0, 7];
        assert_eq!(option(&header, 5), Some(6));
        assert_eq!(option(&header, 4), None);
    }

    #[test]
    fn an_option_that_claims_more_than_there_is_ends_the_search() {
        assert_eq!(option(&[58, 0, 9, 200, 5, 2, 0, 7], 5), None);
        assert_eq!(option(&[58, 0, 9], 5), None);
    }
}
