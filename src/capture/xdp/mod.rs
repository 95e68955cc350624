//! AF_XDP as a source.
//!
//! In: an interface. Out: one [`XdpSource`] a receive queue, each with a socket and a UMEM of its own; nothing is shared
//! between them on the way of a frame.
//!
//! ```text
//!   NIC queue n ──► XDP program ──► XSKMAP[n] ──► RX ring ──► take ──► lend ──► give back ──► fill ring ──► NIC queue n
//!                   (counters)                    UMEM frames stay where they are
//! ```
//!
//! Invariants:
//! - Sockets are bound and their fill rings filled *before* the program is attached. So no frame is redirected into
//!   nothing, and ice and i40e, which set up their rings again when a program comes, find buffers in the fill ring.
//! - The program is detached before any socket is closed ([`Attachment`]'s field order).
//! - Every frame the program redirected is lent, or in exactly one of the socket's loss counters.

mod group;
mod keeper;
mod ladder;
mod memory;
mod mode;
pub mod permit;
mod plan;
mod program;
mod queue;
mod source;
mod stamp;

pub use group::{Group, share};
pub use mode::{Mode, Require, StepDown};
pub use source::XdpSource;
pub use stamp::{NicClock, Timestamps};

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::CaptureError;
use super::interface::Interface;
use super::interface::baseline::Baseline;
use super::interface::steering::{Steering, Wanted};
use super::packet_socket::promiscuous::Promiscuous;
use keeper::Keeper;
use program::Program;
use queue::{Queue, Shape};
use stamp::Clock;

/// What to capture, and how good it has to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the interface.
    pub interface: String,
    /// Receive queues to capture; `None`: all.
    pub queues: Option<Vec<u32>>,
    /// The least mode that will do.
    pub require: Require,
    /// Leave the zero-copy modes out, where a driver's is at fault.
    pub no_zero_copy: bool,
    /// Take the traffic of an interface that carries this machine's own addresses or default route.
    pub steal: bool,
    /// See frames for other hosts too, while running.
    pub promiscuous: bool,
    /// Octets of a UMEM frame: 2048 or 4096. `None`: by the interface's MTU.
    pub frame_size: Option<u32>,
    /// Entries of a socket's RX ring, a power of two from 64 to 65536.
    pub ring: u32,
    /// Keep frames in huge pages when there are any.
    pub huge_pages: bool,
    /// Change the NIC's settings for the time of the capture: hash on addresses only, VLAN tags left in, no merging.
    pub prepare: bool,
    /// Drive the NIC from the worker instead of by interrupts.
    pub busy_poll: Option<BusyPoll>,
    /// Where time stamps come from.
    pub timestamps: Timestamps,
}

/// Busy polling (`SO_PREFER_BUSY_POLL`, kernel 5.11 on): the worker's own processor runs the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusyPoll {
    /// Most frames the driver takes in one turn, 1 to 65535.
    pub budget: u16,
    /// How long one turn looks for frames, in microseconds.
    pub microseconds: u32,
}

impl Default for BusyPoll {
    /// 64 frames and 20 microseconds, as DPDK's AF_XDP driver has it.
    fn default() -> Self {
        Self { budget: 64, microseconds: 20 }
    }
}

impl Options {
    /// The defaults: all queues, any mode, promiscuous, nothing stolen.
    #[must_use]
    pub fn new(interface: impl Into<String>) -> Self {
        Self {
            interface: interface.into(),
            queues: None,
            require: Require::Any,
            no_zero_copy: false,
            steal: false,
            promiscuous: true,
            frame_size: None,
            ring: 4096,
            huge_pages: true,
            prepare: true,
            busy_poll: None,
            timestamps: Timestamps::Batch,
        }
    }
}

/// What all sources of an interface share. The order of the fields is the order in which they are dropped.
#[derive(Debug)]
pub(crate) struct Attachment {
    program: Program,
    /// Queues of sources that are gone: their sockets are closed after the program is detached.
    closed: Mutex<Vec<Queue>>,
    _promiscuous: Option<Promiscuous>,
    interface: Interface,
    baseline: Baseline,
    mode: Mode,
    steps: Vec<StepDown>,
    shape: Shape,
    clock: Clock,
    /// How long a worker may look away, in nanoseconds ([`plan::pause`]).
    pause: AtomicU64,
    /// The queue whose source reports what belongs to the whole interface.
    speaker: u32,
    /// Queues that have a source.
    queues: Mutex<BTreeSet<u32>>,
}

