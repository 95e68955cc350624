//! One observed frame, borrowed from the source's buffer.

/// Nanoseconds since the UNIX epoch (UTC), of the observation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// From whole seconds and nanoseconds.
    #[must_use]
    pub const fn new(seconds: u64, nanoseconds: u32) -> Self {
        Self(seconds.wrapping_mul(1_000_000_000).wrapping_add(nanoseconds as u64))
    }

    /// Whole milliseconds since the UNIX epoch (dateTimeMilliseconds, RFC 7011 section 6.1.8).
    #[must_use]
    pub const fn milliseconds(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Whole seconds since the UNIX epoch.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// Nanoseconds from `earlier` to `self`, 0 if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// What the first octet of a frame belongs to (the pcap LINKTYPE registry).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// LINKTYPE_ETHERNET (1).
    Ethernet,
    /// LINKTYPE_LINUX_SLL (113), Linux "any" device, 16-octet header.
    LinuxSll,
    /// LINKTYPE_LINUX_SLL2 (276), 20-octet header.
    LinuxSll2,
    /// LINKTYPE_NULL (0): 4-octet address family in the byte order of the capturing host.
    Null,
    /// LINKTYPE_LOOP (108): 4-octet address family in network byte order.
    Loop,
    /// LINKTYPE_RAW (101, also 12 and 14), LINKTYPE_IPV4 (228), LINKTYPE_IPV6 (229): an IP packet, no link header.
    Raw,
    /// Any other: frames are counted, not metered.
    Other(u16),
}

impl LinkType {
    /// From the number in a capture file.
    #[must_use]
    pub const fn from_pcap(number: u16) -> Self {
        match number {
            0 => Self::Null,
            1 => Self::Ethernet,
            12 | 14 | 101 | 228 | 229 => Self::Raw,
            108 => Self::Loop,
            113 => Self::LinuxSll,
            276 => Self::LinuxSll2,
            other => Self::Other(other),
        }
    }
}

/// One frame as observed. `data` may be shorter than the frame was (`snaplen`); `wire_length` says how long it was.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The captured octets, from the link header on.
    pub data: &'a [u8],
    /// Octets of the frame on the wire, link header included, frame check sequence not.
    pub wire_length: u32,
    /// Index of the interface (ifIndex, or the number within a capture file): `ingressInterface`.
    pub interface: u32,
    /// What the first octet belongs to.
    pub link: LinkType,
    /// When it was observed.
    pub time: Timestamp,
}
