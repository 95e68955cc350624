//! The pcapng format (draft-ietf-opsawg-pcapng).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------------------------------------------------------+
//! |                          Block Type                           |
//! +---------------------------------------------------------------+
//! |                      Block Total Length                       |
//! +---------------------------------------------------------------+
//! |                 Block Body, padded to 32 bits                 |
//! +---------------------------------------------------------------+
//! |                   Block Total Length again                    |
//! +---------------------------------------------------------------+
//! ```
//!
//! In: buffered octets. Out: frames borrowed from them. Sections may differ in byte order, interfaces in link type
//! and resolution. Blocks that hold no frame are passed over, whatever their length.

use super::classic::{nonsense, without_check_sequence};
use super::{Batch, LARGEST_FRAME, Scan, Stop, buffer};
use crate::capture::{Frame, LinkType, Timestamp};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// "Byte-Order Magic" of the Section Header Block.
const BYTE_ORDER: u32 = 0x1a2b_3c4d;

/// Octets of type and length ahead of a block's body, and of the length behind it.
const HEAD: usize = 8;
const TAIL: usize = 4;

/// Most interfaces in a file. The format has no limit; memory has.
const MOST_INTERFACES: usize = 65_536;

/// Positions in a block, from its first octet.
mod field {
    /// Section Header Block: byte-order magic.
    pub(super) const MAGIC: usize = 8;
    /// Section Header Block: major version.
    pub(super) const MAJOR: usize = 12;
    /// Section Header Block: its shortest length.
    pub(super) const SECTION_LENGTH: usize = 28;
    /// Interface Description Block.
    pub(super) const LINK: usize = 8;
    pub(super) const SNAPLEN: usize = 12;
    pub(super) const INTERFACE_OPTIONS: usize = 16;
    /// Enhanced Packet Block (and the obsolete Packet Block, whose interface is 16 bits wide).
    pub(super) const INTERFACE: usize = 8;
    pub(super) const TIME_HIGH: usize = 12;
    pub(super) const TIME_LOW: usize = 16;
    pub(super) const CAPTURED: usize = 20;
    pub(super) const ORIGINAL: usize = 24;
    pub(super) const DATA: usize = 28;
    /// Simple Packet Block.
    pub(super) const SIMPLE_ORIGINAL: usize = 8;
    pub(super) const SIMPLE_DATA: usize = 12;
}

/// Options of the Interface Description Block.
mod option {
    pub(super) const END: u16 = 0;
    pub(super) const TIME_RESOLUTION: u16 = 9;
    pub(super) const CHECK_SEQUENCE: u16 = 13;
    pub(super) const TIME_OFFSET: u16 = 14;
}

/// How units of an interface's clock become nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clock {
    /// Coarser than nanoseconds, or just that: multiply.
    Multiply(u64),
    /// This many units in a second.
    Units(u64),
}

impl Clock {
    /// From `if_tsresol`: a negative power of 10, or of 2 if the high bit is set. `None` if it does not fit 64 bits.
    pub(super) fn new(resolution: u8) -> Option<Self> {
        let power = u32::from(resolution & 0x7f);
        if resolution & 0x80 != 0 {
            return 1_u64.checked_shl(power).map(Self::Units);
        }
        if power <= 9 {
            return Some(Self::Multiply(10_u64.pow(9 - power)));
        }
        10_u64.checked_pow(power).map(Self::Units)
    }

