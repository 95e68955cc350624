//! One AF_XDP socket with its UMEM, on one receive queue.
//!
//! In: descriptors from the RX ring. Out: the octets they point at; then the same descriptors into the fill ring.
//! Invariants:
//! - *Own frames*: every descriptor here came from this queue's UMEM or its RX ring, and goes to its fill ring only.
//! - *One owner*: a frame is either the kernel's (fill ring, NIC, RX ring) or ours (between [`Queue::take`] and
//!   [`Queue::give_back`]), never both. So what we read does not change while we read it.
//! - *Room*: the fill ring has twice as many entries as there are frames, so giving back never fails. Once as many would not
//!   do: the kernel takes entries in advance and says so only when it has used them all.

use std::error::Error;
use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use xsk_rs::TxQueue;
use xsk_rs::config::{
    BindFlags, FrameSize, Interface, LibxdpFlags, QueueSize, SocketConfig, UmemConfig,
};
use xsk_rs::socket::{RxQueue, Socket, XdpStatistics};
use xsk_rs::umem::frame::FrameDesc;
use xsk_rs::umem::{CompQueue, FillQueue, Umem};

use super::super::packet_socket::option;
use super::BusyPoll;
use super::memory::Near;

/// Entries of the rings that a receiver has to have but does not use.
const UNUSED_RING: u32 = 64;

/// Numbers of a socket and its UMEM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Octets of one UMEM frame, a power of two from 2048 on.
    pub(super) frame_size: u32,
    /// Octets the driver may use before the data, besides the kernel's own 256.
    pub(super) headroom: u32,
    /// In what steps the NIC can be told the size of its buffers, in octets.
    pub(super) granule: u32,
    /// Entries of the RX ring, a power of two.
    pub(super) rx_ring: u32,
    /// Frames of the UMEM, a power of two.
    pub(super) frames: u32,
    /// Ask for huge pages first.
    pub(super) huge_pages: bool,
    /// NUMA node of the NIC.
    pub(super) node: Option<u32>,
    /// Octets that the program puts before each frame.
    pub(super) stamp: u32,
}

/// Octets that the kernel keeps free before the data of every frame (XDP_PACKET_HEADROOM).
const KERNEL_HEADROOM: u32 = 256;

impl Shape {
    /// Octets of frame data that one buffer takes.
    pub(super) const fn room(&self) -> u32 {
        let room = self.frame_size - KERNEL_HEADROOM - self.headroom;
        room - room % self.granule - self.stamp
    }
}

/// A socket bound to a queue, with all its frames in the fill ring.
#[derive(Debug)]
pub(super) struct Queue {
    rx: RxQueue,
    fill: FillQueue,
    umem: Umem,
    pub(super) huge_pages: bool,
    // xsk-rs makes both always; they have to live as long as the socket.
    _tx: TxQueue,
    _completion: CompQueue,
}

impl Queue {
    /// Binds to `queue` of `interface` with exactly those flags, and fills the fill ring.
    ///
    /// # Errors
    /// The kernel's errno.
    pub(super) fn bind(
        interface: &str,
        queue: u32,
        shape: Shape,
        flags: BindFlags,
    ) -> io::Result<Self> {
        let umem_config = UmemConfig::builder()
            .frame_size(FrameSize::new(shape.frame_size).map_err(io::Error::other)?)
            .fill_queue_size(ring(2 * shape.frames)?)
            .comp_queue_size(ring(UNUSED_RING)?)
            .frame_headroom(shape.headroom)
            .build()
            .map_err(io::Error::other)?;
        let frames = NonZeroU32::new(shape.frames).ok_or(io::ErrorKind::InvalidInput)?;
        let near = shape.node.and_then(Near::node);
        let in_huge_pages =
            shape.huge_pages.then(|| Umem::new(umem_config, frames, true).ok()).flatten();
        let huge_pages = in_huge_pages.is_some();
        let (umem, frames) = match in_huge_pages {
            Some(umem) => umem,
            None => Umem::new(umem_config, frames, false).map_err(|error| cause(&error))?,
        };
        drop(near);
        let socket_config = SocketConfig::builder()
            .rx_queue_size(ring(shape.rx_ring)?)
            .tx_queue_size(ring(UNUSED_RING)?)
            .libxdp_flags(LibxdpFlags::XSK_LIBXDP_FLAGS_INHIBIT_PROG_LOAD)
            .bind_flags(flags)
            .build();
        let name: Interface = interface.parse().map_err(io::Error::other)?;
        // SAFETY: the UMEM was made just above and is shared with no other socket, so no other fill or completion ring
        // can hold its frames.
        let (tx, rx, rings) = unsafe { Socket::new(socket_config, &umem, &name, queue) }
            .map_err(|error| cause(&error))?;
        let (mut fill, completion) =
            rings.ok_or_else(|| io::Error::other("the UMEM has no rings"))?;
        // SAFETY: *own frames*: `frames` are all frames of this UMEM, none given out yet.
        let filled = unsafe { fill.produce(&frames) };
        if filled != frames.len() {
            return Err(io::Error::other("the fill ring does not take all frames"));
        }
        Ok(Self { rx, fill, umem, huge_pages, _tx: tx, _completion: completion })
    }

