//! Observation Point (RFC 5470 section 5.1): batches of borrowed frames.
//!
//! In: a NIC queue, a packet socket or a capture file. Out: [`Frame`]s, at most [`BATCH`] at a time, lent to the
//! meter for the length of one call and then given back to where they came from.
//! Invariant: every frame that the source took is either lent once or counted in [`SourceCounters`].

pub mod filter;
mod frame;
pub mod interface;
#[expect(unsafe_code, reason = "a ring shared with the kernel, options that rustix does not know")]
pub mod packet_socket;
pub mod pcap;
pub mod sampling;
pub mod selection;
#[cfg(feature = "xdp")]
#[expect(unsafe_code, reason = "rings and UMEM shared with the kernel, bpf(2)")]
pub mod xdp;

pub use frame::{Frame, LinkType, Timestamp};

use std::time::Duration;

/// Most frames lent in one call of the sink.
pub const BATCH: usize = 64;

/// What one call of [`Source::poll`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// This many frames (1 to [`BATCH`]) were lent to the sink.
    Frames(usize),
    /// Nothing arrived within the time given. The caller may use the pause for expiry.
    Idle,
    /// The source is exhausted (end of file); it will never have more.
    End,
}

/// Why a source cannot be opened or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The machine does not offer what is needed: permission, interface, driver, kernel. Exit status 3.
    #[error("{0}")]
    Environment(String),
    /// The user asked for something that cannot be meant: file format, filter expression. Exit status 2.
    #[error("{0}")]
    Usage(String),
    /// The input is damaged at `offset`; what came before it has been metered. Exit status 1.
    #[error("{what} at offset {offset}")]
    Damaged {
        /// What is wrong with the input.
        what: String,
        /// Octets from the start of the (decompressed) input.
        offset: u64,
    },
}

/// Where frames come from. One worker owns one source.
///
/// No method has a body here: whoever wraps a source could forget to ask it.
pub trait Source {
    /// Lends the next batch to `sink` and takes it back when `sink` returns.
    ///
    /// Waits at most `timeout` for the first frame. `sink` is called at most once.
    ///
    /// # Errors
    /// [`CaptureError`] ends the source: the caller drains what it has metered and reports.
    fn poll(
        &mut self,
        timeout: Duration,
        sink: &mut dyn FnMut(&[Frame<'_>]),
    ) -> Result<Poll, CaptureError>;

    /// Ends the intake of a live source, of all queues of its interface at once. `true`: frames taken before are still to be
    /// had; poll until [`Poll::Idle`] with a timeout of 50 ms or more, then the counters balance. `false`: nothing to end.
    fn stop(&mut self) -> bool;

    /// Counters since the source was opened. Cheap enough to call once a second; never called per batch.
    fn counters(&mut self) -> SourceCounters;

    /// How far a finite source has come: octets consumed and octets in all.
    fn progress(&self) -> Option<(u64, u64)>;

    /// How a live source gets its frames. May ask the driver, so it is called once a second at most.
    fn describe(&mut self) -> Option<Description>;
}

/// How frames come from an interface, and what its driver says of loss. For the ledger, metrics and logs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Name of the interface.
    pub interface: String,
    /// Its driver, or the kind of a virtual interface; empty when it is not known.
    pub driver: String,
    /// One word for metrics: `zero-copy`, `copy`, `generic` or `packet-socket`.
    pub mode: &'static str,
    /// The mode in full, as `native, copy, multi-buffer`.
    pub details: String,
    /// Better modes that could not be had, best first, each with its reason.
    pub not_had: Vec<String>,
    /// Receive queues that this source reads; none for a packet socket.
    pub queues: Vec<u32>,
    /// Statistics of the driver (`ethtool -S`) that tell of loss and have grown since the start. Drivers count one frame in several
    /// of them, and in the interface's own counters too, so they explain those and stand in no sum. Only one source of an
    /// interface has them.
    pub statistics: Vec<(String, u64)>,
}

impl<S: Source + ?Sized> Source for Box<S> {
    fn poll(
        &mut self,
        timeout: Duration,
        sink: &mut dyn FnMut(&[Frame<'_>]),
    ) -> Result<Poll, CaptureError> {
        (**self).poll(timeout, sink)
    }

    fn stop(&mut self) -> bool {
        (**self).stop()
    }

    fn counters(&mut self) -> SourceCounters {
        (**self).counters()
    }

    fn progress(&self) -> Option<(u64, u64)> {
        (**self).progress()
    }

    fn describe(&mut self) -> Option<Description> {
        (**self).describe()
    }
}

/// What a source knows of frames it did not lend (DESIGN section 5). Each loss has another cure, so they stay apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceCounters {
    /// Frames lent to the sink.
    pub delivered: u64,
    /// Frames the capture filter did not select.
    pub filtered: u64,
    /// Frames offered to sampling; 0 without it.
    pub observed: u64,
    /// Frames that sampling passed over.
    pub unsampled: u64,
    /// AF_XDP: frames the XDP program saw.
    pub program_seen: u64,
    /// AF_XDP: frames the XDP program redirected to a socket.
    pub program_redirected: u64,
    /// AF_XDP: frames the XDP program passed on to the kernel.
    pub program_passed: u64,
    /// AF_XDP: frames for which the redirect failed.
    pub program_failed: u64,
    /// AF_XDP `rx_ring_full`: the probe was too slow.
    pub ring_full: u64,
    /// AF_XDP, copy mode, `rx_fill_ring_empty_descs`: no free buffer was offered to the kernel in time.
    pub fill_empty: u64,
    /// AF_XDP, zero-copy mode, `rx_fill_ring_empty_descs`: how often the driver found no free buffer. Events, not frames:
    /// what was lost by it is in `nic_missed`, so this stands in no sum.
    pub fill_starved: u64,
    /// AF_XDP `rx_dropped` for other reasons (frame larger than a buffer).
    pub dropped: u64,
    /// AF_XDP `rx_invalid_descs` + `tx_invalid_descs`.
    pub invalid: u64,
    /// Interface: frames received, of its own counters (`rx_packets`).
    pub nic_received: u64,
    /// Interface `rx_missed_errors`: the NIC had no buffer to put a frame into. On veth the other end's `tx_dropped`.
    pub nic_missed: u64,
    /// Interface `rx_fifo_errors`: the NIC's own memory was full.
    pub nic_fifo: u64,
    /// Interface `rx_over_errors`: frames that did not fit the buffers there were.
    pub nic_over: u64,
    /// Interface `rx_dropped`: dropped by the driver or the kernel before a program or socket saw them.
    pub nic_dropped: u64,
    /// Packet socket: frames the kernel dropped because the ring was full.
    pub kernel_dropped: u64,
    /// AF_XDP: frames whose own time stamp was asked for and not had; they have their batch's.
    pub unstamped: u64,
    /// Frames that could not be read from a damaged input (0 or 1).
    pub damaged: u64,
}

impl SourceCounters {
    /// Frames lost before the source, whichever of the interface's counters has them.
    #[must_use]
    pub const fn nic_lost(&self) -> u64 {
        self.nic_missed + self.nic_fifo + self.nic_over + self.nic_dropped
    }
}
