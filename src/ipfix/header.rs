//! The message header (RFC 7011 section 3.1).

use super::octets::{be16, be32};
use super::{Anomaly, Kind};

/// Where the fields stand.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-------------------------------+-------------------------------+
/// |          Version (10)         |            Length             |
/// +-------------------------------+-------------------------------+
/// |                          Export Time                          |
/// +---------------------------------------------------------------+
/// |                        Sequence Number                        |
/// +---------------------------------------------------------------+
/// |                     Observation Domain ID                     |
/// +---------------------------------------------------------------+
/// ```
mod field {
    use std::ops::Range;
    pub(super) const VERSION: Range<usize> = 0..2;
    pub(super) const LENGTH: Range<usize> = 2..4;
    pub(super) const EXPORT_TIME: Range<usize> = 4..8;
    pub(super) const SEQUENCE: Range<usize> = 8..12;
    pub(super) const DOMAIN: Range<usize> = 12..16;
}

/// A message header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageHeader {
    /// Octets of the whole message, header included.
    pub length: u16,
    /// When the message left the exporter: seconds since 1970, modulo 2³².
    pub export_time: u32,
    /// Data Records sent before this message in this stream and domain, modulo 2³².
    pub sequence: u32,
    /// Observation Domain ID; 0 if none applies to the whole message.
    pub domain: u32,
}

impl MessageHeader {
    /// Octets of the header.
    pub const LENGTH: usize = 16;
    /// The version number of IPFIX.
    pub const VERSION: u16 = 10;

    /// Reads the header at the beginning of `octets`. The length field is not compared with what came.
    ///
    /// # Errors
    /// Fewer than 16 octets, or a version other than 10.
    pub fn decode(octets: &[u8]) -> Result<Self, Anomaly> {
        let found = be16(octets, field::VERSION.start);
        if let Some(found) = found.filter(|&found| found != Self::VERSION) {
            return Err(Anomaly { offset: 0, kind: Kind::Version { found } });
        }
        let fields = || {
            Some(Self {
                length: be16(octets, field::LENGTH.start)?,
                export_time: be32(octets, field::EXPORT_TIME.start)?,
                sequence: be32(octets, field::SEQUENCE.start)?,
                domain: be32(octets, field::DOMAIN.start)?,
            })
        };
        fields()
            .ok_or(Anomaly { offset: 0, kind: Kind::HeaderTruncated { available: octets.len() } })
    }

    /// The header's octets.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LENGTH] {
        let mut octets = [0; Self::LENGTH];
        octets[field::VERSION].copy_from_slice(&Self::VERSION.to_be_bytes());
        octets[field::LENGTH].copy_from_slice(&self.length.to_be_bytes());
        octets[field::EXPORT_TIME].copy_from_slice(&self.export_time.to_be_bytes());
        octets[field::SEQUENCE].copy_from_slice(&self.sequence.to_be_bytes());
        octets[field::DOMAIN].copy_from_slice(&self.domain.to_be_bytes());
        octets
    }
}