    /// Takes what the RX ring has, at most `descriptors.len()`.
    #[inline]
    pub(super) fn take(&mut self, descriptors: &mut [FrameDesc]) -> usize {
        // SAFETY: *own frames*: the ring and the UMEM were bound to each other in `bind`.
        unsafe { self.rx.consume(descriptors) }
    }

    /// Asks the kernel to run the driver from this thread, and not by interrupts.
    ///
    /// # Errors
    /// EPERM without CAP_NET_ADMIN, ENOPROTOOPT before kernel 5.11.
    pub(super) fn set_busy_poll(&self, busy_poll: BusyPoll) -> io::Result<()> {
        const SO_PREFER_BUSY_POLL: i32 = 69;
        const SO_BUSY_POLL_BUDGET: i32 = 70;
        let set = |option, value: i32| {
            option::set(self.borrowed(), libc::SOL_SOCKET, option, &value.to_ne_bytes())
        };
        set(SO_PREFER_BUSY_POLL, 1)?;
        set(libc::SO_BUSY_POLL, i32::try_from(busy_poll.microseconds).unwrap_or(i32::MAX))?;
        set(SO_BUSY_POLL_BUDGET, i32::from(busy_poll.budget))
    }

    /// With busy polling: runs the driver for one turn.
    pub(super) fn drive(&self) -> io::Result<()> {
        match recv(self.borrowed(), &mut [0u8; 0][..], RecvFlags::DONTWAIT) {
            Ok(_)
            | Err(
                Errno::AGAIN
                | Errno::INTR
                | Errno::NETDOWN
                | Errno::NXIO
                | Errno::BUSY
                | Errno::NOBUFS,
            ) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The socket, to be waited for or set.
    pub(super) fn borrowed(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is the socket's, which lives as long as `self`.
        unsafe { BorrowedFd::borrow_raw(self.descriptor()) }
    }

    /// The octets of a descriptor that [`Self::take`] gave and [`Self::give_back`] has not had yet.
    #[inline]
    pub(super) fn data(&self, descriptor: &FrameDesc) -> &[u8] {
        // SAFETY: *one owner*: the caller holds the descriptor between `take` and `give_back`, so the kernel does not write
        // there; the borrow of `self` ends before `give_back`, which takes `&mut self`. *Own frames*: address and length
        // were written by the kernel for this UMEM.
        unsafe { self.umem.data(descriptor) }.contents()
    }

    /// Gives descriptors back to the kernel. They must be exactly those taken last.
    #[inline]
    pub(super) fn give_back(&mut self, descriptors: &[FrameDesc]) -> io::Result<()> {
        // SAFETY: *own frames* and *one owner*: they were taken from this queue's RX ring, and no borrow of their data lives.
        let given = unsafe { self.fill.produce(descriptors) };
        if given != descriptors.len() {
            return Err(io::Error::other("the fill ring is full: *room* does not hold"));
        }
        if self.fill.needs_wakeup() {
            self.fill.wakeup(self.rx.fd_mut(), 0)?;
        }
        Ok(())
    }

    /// XDP_STATISTICS of the socket.
    pub(super) fn statistics(&self) -> io::Result<XdpStatistics> {
        self.rx.fd().xdp_statistics()
    }

    /// The socket's descriptor, for the XSKMAP and for socket options.
    pub(super) fn descriptor(&self) -> std::os::fd::RawFd {
        self.rx.fd().as_raw_fd()
    }
}

fn ring(entries: u32) -> io::Result<QueueSize> {
    QueueSize::new(entries).map_err(io::Error::other)
}

/// The errno that xsk-rs keeps as the source of its error.
fn cause(error: &(dyn Error + 'static)) -> io::Error {
    match error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
        Some(source) => match source.raw_os_error() {
            Some(errno) => io::Error::from_raw_os_error(errno),
            None => io::Error::other(source.to_string()),
        },
        None => io::Error::other(error.to_string()),
    }
}
