//! Variable-length values (RFC 7011 section 7): one length octet, or 255 and two more.

use super::octets::be16;

/// A length that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length {
    /// Octets of the value.
    pub value: usize,
    /// Octets of the length itself: 1 or 3.
    pub prefix: usize,
}

/// Reads the length at the beginning of `octets`; `None` if it is cut. The long form is legal for any length.
#[inline]
#[must_use]
pub fn decode(octets: &[u8]) -> Option<Length> {
    match *octets.first()? {
        255 => Some(Length { value: usize::from(be16(octets, 1)?), prefix: 3 }),
        short => Some(Length { value: usize::from(short), prefix: 1 }),
    }
}

/// Octets that a value of `length` takes with its length in front.
#[must_use]
pub const fn encoded_len(length: usize) -> usize {
    if length < 255 { length + 1 } else { length + 3 }
}
