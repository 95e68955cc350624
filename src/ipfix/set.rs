//! Sets (RFC 7011 section 3.3): runs of records of one kind.

use super::octets::be16;

/// Set ID of Template Sets.
pub const TEMPLATE_SET: u16 = 2;
/// Set ID of Options Template Sets.
pub const OPTIONS_TEMPLATE_SET: u16 = 3;
/// Smallest ID of Data Sets and Templates.
pub const FIRST_DATA_SET: u16 = 256;

/// A Set header.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-------------------------------+-------------------------------+
/// |            Set ID             |            Length             |
/// +-------------------------------+-------------------------------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetHeader {
    /// Set ID.
    pub id: u16,
    /// Octets of the Set, this header included.
    pub length: u16,
}

impl SetHeader {
    /// Octets of the header.
    pub const LENGTH: usize = 4;

    /// Reads the header at the beginning of `octets`; `None` if there are fewer than 4.
    #[must_use]
    pub fn decode(octets: &[u8]) -> Option<Self> {
        Some(Self { id: be16(octets, 0)?, length: be16(octets, 2)? })
    }

    /// The header's octets.
    #[must_use]
    pub fn encode(self) -> [u8; Self::LENGTH] {
        let ([a, b], [c, d]) = (self.id.to_be_bytes(), self.length.to_be_bytes());
        [a, b, c, d]
    }
}

/// A Set within a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set<'a> {
    /// Set ID.
    pub id: u16,
    /// Where its header begins in the message.
    pub offset: usize,
    /// What stands behind the header, up to the stated length or the end of the message.
    pub contents: &'a [u8],
}

impl Set<'_> {
    /// Where the contents begin in the message.
    #[must_use]
    pub const fn contents_offset(&self) -> usize {
        self.offset + SetHeader::LENGTH
    }
}
