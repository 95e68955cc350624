//! The receive ring of a packet socket (TPACKET_V3, packet(7)).
//!
//! In: a socket. Out: blocks of frames, one at a time.
//! Invariants:
//! - *One owner*: a block is the kernel's while its status word has no TP_STATUS_USER, and ours from then until we write
//!   TP_STATUS_KERNEL. The kernel does not touch a block that is ours.
//! - *Inside*: offsets read from a block are checked against the block; a wrong one ends the block, nothing else.

use std::io;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::option;

const PACKET_RX_RING: i32 = 5;
const PACKET_VERSION: i32 = 10;
const PACKET_RESERVE: i32 = 12;
const TPACKET_V3: i32 = 2;

const TP_STATUS_KERNEL: u32 = 0;
const TP_STATUS_USER: u32 = 1;
const TP_STATUS_VLAN_VALID: u32 = 1 << 4;
const TP_STATUS_VLAN_TPID_VALID: u32 = 1 << 6;

/// Octets of a VLAN tag, kept free before each frame so that a tag the NIC took out can be put back in place.
const VLAN_TAG: usize = 4;
/// Octets of the two link-layer addresses, which stand before the tag.
const ADDRESSES: usize = 12;

/// `struct tpacket_block_desc`, the start of a block.
///
/// ```text
///   0 version  4 offset to private  8 status  12 packets  16 offset to first packet  20 length  24 sequence number …
/// ```
mod block {
    use std::ops::Range;
    pub(super) const STATUS: usize = 8;
    pub(super) const PACKETS: Range<usize> = 12..16;
    pub(super) const FIRST: Range<usize> = 16..20;
}

/// `struct tpacket3_hdr`, before each frame.
///
/// ```text
///   0 next offset  4 seconds  8 nanoseconds  12 captured  16 length  20 status  24 mac  26 net
///  28 rxhash  32 VLAN TCI  36 VLAN TPID
/// ```
mod header {
    use std::ops::Range;
    pub(super) const NEXT: Range<usize> = 0..4;
    pub(super) const SECONDS: Range<usize> = 4..8;
    pub(super) const NANOSECONDS: Range<usize> = 8..12;
    pub(super) const CAPTURED: Range<usize> = 12..16;
    pub(super) const LENGTH: Range<usize> = 16..20;
    pub(super) const STATUS: Range<usize> = 20..24;
    pub(super) const MAC: Range<usize> = 24..26;
    pub(super) const VLAN_TCI: Range<usize> = 32..36;
    pub(super) const VLAN_TPID: Range<usize> = 36..38;
}

/// Where a frame lies in its block, and what the kernel said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) octets: Range<usize>,
    pub(super) wire_length: u32,
    pub(super) seconds: u32,
    pub(super) nanoseconds: u32,
}

/// Sizes of the ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// Octets of a block, a power of two and a multiple of the page size.
    pub(super) block: u32,
    /// Blocks.
    pub(super) blocks: u32,
    /// Milliseconds after which a block that is not full is handed over.
    pub(super) retire: u32,
}

/// The mapped ring.
#[derive(Debug)]
pub(super) struct Ring {
    address: NonNull<u8>,
    size: Size,
    /// Block that is read now, or next.
    current: u32,
    reading: Option<Reading>,
}

/// Progress within the current block.
#[derive(Clone, Copy, Debug)]
struct Reading {
    next: usize,
    left: u32,
}

// SAFETY: the mapping belongs to this value alone and is reached through `&mut self` only.
unsafe impl Send for Ring {}