    pub(super) fn nanoseconds(self, units: u64) -> u64 {
        match self {
            Self::Multiply(factor) => units.wrapping_mul(factor),
            Self::Units(in_second) => {
                let fraction =
                    u128::from(units % in_second) * 1_000_000_000 / u128::from(in_second);
                (units / in_second).wrapping_mul(1_000_000_000).wrapping_add(fraction as u64)
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link: LinkType,
    /// 0: no limit.
    snaplen: u32,
    clock: Clock,
    /// Nanoseconds to add (`if_tsoffset`), modulo 2⁶⁴.
    offset: u64,
    /// Octets of the frame check sequence at the end of every frame (`if_fcslen`).
    check_sequence: u32,
}

/// What the blocks read so far say.
#[derive(Debug, Default)]
pub(super) struct Pcapng {
    big_endian: bool,
    /// Interfaces of all sections, in file order.
    interfaces: Vec<Interface>,
    /// Where the current section's interfaces begin.
    section: usize,
    /// Time of the last frame: a Simple Packet Block has none of its own.
    last: Timestamp,
}

impl Pcapng {
    pub(super) fn recognise(start: &[u8]) -> bool {
        let type_is =
            start.first_chunk::<4>().is_some_and(|kind| *kind == SECTION_HEADER.to_be_bytes());
        let magic = start.get(field::MAGIC..field::MAGIC + 4);
        // A file cut within its first 12 octets is still called pcapng, and then damaged.
        type_is && magic.is_none_or(|magic| byte_order(magic).is_some())
    }

    pub(super) fn first_link(&self) -> Option<LinkType> {
        self.interfaces.first().map(|interface| interface.link)
    }

    /// Reads the buffered blocks ahead of the first frame. Returns the octets read; errors are left for the scan.
    pub(super) fn describe(&mut self, octets: &[u8]) -> usize {
        let mut rest = octets;
        while let Some(head) = rest.first_chunk::<HEAD>() {
            let kind = self.word(head, 0);
            if !matches!(kind, SECTION_HEADER | INTERFACE) || self.other(kind, rest).is_err() {
                break;
            }
            let length = self.word(head, 4) as usize;
            let Some(behind) = rest.get(length..) else { break };
            rest = behind;
        }
        octets.len() - rest.len()
    }

    /// Lends frames until the batch is full or the octets end.
    pub(super) fn scan<'a>(&mut self, octets: &'a [u8], batch: &mut Batch<'a>) -> Scan {
        if self.big_endian {
            self.blocks::<true>(octets, batch)
        } else {
            self.blocks::<false>(octets, batch)
        }
    }

    fn blocks<'a, const BIG: bool>(&mut self, octets: &'a [u8], batch: &mut Batch<'a>) -> Scan {
        let mut rest = octets;
        let stop = loop {
            if batch.is_full() {
                break Stop::Again;
            }
            let kind = match rest.first_chunk::<HEAD>() {
                Some(head) => word::<BIG>(head, 0),
                None => break Stop::Need(HEAD),
            };
            if !matches!(kind, ENHANCED_PACKET | SIMPLE_PACKET | PACKET) {
                match self.other(kind, rest) {
                    // A new section may have the other byte order: come back by way of `scan`.
                    Ok(length) if kind == SECTION_HEADER => {
                        rest = rest.get(length..).unwrap_or(&[]);
                        break Stop::Again;
                    }
                    Ok(length) => {
                        if let Some(behind) = rest.get(length..) {
                            rest = behind;
                            continue;
                        }
                        let skip = (length - rest.len()) as u64;
                        rest = &[];
                        break Stop::Skip(skip);
                    }
                    Err(stop) => break stop,
                }
            }
            match self.frame::<BIG>(kind, rest) {
                Ok((frame, behind)) => {
                    self.last = frame.time;
                    batch.push(frame);
                    rest = behind;
                }
                Err(stop) => break stop,
            }
        };
        Scan { consumed: octets.len() - rest.len(), stop }
    }

    /// Reads a block that holds a frame. Returns it and what is behind the block.
    #[inline]
    fn frame<'a, const BIG: bool>(
        &self,
        kind: u32,
        rest: &'a [u8],
    ) -> Result<(Frame<'a>, &'a [u8]), Stop> {
        let data = if kind == SIMPLE_PACKET { field::SIMPLE_DATA } else { field::DATA };
        let Some(head) = rest.first_chunk::<HEAD>() else { return Err(Stop::Need(HEAD)) };
        let length = block_length(word::<BIG>(head, 4), data + TAIL)?;
        let Some((block, behind)) = rest.split_at_checked(length) else {
            return Err(Stop::Need(length));
        };
        check_tail(length as u32, word::<BIG>(block, length - TAIL))?;
        let number = match kind {
            SIMPLE_PACKET => 0,
            PACKET => usize::from(half::<BIG>(block, field::INTERFACE)),
            _ => word::<BIG>(block, field::INTERFACE) as usize,
        };
        let index = self.section.saturating_add(number);
        let Some(interface) = self.interfaces.get(index) else {
            return Err(Stop::Damaged(format!(
                "a frame of interface {number}, which is not described"
            )));
        };
        let room = (length - data - TAIL) as u32;
        let (captured, wire_length, time) = if kind == SIMPLE_PACKET {
            let original = word::<BIG>(block, field::SIMPLE_ORIGINAL);
            let limit = if interface.snaplen == 0 { u32::MAX } else { interface.snaplen };
            (original.min(limit).min(room), original, self.last)
        } else {
            let units = u64::from(word::<BIG>(block, field::TIME_HIGH)) << 32
                | u64::from(word::<BIG>(block, field::TIME_LOW));
            let time = interface.clock.nanoseconds(units).wrapping_add(interface.offset);
            let captured = word::<BIG>(block, field::CAPTURED);
            (captured, word::<BIG>(block, field::ORIGINAL), Timestamp(time))
        };
        if captured > LARGEST_FRAME || captured > wire_length {
            return Err(Stop::Damaged(nonsense(captured, wire_length)));
        }
        let Some(octets) = block.get(data..data + captured as usize).filter(|_| captured <= room)
        else {
            let what = format!("a block of {length} octets says it holds a frame of {captured}");
            return Err(Stop::Damaged(what));
        };
        let (octets, wire_length) =
            without_check_sequence(octets, wire_length, interface.check_sequence);
        let interface_number = index as u32;
        let frame = Frame {
            data: octets,
            wire_length,
            interface: interface_number,
            link: interface.link,
            time,
        };
        Ok((frame, behind))
    }