impl Attachment {
    /// Computes the pause anew: the link may have another speed than before.
    fn set_pause(&self) {
        let pause = plan::pause(&self.interface, self.shape, self.mode);
        self.pause.store(pause.as_nanos() as u64, Ordering::Relaxed);
    }

    fn queues(&self) -> MutexGuard<'_, BTreeSet<u32>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens every queue asked for, in the best mode that all of them can have.
///
/// The capabilities of the calling thread are needed from here on by a thread of its own, which watches the interface, opens
/// it again when it was away, and gives its settings back at the end. Threads that run sources need none.
///
/// # Errors
/// [`CaptureError::Environment`] with one line that says what stands in the way and what helps;
/// [`CaptureError::Usage`] for options that cannot be meant.
pub fn open(options: &Options) -> Result<Vec<XdpSource>, CaptureError> {
    permit::capabilities()?;
    permit::kernel()?;
    let interface = permit::interface(options)?;
    permit::no_other_program(&interface)?;
    let queues = plan::queues(options, &interface)?;
    permit::raise_memory_lock();
    let steering = steer(options, &interface);
    let (attachment, sockets) = establish(options, interface, &queues)?;
    let keeper = Arc::new(Keeper::start(options, &attachment, steering)?);
    Ok(queues
        .into_iter()
        .zip(sockets)
        .map(|(number, queue)| {
            XdpSource::new(Arc::clone(&attachment), number, queue, Arc::clone(&keeper))
        })
        .collect())
}

/// Sets what the capture wants of the NIC, if it may.
fn steer(options: &Options, interface: &Interface) -> Option<Steering> {
    let wanted = Wanted {
        addresses_only: plan::receive_queues(interface) > 1,
        defer_interrupts: options.busy_poll.is_some(),
        stamp_every_frame: matches!(options.timestamps, Timestamps::Nic(_)),
    };
    options.prepare.then(|| Steering::apply(interface, wanted))
}

/// Sockets on all queues, the program attached.
fn establish(
    options: &Options,
    interface: Interface,
    queues: &[u32],
) -> Result<(Arc<Attachment>, Vec<Queue>), CaptureError> {
    let shape = plan::shape(options, &interface)?;
    let highest = queues.iter().copied().max().unwrap_or(0);
    let clock = Clock::open(options.timestamps, &interface)?;
    let most_queues = interface.receive_queues_at_most.max(highest + 1);
    let program = Program::load(interface.index, most_queues, options.timestamps)
        .map_err(|error| permit::load_failed(&error))?;
    let baseline = Baseline::of(&interface);
    let (mode, steps, sockets) = ladder::climb(options, &interface, &program, queues, shape)?;
    let promiscuous = match options.promiscuous {
        true => Some(Promiscuous::hold(interface.index).map_err(|error| {
            CaptureError::Environment(format!(
                "{}: promiscuous mode refused ({error}): run as root or with CAP_NET_RAW, or leave it off",
                interface.name
            ))
        })?),
        false => None,
    };
    if !interface.carrier {
        tracing::warn!(interface = %interface.name, "there is no link: no frame will come before there is one");
    }
    for step in &steps {
        tracing::info!(interface = %interface.name, "AF_XDP mode not to be had: {step}");
    }
    tracing::info!(
        interface = %interface.name, driver = interface.driver(), queues = queues.len(),
        frame_size = shape.frame_size, frames = shape.frames, ring = shape.rx_ring, node = shape.node, "AF_XDP mode: {mode}"
    );
    if !mode.multi_buffer && interface.mtu.saturating_add(plan::LINK_HEADERS) > shape.room() {
        tracing::warn!(
            interface = %interface.name, mtu = interface.mtu,
            "frames above {} octets will be lost and counted as dropped: neither kernel nor driver takes several buffers; `ip link set {} mtu {}` where none are that long, or --packet-socket",
            shape.room(), interface.name, shape.room() - plan::LINK_HEADERS
        );
    }
    let attachment = Attachment {
        program,
        closed: Mutex::new(Vec::new()),
        _promiscuous: promiscuous,
        baseline,
        mode,
        steps,
        shape,
        clock,
        pause: AtomicU64::new(0),
        speaker: queues.iter().copied().min().unwrap_or(0),
        queues: Mutex::new(queues.iter().copied().collect()),
        interface,
    };
    attachment.set_pause();
    Ok((Arc::new(attachment), sockets))
}