impl Ring {
    /// Makes and maps the ring of a socket that is not bound to a protocol yet.
    ///
    /// # Errors
    /// The kernel's errno: ENOMEM, or EINVAL for sizes it does not take.
    pub(super) fn map(socket: BorrowedFd<'_>, size: Size) -> io::Result<Self> {
        let set = |option, value: i32| {
            option::set(socket, libc::SOL_PACKET, option, &value.to_ne_bytes())
        };
        set(PACKET_VERSION, TPACKET_V3)?;
        set(PACKET_RESERVE, VLAN_TAG as i32)?;
        // struct tpacket_req3: block size and number, frame size and number (nominal only in version 3), retire timeout,
        // private area, features.
        let frame = 2048;
        let frames = size.block / frame * size.blocks;
        let request: Vec<u8> = [size.block, size.blocks, frame, frames, size.retire, 0, 0]
            .into_iter()
            .flat_map(u32::to_ne_bytes)
            .collect();
        option::set(socket, libc::SOL_PACKET, PACKET_RX_RING, &request)?;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing.
        let address = unsafe {
            mmap(std::ptr::null_mut(), length(size), protection, MapFlags::SHARED, socket, 0)?
        };
        let address = NonNull::new(address.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { address, size, current: 0, reading: None })
    }

    /// Whether there is a block to read.
    pub(super) fn is_ready(&self) -> bool {
        self.reading.is_some() || self.status().load(Ordering::Acquire) & TP_STATUS_USER != 0
    }

    /// The next frame of the current block; opens the block when none is open. `None`: the block has no more, or is the
    /// kernel's.
    pub(super) fn next(&mut self) -> Option<Place> {
        if !self.is_ready() {
            return None;
        }
        let begun = self.reading;
        let block = self.block();
        let number = |field| u32_in(block, field).unwrap_or(0);
        let reading = begun.unwrap_or_else(|| Reading {
            next: number(block::FIRST) as usize,
            left: number(block::PACKETS),
        });
        let mut after = Reading { next: 0, left: 0 };
        let place = match reading.left {
            0 => None,
            left => place(block, reading.next).map(|(place, next)| {
                after = Reading { next: reading.next + next, left: left - 1 };
                place
            }),
        };
        self.reading = Some(after);
        place
    }

    /// Octets of a place in the current block.
    pub(super) fn octets(&self, place: &Place) -> &[u8] {
        if self.reading.is_none() {
            return &[];
        }
        // SAFETY: *one owner*: `reading` says that the current block is ours, and `give_back` needs `&mut self`.
        // *Inside*: `current` is below `blocks`.
        let block = unsafe { std::slice::from_raw_parts(self.start(), self.size.block as usize) };
        block.get(place.octets.clone()).unwrap_or_default()
    }

    /// Gives the current block back to the kernel, whatever is left in it. To be called when [`Self::next`] gave `None`
    /// while [`Self::is_ready`].
    pub(super) fn give_back(&mut self) {
        if self.reading.take().is_some() {
            self.status().store(TP_STATUS_KERNEL, Ordering::Release);
            self.current = (self.current + 1) % self.size.blocks;
        }
    }

    /// The current block, when it is ours.
    fn block(&mut self) -> &mut [u8] {
        // SAFETY: *one owner*: callers have seen TP_STATUS_USER. *Inside*: `current` is below `blocks`. `&mut self` keeps
        // any other slice of the block from living at the same time.
        unsafe { std::slice::from_raw_parts_mut(self.start(), self.size.block as usize) }
    }

    fn status(&self) -> &AtomicU32 {
        // SAFETY: *inside*: the word lies in the current block, is aligned (blocks start on pages, STATUS is a multiple of
        // 4) and is written by both sides as one 32-bit word.
        unsafe { AtomicU32::from_ptr(self.start().add(block::STATUS).cast()) }
    }

    fn start(&self) -> *mut u8 {
        // SAFETY: *inside*: `current` is below `blocks`, so the result is within the mapping.
        unsafe { self.address.as_ptr().add(self.current as usize * self.size.block as usize) }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the whole mapping made in `map`; no slice of it outlives `self`.
        let _ = unsafe { munmap(self.address.as_ptr().cast(), length(self.size)) };
    }
}

const fn length(size: Size) -> usize {
    size.block as usize * size.blocks as usize
}

