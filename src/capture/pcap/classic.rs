//! The pcap format (draft-ietf-opsawg-pcap).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------------------------------------------------------+
//! |                Magic: a1b2c3d4 µs, a1b23c4d ns,               |   file header
//! |                a1b2cd34 Kuznetzov's longer records            |
//! +-------------------------------+-------------------------------+
//! |          Major version        |         Minor version         |
//! +-------------------------------+-------------------------------+
//! |                 Reserved, reserved, SnapLen                   |
//! +-------+-+---------------------+-------------------------------+
//! |FCS len|f|          0          |           LinkType            |
//! +-------+-+---------------------+-------------------------------+
//!
//! | Seconds | µs or ns | Captured length | Original length |         record header
//! ```
//!
//! In: buffered octets. Out: frames borrowed from them. The loop is made once for each byte order and header length.

use super::{Batch, LARGEST_FRAME, Scan, Stop};
use crate::capture::{Frame, LinkType, Timestamp};

/// Octets of the file header.
pub(super) const FILE_HEADER: usize = 24;

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;
const KUZNETZOV: u32 = 0xa1b2_cd34;

/// Octets of a record header.
const RECORD: usize = 16;
/// Octets of a record header of Kuznetzov's libpcap, which appends interface index, protocol and packet type.
const LONG_RECORD: usize = 24;

/// What the file header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Classic {
    pub(super) link: LinkType,
    big_endian: bool,
    long: bool,
    /// Nanoseconds of one unit of the fraction.
    unit: u64,
    /// Octets of the frame check sequence at the end of every frame.
    check_sequence: u32,
}

impl Classic {
    /// Reads the file header; what is missing of a cut one counts as zero. `None` if the magic is another's.
    pub(super) fn recognise(start: &[u8]) -> Option<Self> {
        let magic = *start.first_chunk::<4>()?;
        let known = |magic| matches!(magic, MICROSECONDS | NANOSECONDS | KUZNETZOV);
        let big_endian = known(u32::from_be_bytes(magic));
        let value = if big_endian { u32::from_be_bytes(magic) } else { u32::from_le_bytes(magic) };
        if !known(value) {
            return None;
        }
        let last = start.get(20..24).and_then(|word| word.first_chunk::<4>()).copied();
        let last = last.unwrap_or_default();
        let link = if big_endian { u32::from_be_bytes(last) } else { u32::from_le_bytes(last) };
        // Bit 26 says that bits 28 to 31 hold the length of the frame check sequence in 16-bit words.
        let check_sequence = if link & 1 << 26 == 0 { 0 } else { (link >> 28) * 2 };
        Some(Self {
            link: LinkType::from_pcap((link & 0xffff) as u16),
            big_endian,
            long: value == KUZNETZOV,
            unit: if value == NANOSECONDS { 1 } else { 1000 },
            check_sequence,
        })
    }

    /// Lends records until the batch is full or the octets end.
    #[inline]
    pub(super) fn scan<'a>(&self, octets: &'a [u8], batch: &mut Batch<'a>) -> Scan {
        match (self.big_endian, self.long) {
            (false, false) => self.records::<false, RECORD>(octets, batch),
            (true, false) => self.records::<true, RECORD>(octets, batch),
            (false, true) => self.records::<false, LONG_RECORD>(octets, batch),
            (true, true) => self.records::<true, LONG_RECORD>(octets, batch),
        }
    }

    fn records<'a, const BIG: bool, const HEADER: usize>(
        &self,
        octets: &'a [u8],
        batch: &mut Batch<'a>,
    ) -> Scan {
        let mut rest = octets;
        let stop = loop {
            if batch.is_full() {
                break Stop::Again;
            }
            let Some((header, behind)) = rest.split_first_chunk::<HEADER>() else {
                break Stop::Need(HEADER);
            };
            let captured = word::<BIG>(header, 8);
            let wire_length = word::<BIG>(header, 12);
            if captured > LARGEST_FRAME || captured > wire_length {
                break Stop::Damaged(nonsense(captured, wire_length));
            }
            let Some((data, behind)) = behind.split_at_checked(captured as usize) else {
                break Stop::Need(HEADER + captured as usize);
            };
            rest = behind;
            let time = u64::from(word::<BIG>(header, 0)) * 1_000_000_000
                + u64::from(word::<BIG>(header, 4)) * self.unit;
            let (data, wire_length) =
                without_check_sequence(data, wire_length, self.check_sequence);
            batch.push(Frame {
                data,
                wire_length,
                interface: 0,
                link: self.link,
                time: Timestamp(time),
            });
        };
        Scan { consumed: octets.len() - rest.len(), stop }
    }
}

#[inline(always)]
fn word<const BIG: bool>(header: &[u8], at: usize) -> u32 {
    let octets = [header[at], header[at + 1], header[at + 2], header[at + 3]];
    if BIG { u32::from_be_bytes(octets) } else { u32::from_le_bytes(octets) }
}

/// Takes the frame check sequence off a frame that ends with one.
#[inline(always)]
pub(super) fn without_check_sequence(data: &[u8], wire_length: u32, octets: u32) -> (&[u8], u32) {
    if octets == 0 {
        return (data, wire_length);
    }
    let wire_length = wire_length.saturating_sub(octets);
    (data.get(..wire_length as usize).unwrap_or(data), wire_length)
}

/// Names lengths that no record can have.
#[cold]
pub(super) fn nonsense(captured: u32, wire_length: u32) -> String {
    if captured > LARGEST_FRAME {
        format!("a record says it holds {captured} octets, more than {LARGEST_FRAME}")
    } else {
        format!("a record says it holds {captured} octets of a frame of {wire_length}")
    }
}