    /// Reads a block that holds no frame. Returns its length; only section and interface blocks must be buffered.
    #[cold]
    fn other(&mut self, kind: u32, rest: &[u8]) -> Result<usize, Stop> {
        let shortest = match kind {
            SECTION_HEADER => field::SECTION_LENGTH,
            INTERFACE => field::INTERFACE_OPTIONS + TAIL,
            _ => HEAD + TAIL,
        };
        if kind == SECTION_HEADER {
            let Some(magic) = rest.get(field::MAGIC..field::MAGIC + 4) else {
                return Err(Stop::Need(field::MAGIC + 4));
            };
            let Some(big_endian) = byte_order(magic) else {
                return Err(Stop::Damaged("a Section Header Block without its magic".to_owned()));
            };
            self.big_endian = big_endian;
        }
        let Some(head) = rest.first_chunk::<HEAD>() else { return Err(Stop::Need(HEAD)) };
        let declared = self.word(head, 4);
        if !matches!(kind, SECTION_HEADER | INTERFACE) {
            return declared_length(declared, shortest);
        }
        let length = block_length(declared, shortest)?;
        let Some(block) = rest.get(..length) else { return Err(Stop::Need(length)) };
        check_tail(declared, self.word(block, length - TAIL))?;
        if kind == INTERFACE {
            self.interface(block)?;
        } else {
            let major = self.half(block, field::MAJOR);
            if major != 1 {
                return Err(Stop::Damaged(format!(
                    "pcapng version {major}, of which only 1 is known"
                )));
            }
            self.section = self.interfaces.len();
        }
        Ok(length)
    }

    /// Keeps an Interface Description Block.
    fn interface(&mut self, block: &[u8]) -> Result<(), Stop> {
        if self.interfaces.len() >= MOST_INTERFACES {
            return Err(Stop::Damaged(format!("more than {MOST_INTERFACES} interfaces")));
        }
        let mut interface = Interface {
            link: LinkType::from_pcap(self.half(block, field::LINK)),
            snaplen: self.word(block, field::SNAPLEN),
            clock: Clock::Multiply(1000),
            offset: 0,
            check_sequence: 0,
        };
        let end = block.len() - TAIL;
        let mut options = block.get(field::INTERFACE_OPTIONS..end).unwrap_or(&[]);
        while let Some((head, behind)) = options.split_first_chunk::<4>() {
            let (code, length) = (self.half(head, 0), usize::from(self.half(head, 2)));
            let Some(value) = behind.get(..length).filter(|_| code != option::END) else { break };
            self.interface_option(&mut interface, code, value)?;
            options = behind.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        }
        self.interfaces.push(interface);
        Ok(())
    }