/// The frame whose header is at `at`, and how far the next header is. Puts a VLAN tag back that was taken out.
fn place(block: &mut [u8], at: usize) -> Option<(Place, usize)> {
    let frame = block.get_mut(at..)?;
    let status = u32_in(frame, header::STATUS)?;
    let mut start = usize::from(u16_in(frame, header::MAC)?);
    let end = start.checked_add(u32_in(frame, header::CAPTURED)? as usize)?;
    let mut wire_length = u32_in(frame, header::LENGTH)?;
    let (seconds, nanoseconds) =
        (u32_in(frame, header::SECONDS)?, u32_in(frame, header::NANOSECONDS)?);
    let next = u32_in(frame, header::NEXT)? as usize;
    let tci = u32_in(frame, header::VLAN_TCI)?;
    let tpid = u16_in(frame, header::VLAN_TPID)?;
    let whole = frame.get_mut(..end)?;
    if status & TP_STATUS_VLAN_VALID != 0 && end - start >= ADDRESSES && start >= VLAN_TAG {
        const ETHERTYPE_VLAN: u16 = 0x8100;
        let tpid = if status & TP_STATUS_VLAN_TPID_VALID != 0 { tpid } else { ETHERTYPE_VLAN };
        whole.copy_within(start..start + ADDRESSES, start - VLAN_TAG);
        start -= VLAN_TAG;
        let tag = &mut whole[start + ADDRESSES..start + ADDRESSES + VLAN_TAG];
        tag[..2].copy_from_slice(&tpid.to_be_bytes());
        tag[2..].copy_from_slice(&(tci as u16).to_be_bytes());
        wire_length = wire_length.saturating_add(VLAN_TAG as u32);
    }
    Some((Place { octets: at + start..at + end, wire_length, seconds, nanoseconds }, next))
}

fn u32_in(octets: &[u8], field: Range<usize>) -> Option<u32> {
    Some(u32::from_ne_bytes(octets.get(field)?.try_into().ok()?))
}

fn u16_in(octets: &[u8], field: Range<usize>) -> Option<u16> {
    Some(u16::from_ne_bytes(octets.get(field)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(status: u32, tpid: u16) -> Vec<u8> {
        let mut octets = vec![0; 128];
        octets[header::CAPTURED].copy_from_slice(&20u32.to_ne_bytes());
        octets[header::LENGTH].copy_from_slice(&1000u32.to_ne_bytes());
        octets[header::STATUS].copy_from_slice(&status.to_ne_bytes());
        octets[header::MAC].copy_from_slice(&82u16.to_ne_bytes());
        octets[header::NEXT].copy_from_slice(&128u32.to_ne_bytes());
        octets[header::VLAN_TCI].copy_from_slice(&0x2064u32.to_ne_bytes());
        octets[header::VLAN_TPID].copy_from_slice(&tpid.to_ne_bytes());
        for (number, octet) in octets[82..102].iter_mut().enumerate() {
            *octet = number as u8;
        }
        octets
    }

    #[test]
    fn a_tag_that_was_taken_out_is_put_back() {
        for (status, tpid, expected) in [
            (TP_STATUS_USER | TP_STATUS_VLAN_VALID, 0, [0x81, 0x00]),
            (
                TP_STATUS_USER | TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID,
                0x88a8,
                [0x88, 0xa8],
            ),
        ] {
            let mut block = frame(status, tpid);
            let (place, next) = place(&mut block, 0).expect("whole");
            let octets = &block[place.octets];
            assert_eq!(octets[..12], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
            assert_eq!(octets[12..14], expected);
            assert_eq!(octets[14..16], [0x20, 0x64]);
            assert_eq!(octets[16..], [12, 13, 14, 15, 16, 17, 18, 19]);
            assert_eq!((place.wire_length, next), (1004, 128));
        }
        let mut block = frame(TP_STATUS_USER, 0);
        let (place, _) = place(&mut block, 0).expect("whole");
        assert_eq!((place.octets, place.wire_length), (82..102, 1000));
    }

    #[test]
    fn offsets_beyond_the_block_are_no_frame() {
        let mut block = frame(TP_STATUS_USER, 0);
        assert_eq!(place(&mut block, 4000), None);
        assert_eq!(place(&mut block, usize::MAX), None);
        block[header::CAPTURED].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert_eq!(place(&mut block, 0), None);
    }
}
