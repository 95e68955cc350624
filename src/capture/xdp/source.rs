//! [`XdpSource`]: one queue as a [`Source`].

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use arrayvec::ArrayVec;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::time::Timespec;
use xsk_rs::umem::frame::FrameDesc;

use super::super::interface::Interface;
use super::super::{
    BATCH, CaptureError, Description, Frame, LinkType, Poll, Source, SourceCounters, Timestamp,
};
use super::keeper::Keeper;
use super::program::ProgramCounters;
use super::queue::Queue;
use super::{Attachment, Mode, StepDown};

/// Octets at which a frame of several buffers is given up: the largest frame a kernel passes has 64 KiB and some headers.
const LARGEST_FRAME: usize = 128 * 1024;

/// Frames of one receive queue.
///
/// The sources of an interface share its program. When the last of them is dropped the program is detached, then the sockets
/// are closed, then the interface's settings are given back: the order of the fields.
#[derive(Debug)]
pub struct XdpSource {
    attachment: Arc<Attachment>,
    number: u32,
    /// `None` only while the source is being dropped.
    queue: Option<Queue>,
    descriptors: Box<[FrameDesc; BATCH]>,
    assembly: Assembly,
    delivered: u64,
    /// Frames given up because they were longer than [`LARGEST_FRAME`].
    oversized: u64,
    /// Frames whose own time was asked for and not had.
    unstamped: u64,
    /// Counters of this attachment as they were last read.
    last: SourceCounters,
    /// Counters of attachments before this one, when the interface was away.
    before: SourceCounters,
    /// Which opening of the interface this is.
    opening: u64,
    busy_poll: bool,
    keeper: Arc<Keeper>,
}

impl XdpSource {
    pub(super) fn new(
        attachment: Arc<Attachment>,
        number: u32,
        queue: Queue,
        keeper: Arc<Keeper>,
    ) -> Self {
        let opening = keeper.opening();
        Self {
            attachment,
            number,
            queue: Some(queue),
            descriptors: Box::new([FrameDesc::default(); BATCH]),
            assembly: Assembly::default(),
            delivered: 0,
            oversized: 0,
            unstamped: 0,
            last: SourceCounters::default(),
            before: SourceCounters::default(),
            opening,
            busy_poll: keeper.busy_poll(),
            keeper,
        }
    }

    /// The interface as it was when it was opened.
    #[must_use]
    pub fn interface(&self) -> &Interface {
        &self.attachment.interface
    }

    /// Number of the receive queue.
    #[must_use]
    pub const fn queue(&self) -> u32 {
        self.number
    }

