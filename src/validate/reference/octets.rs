//! Octets that may end before they should.
//!
//! In: the captured octets of an IP packet and the length that its header claims. Out: reads that either succeed or say
//! why not. Invariant: nothing beyond the end of the packet is ever read, so padding is never taken for content.

/// Why octets cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// They are beyond the end of the packet: the sender's doing.
    Short,
    /// They are in the packet, but were not captured.
    Cut,
}

/// One IP packet from its header on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Octets<'a> {
    data: &'a [u8],
    /// Octets of the packet as its header says.
    length: u64,
}

impl<'a> Octets<'a> {
    pub(super) fn new(data: &'a [u8], length: u64) -> Self {
        let seen = usize::try_from(length).unwrap_or(usize::MAX).min(data.len());
        Self { data: &data[..seen], length }
    }

    /// Octets of the packet, captured or not.
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// The octets from `start` on that can be read.
    pub(super) fn from(&self, start: usize) -> &'a [u8] {
        self.data.get(start..).unwrap_or(&[])
    }

    /// Exactly `count` octets from `start`.
    pub(super) fn read(&self, start: usize, count: usize) -> Result<&'a [u8], Missing> {
        let end = start + count;
        self.data.get(start..end).ok_or(if end as u64 > self.length {
            Missing::Short
        } else {
            Missing::Cut
        })
    }

    pub(super) fn u8(&self, at: usize) -> Result<u8, Missing> {
        Ok(self.read(at, 1)?[0])
    }

    pub(super) fn u16(&self, at: usize) -> Result<u16, Missing> {
        Ok(u16(self.read(at, 2)?))
    }

    pub(super) fn u32(&self, at: usize) -> Result<u32, Missing> {
        Ok(u32(self.read(at, 4)?))
    }
}

/// The first two octets as a number in network byte order.
pub(super) fn u16(octets: &[u8]) -> u16 {
    u16::from_be_bytes([octets[0], octets[1]])
}

/// The first four octets as a number in network byte order.
pub(super) fn u32(octets: &[u8]) -> u32 {
    u32::from_be_bytes([octets[0], octets[1], octets[2], octets[3]])
}

/// The first sixteen octets.
pub(super) fn sixteen(octets: &[u8]) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&octets[..16]);
    out
}