    fn interface_option(&self, to: &mut Interface, code: u16, value: &[u8]) -> Result<(), Stop> {
        match (code, value) {
            (option::TIME_RESOLUTION, &[resolution, ..]) => {
                to.clock = Clock::new(resolution).ok_or_else(|| {
                    Stop::Damaged(format!("an interface with if_tsresol {resolution:#04x}"))
                })?;
            }
            (option::TIME_OFFSET, value) => {
                if let Some(octets) = value.first_chunk::<8>() {
                    let seconds = if self.big_endian {
                        i64::from_be_bytes(*octets)
                    } else {
                        i64::from_le_bytes(*octets)
                    };
                    to.offset = (seconds as u64).wrapping_mul(1_000_000_000);
                }
            }
            // The draft says bits, what writes it says octets: no sequence is longer than 8 octets or shorter
            // than 8 bits. 255 is "unknown".
            (option::CHECK_SEQUENCE, &[length, ..]) => {
                to.check_sequence = match length {
                    0..=8 => u32::from(length),
                    255 => 0,
                    bits => u32::from(bits / 8),
                };
            }
            _ => {}
        }
        Ok(())
    }

    fn word(&self, octets: &[u8], at: usize) -> u32 {
        if self.big_endian { word::<true>(octets, at) } else { word::<false>(octets, at) }
    }

    fn half(&self, octets: &[u8], at: usize) -> u16 {
        if self.big_endian { half::<true>(octets, at) } else { half::<false>(octets, at) }
    }
}

/// Whether the byte-order magic reads right in network byte order; `None` if it is no such magic.
fn byte_order(magic: &[u8]) -> Option<bool> {
    let magic = *magic.first_chunk::<4>()?;
    if u32::from_be_bytes(magic) == BYTE_ORDER {
        Some(true)
    } else if u32::from_le_bytes(magic) == BYTE_ORDER {
        Some(false)
    } else {
        None
    }
}

/// A block length that is a multiple of 4 and holds the fixed fields.
fn declared_length(declared: u32, shortest: usize) -> Result<usize, Stop> {
    let length = declared as usize;
    // Writers exist that do not round the length up; no reader minds, the padding is there.
    let length = length.checked_next_multiple_of(4).unwrap_or(usize::MAX);
    if length < shortest.next_multiple_of(4) {
        return Err(Stop::Damaged(format!("a block says it is {declared} octets long")));
    }
    Ok(length)
}

/// As [`declared_length`], for a block that must be buffered as a whole.
#[inline]
fn block_length(declared: u32, fixed: usize) -> Result<usize, Stop> {
    let length = declared as usize;
    if !length.is_multiple_of(4) || length < fixed || length > buffer::MOST {
        return Err(Stop::Damaged(format!("a block says it is {declared} octets long")));
    }
    Ok(length)
}

#[inline]
fn check_tail(declared: u32, tail: u32) -> Result<(), Stop> {
    if declared != tail {
        return Err(Stop::Damaged(format!(
            "a block says it is {declared} octets long in front and {tail} behind"
        )));
    }
    Ok(())
}

#[inline(always)]
fn word<const BIG: bool>(octets: &[u8], at: usize) -> u32 {
    let Some(octets) = octets.get(at..).and_then(|octets| octets.first_chunk::<4>()) else {
        return 0;
    };
    if BIG { u32::from_be_bytes(*octets) } else { u32::from_le_bytes(*octets) }
}

#[inline(always)]
fn half<const BIG: bool>(octets: &[u8], at: usize) -> u16 {
    let Some(octets) = octets.get(at..).and_then(|octets| octets.first_chunk::<2>()) else {
        return 0;
    };
    if BIG { u16::from_be_bytes(*octets) } else { u16::from_le_bytes(*octets) }
}