    /// The mode that was obtained, the same for all queues of the interface.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.attachment.mode
    }

    /// Better modes that could not be had, best first, each with its reason.
    #[must_use]
    pub fn steps(&self) -> &[StepDown] {
        &self.attachment.steps
    }

    /// Whether the frames lie in huge pages.
    #[must_use]
    pub fn huge_pages(&self) -> bool {
        self.queue.as_ref().is_some_and(|queue| queue.huge_pages)
    }

    /// The socket, to be waited for.
    pub(super) fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.queue.as_ref().map(Queue::borrowed)
    }

    pub(super) const fn busy_polls(&self) -> bool {
        self.busy_poll
    }

    /// How long a worker may look away.
    pub(super) fn pause(&self) -> Duration {
        Duration::from_nanos(self.attachment.pause.load(Ordering::Relaxed))
    }

    /// With busy polling: runs the driver for one turn.
    pub(super) fn drive(&self) -> Result<(), CaptureError> {
        match &self.queue {
            Some(queue) if self.busy_poll => {
                queue.drive().map_err(|error| fault(&self.attachment.interface.name, &error))
            }
            _ => Ok(()),
        }
    }

    /// Takes one batch of buffers, lends the frames in them, gives the buffers back. `None`: there is no buffer.
    #[inline]
    fn lend(&mut self, sink: &mut dyn FnMut(&[Frame<'_>])) -> Result<Option<usize>, CaptureError> {
        let Some(queue) = &mut self.queue else { return Ok(None) };
        let fault = |error| fault(&self.attachment.interface.name, &error);
        let taken = queue.take(&mut self.descriptors[..]);
        if taken == 0 {
            return Ok(None);
        }
        let descriptors = &self.descriptors[..taken];
        let reading = self.attachment.clock.read();
        let interface = self.attachment.interface.index;
        let mut unstamped = 0;
        let mut frame = |octets| {
            let (data, time, late) = reading.frame(octets);
            unstamped += u64::from(late);
            whole_frame(data, interface, time)
        };
        let mut frames = ArrayVec::<Frame<'_>, BATCH>::new();
        if self.assembly.is_idle() && !descriptors.iter().any(FrameDesc::has_more_frames) {
            frames.extend(descriptors.iter().map(|descriptor| frame(queue.data(descriptor))));
        } else {
            self.oversized += self.assembly.add(descriptors, queue);
            frames.extend(self.assembly.frames().map(&mut frame));
        }
        self.unstamped += unstamped;
        let lent = frames.len();
        if lent > 0 {
            sink(&frames);
        }
        drop(frames);
        self.assembly.forget_frames();
        queue.give_back(&self.descriptors[..taken]).map_err(fault)?;
        self.delivered += lent as u64;
        Ok(Some(lent))
    }

    /// Goes over to the sockets of a new opening, if there is one. To be called when the ring is empty, so that nothing is left in
    /// the old one.
    pub(super) fn change_over(&mut self) {
        let opening = self.keeper.opening();
        if opening == self.opening {
            return;
        }
        self.opening = opening;
        let Some((attachment, queue)) = self.keeper.claim(self.number) else { return };
        self.read_counters();
        add(&mut self.before, &self.last);
        self.last = SourceCounters::default();
        self.retire();
        self.attachment = attachment;
        self.queue = Some(queue);
        self.assembly = Assembly::default();
    }

    /// [`Self::lend`] until a frame is whole.
    #[inline]
    pub(super) fn lend_whole(
        &mut self,
        sink: &mut dyn FnMut(&[Frame<'_>]),
    ) -> Result<Option<usize>, CaptureError> {
        loop {
            match self.lend(sink)? {
                // Buffers of a frame that is not whole yet: its rest is in the ring already or comes at once.
                Some(0) => {}
                lent => return Ok(lent),
            }
        }
    }

    /// Takes over a queue that the interface has got since, if no other worker has. `seen`: how many were looked at before.
    #[inline]
    pub(super) fn adopt(&self, seen: &mut u64) -> Option<Self> {
        let there_are = self.keeper.more();
        if there_are == *seen {
            return None;
        }
        *seen = there_are;
        let (number, attachment, queue) = self.keeper.claim_more()?;
        // There may be others.
        *seen = 0;
        Some(Self::new(attachment, number, queue, Arc::clone(&self.keeper)))
    }

    /// Hands the socket over to be closed when the program is detached.
    fn retire(&mut self) {
        self.attachment.program.take(self.number);
        let mut closed = self.attachment.closed.lock().unwrap_or_else(PoisonError::into_inner);
        closed.extend(self.queue.take());
    }

    /// Reads the counters of this attachment; what cannot be read stays as it was.
    fn read_counters(&mut self) {
        let mut counters = self.last;
        self.add_socket(&mut counters);
        if let Ok(program) = self.program_counters() {
            counters.program_seen = program.seen;
            counters.program_redirected = program.redirected;
            counters.program_passed = program.passed;
            counters.program_failed = program.failed;
        }
        if self.speaks_for_interface()
            && let Some(loss) = self.attachment.baseline.since()
        {
            loss.write(&mut counters);
        }
        self.last = counters;
    }

    /// Whether this is the source that reports what belongs to the whole interface.
    fn speaks_for_interface(&self) -> bool {
        self.attachment.speaker == self.number
    }

    /// The program's counters of this queue; the first source adds the queues that have none.
    fn program_counters(&self) -> Result<ProgramCounters, libbpf_rs::Error> {
        let attachment = &self.attachment;
        let mut sum = attachment.program.counters(self.number)?;
        if self.speaks_for_interface() {
            let with_source = attachment.queues().clone();
            let others = (0..attachment.interface.receive_queues_at_most)
                .filter(|queue| !with_source.contains(queue));
            for queue in others {
                let other = attachment.program.counters(queue)?;
                sum.seen += other.seen;
                sum.redirected += other.redirected;
                sum.passed += other.passed;
                sum.failed += other.failed;
            }
        }
        Ok(sum)
    }

    /// The socket's counters, each lost frame in one of them.
    fn add_socket(&self, counters: &mut SourceCounters) {
        let Some(Ok(statistics)) = self.queue.as_ref().map(Queue::statistics) else { return };
        counters.ring_full = statistics.rx_ring_full();
        counters.invalid = statistics.rx_invalid_descs() + statistics.tx_invalid_descs();
        let empty = statistics.rx_fill_ring_empty_descs();
        if self.attachment.mode.zero_copy {
            // The driver asks for buffers ahead of frames, so this counts its questions. Frames lost for want of a buffer
            // are the NIC's to count.
            counters.fill_starved = empty;
            counters.dropped = statistics.rx_dropped();
        } else {
            // In copy mode the kernel counts a frame that found no buffer here and in rx_dropped.
            counters.fill_empty = empty.min(statistics.rx_dropped());
            counters.dropped = statistics.rx_dropped() - counters.fill_empty;
        }
    }
}

impl Source for XdpSource {
    fn poll(
        &mut self,
        timeout: Duration,
        sink: &mut dyn FnMut(&[Frame<'_>]),
    ) -> Result<Poll, CaptureError> {
        if let Some(lent) = self.lend_whole(sink)? {
            return Ok(Poll::Frames(lent));
        }
        if self.busy_poll {
            self.drive()?;
            if let Some(lent) = self.lend_whole(sink)? {
                return Ok(Poll::Frames(lent));
            }
        }
        wait(std::iter::once(&*self), timeout)?;
        if let Some(lent) = self.lend_whole(sink)? {
            return Ok(Poll::Frames(lent));
        }
        self.change_over();
        Ok(Poll::Idle)
    }

    fn stop(&mut self) -> bool {
        self.attachment.program.detach();
        true
    }

    fn counters(&mut self) -> SourceCounters {
        self.read_counters();
        let mut counters = self.before;
        add(&mut counters, &self.last);
        counters.delivered = self.delivered;
        counters.dropped += self.oversized;
        counters.unstamped = self.unstamped;
        counters
    }

    fn progress(&self) -> Option<(u64, u64)> {
        None
    }

    fn describe(&mut self) -> Option<Description> {
        let attachment = &self.attachment;
        Some(Description {
            interface: attachment.interface.name.clone(),
            driver: attachment.interface.driver().unwrap_or_default(),
            mode: attachment.mode.word(),
            details: attachment.mode.to_string(),
            not_had: attachment.steps.iter().map(ToString::to_string).collect(),
            queues: vec![self.number],
            statistics: match self.speaks_for_interface() {
                true => attachment.baseline.statistics(),
                false => Vec::new(),
            },
        })
    }
}

impl Drop for XdpSource {
    fn drop(&mut self) {
        self.retire();
    }
}

/// Waits until one of the sources' sockets has frames; wakes the drivers that asked for it.
pub(super) fn wait<'a>(
    sources: impl Iterator<Item = &'a XdpSource>,
    timeout: Duration,
) -> Result<(), CaptureError> {
    let timeout = Timespec::try_from(timeout).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
    let mut name = "";
    let mut sockets: Vec<PollFd<'_>> = sources
        .filter_map(|source| {
            name = &source.attachment.interface.name;
            source.socket()
        })
        .map(|socket| PollFd::from_borrowed_fd(socket, PollFlags::IN))
        .collect();
    match poll(&mut sockets, Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(fault(name, &error.into())),
    }
}

/// Adds the counters that belong to an attachment.
pub(super) fn add(sum: &mut SourceCounters, more: &SourceCounters) {
    sum.program_seen += more.program_seen;
    sum.program_redirected += more.program_redirected;
    sum.program_passed += more.program_passed;
    sum.program_failed += more.program_failed;
    sum.ring_full += more.ring_full;
    sum.fill_empty += more.fill_empty;
    sum.fill_starved += more.fill_starved;
    sum.dropped += more.dropped;
    sum.invalid += more.invalid;
    sum.nic_received += more.nic_received;
    sum.nic_missed += more.nic_missed;
    sum.nic_fifo += more.nic_fifo;
    sum.nic_over += more.nic_over;
    sum.nic_dropped += more.nic_dropped;
}

fn fault(interface: &str, error: &std::io::Error) -> CaptureError {
    CaptureError::Environment(format!("{interface}: the AF_XDP socket failed: {error}"))
}

fn whole_frame(data: &[u8], interface: u32, time: Timestamp) -> Frame<'_> {
    let wire_length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    Frame { data, wire_length, interface, link: LinkType::Ethernet, time }
}

/// Frames of several buffers (XDP_PKT_CONTD), put together in one piece of memory.
///
/// Invariants: `ends` are ascending and within `octets`; what lies behind the last end belongs to a frame whose rest has not
/// come yet. `octets` never grows past one batch of buffers plus [`LARGEST_FRAME`].
#[derive(Debug, Default)]
struct Assembly {
    octets: Vec<u8>,
    ends: ArrayVec<usize, BATCH>,
    /// The last buffer seen was not the last of its frame.
    open: bool,
    /// The frame in the making is too long; its remaining buffers are passed over.
    skipping: bool,
}

impl Assembly {
    const fn is_idle(&self) -> bool {
        !self.open
    }

    /// Appends the buffers; returns how many frames were given up.
    fn add(&mut self, descriptors: &[FrameDesc], queue: &Queue) -> u64 {
        let mut given_up = 0;
        for descriptor in descriptors {
            given_up +=
                u64::from(self.add_buffer(queue.data(descriptor), descriptor.has_more_frames()));
        }
        given_up
    }

    /// Appends one buffer; returns whether it made the frame too long.
    fn add_buffer(&mut self, data: &[u8], more: bool) -> bool {
        let start = self.ends.last().copied().unwrap_or(0);
        let too_long = !self.skipping && self.octets.len() - start + data.len() > LARGEST_FRAME;
        if too_long {
            self.octets.truncate(start);
            self.skipping = true;
        }
        if !self.skipping {
            self.octets.extend_from_slice(data);
        }
        self.open = more;
        if !more {
            if !self.skipping {
                self.ends.push(self.octets.len());
            }
            self.skipping = false;
        }
        too_long
    }

    /// The frames that are whole.
    fn frames(&self) -> impl Iterator<Item = &[u8]> {
        let start_of = |number: usize| number.checked_sub(1).map_or(0, |before| self.ends[before]);
        let range = move |number: usize| -> Range<usize> { start_of(number)..self.ends[number] };
        (0..self.ends.len()).map(move |number| &self.octets[range(number)])
    }

    /// Drops the whole frames, keeps the beginning of the next.
    fn forget_frames(&mut self) {
        if let Some(end) = self.ends.last().copied() {
            self.octets.drain(..end);
            self.ends.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_become_whole_frames() {
        let mut assembly = Assembly::default();
        assert!(!assembly.add_buffer(b"ab", true));
        assert!(!assembly.is_idle());
        assert!(!assembly.add_buffer(b"c", false));
        assert!(!assembly.add_buffer(b"whole", false));
        assert!(!assembly.add_buffer(b"begin", true));
        assert_eq!(assembly.frames().collect::<Vec<_>>(), [&b"abc"[..], b"whole"]);
        assembly.forget_frames();
        assert_eq!(assembly.frames().count(), 0);
        assert!(!assembly.add_buffer(b"-end", false));
        assert_eq!(assembly.frames().collect::<Vec<_>>(), [b"begin-end"]);
        assert!(assembly.is_idle());
    }

    #[test]
    fn a_frame_without_end_is_given_up_once() {
        let mut assembly = Assembly::default();
        assembly.add_buffer(b"first", false);
        let given_up = (0..1000).filter(|_| assembly.add_buffer(&[0; 4096], true)).count();
        assert_eq!(given_up, 1);
        assembly.add_buffer(b"its end", false);
        assembly.add_buffer(b"next", false);
        assert_eq!(assembly.frames().collect::<Vec<_>>(), [&b"first"[..], b"next"]);
        assert!(assembly.octets.len() < 2 * LARGEST_FRAME);
    }
}
