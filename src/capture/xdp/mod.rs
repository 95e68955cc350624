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

mod mode;
pub mod permit;
mod program;
mod queue;
mod source;

pub use mode::{Mode, Require, StepDown};
pub use source::XdpSource;

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::interface::Interface;
use super::interface::baseline::Baseline;
use super::interface::ethtool::Ethtool;
use super::packet_socket::promiscuous::Promiscuous;
use super::{BATCH, CaptureError};
use mode::LADDER;
use program::Program;
use queue::{KERNEL_HEADROOM, Queue, Shape};

/// What to capture, and how good it has to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the interface.
    pub interface: String,
    /// Receive queues to capture; `None`: all.
    pub queues: Option<Vec<u32>>,
    /// The least mode that will do.
    pub require: Require,
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
}

impl Options {
    /// The defaults: all queues, any mode, promiscuous, nothing stolen.
    #[must_use]
    pub fn new(interface: impl Into<String>) -> Self {
        Self {
            interface: interface.into(),
            queues: None,
            require: Require::Any,
            steal: false,
            promiscuous: true,
            frame_size: None,
            ring: 4096,
            huge_pages: true,
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
    /// Queues that have a source, ascending.
    queues: Vec<u32>,
}

/// Opens every queue asked for, in the best mode that all of them can have.
///
/// # Errors
/// [`CaptureError::Environment`] with one line that says what stands in the way and what helps;
/// [`CaptureError::Usage`] for options that cannot be meant.
pub fn open(options: &Options) -> Result<Vec<XdpSource>, CaptureError> {
    let interface = permit::interface(options)?;
    permit::capabilities()?;
    permit::kernel()?;
    permit::no_other_program(&interface)?;
    let queues = queues(options, &interface)?;
    let shape = shape(options, &interface)?;
    permit::raise_memory_lock();
    let program = Program::load(interface.receive_queues_at_most.max(highest(&queues) + 1))
        .map_err(|error| permit::load_failed(&error))?;
    let (mode, steps, sockets) = climb(options, &interface, &program, &queues, shape)?;
    let promiscuous = match options.promiscuous {
        true => Some(Promiscuous::hold(interface.index).map_err(|error| {
            CaptureError::Environment(format!(
                "{}: promiscuous mode refused ({error}): run as root or with CAP_NET_RAW, or leave it off",
                interface.name
            ))
        })?),
        false => None,
    };
    let attachment = Arc::new(Attachment {
        program,
        closed: Mutex::new(Vec::new()),
        _promiscuous: promiscuous,
        baseline: Baseline::of(&interface),
        mode,
        steps,
        queues: queues.clone(),
        interface,
    });
    for step in &attachment.steps {
        tracing::info!(interface = %attachment.interface.name, "AF_XDP mode not to be had: {step}");
    }
    tracing::info!(
        interface = %attachment.interface.name, driver = attachment.interface.driver(), queues = queues.len(),
        frame_size = shape.frame_size, frames = shape.frames, ring = shape.rx_ring, "AF_XDP mode: {mode}"
    );
    Ok(queues
        .into_iter()
        .zip(sockets)
        .map(|(number, queue)| XdpSource::new(Arc::clone(&attachment), number, queue))
        .collect())
}

fn highest(queues: &[u32]) -> u32 {
    queues.iter().copied().max().unwrap_or(0)
}

/// The queues asked for, ascending, each of which must be there.
fn queues(options: &Options, interface: &Interface) -> Result<Vec<u32>, CaptureError> {
    let in_use = receive_queues(interface);
    let Some(asked) = &options.queues else { return Ok((0..in_use).collect()) };
    let queues: BTreeSet<u32> = asked.iter().copied().collect();
    if queues.is_empty() {
        return Err(CaptureError::Usage("no receive queue is asked for".to_owned()));
    }
    match queues.iter().find(|&&queue| queue >= in_use) {
        None => Ok(queues.into_iter().collect()),
        Some(queue) => Err(CaptureError::Environment(format!(
            "{name} has {in_use} receive queue{s} (0 to {last}), not queue {queue}: ask for those, or `ethtool -L {name} combined {more}`",
            name = interface.name,
            s = if in_use == 1 { "" } else { "s" },
            last = in_use - 1,
            more = queue + 1,
        ))),
    }
}

/// Receive queues in use.
fn receive_queues(interface: &Interface) -> u32 {
    let channels = Ethtool::open(interface).ok().and_then(|mut ethtool| ethtool.receive_queues());
    channels.map_or(interface.receive_queues_at_most, |amount| amount.now).max(1)
}

/// Octets that may stand before the IP packet: Ethernet and two VLAN tags.
const LINK_HEADERS: u32 = 14 + 2 * 4;
/// Octets that virtio-net puts before the data in the same buffer, rounded up.
const VIRTIO_HEADROOM: u32 = 64;

fn shape(options: &Options, interface: &Interface) -> Result<Shape, CaptureError> {
    if !options.ring.is_power_of_two() || !(64..=65536).contains(&options.ring) {
        return Err(CaptureError::Usage(format!(
            "ring of {} entries: a power of two from 64 to 65536 is needed",
            options.ring
        )));
    }
    let driver = interface.driver().unwrap_or_default();
    let headroom = if driver == "virtio_net" { VIRTIO_HEADROOM } else { 0 };
    let small = 2048 - KERNEL_HEADROOM - headroom;
    let frame_size = match options.frame_size {
        Some(size @ (2048 | 4096)) => size,
        Some(other) => {
            return Err(CaptureError::Usage(format!(
                "UMEM frames of {other} octets: 2048 or 4096 are possible"
            )));
        }
        None if interface.mtu.saturating_add(LINK_HEADERS) <= small => 2048,
        None => 4096,
    };
    // There must be frames to feed the NIC's ring while the socket's ring is full of frames not yet taken.
    let nic_ring = Ethtool::open(interface)
        .ok()
        .and_then(|mut ethtool| ethtool.receive_ring())
        .map_or(1024, |ring| ring.now);
    let frames = nic_ring.saturating_add(options.ring).max(2 * BATCH as u32);
    Ok(Shape {
        frame_size,
        headroom,
        rx_ring: options.ring,
        frames: frames.min(1 << 20).next_power_of_two(),
        huge_pages: options.huge_pages,
    })
}

/// Tries the modes from the best down until all queues have a socket and the program sits.
fn climb(
    options: &Options,
    interface: &Interface,
    program: &Program,
    queues: &[u32],
    shape: Shape,
) -> Result<(Mode, Vec<StepDown>, Vec<Queue>), CaptureError> {
    let mut steps: Vec<StepDown> = Vec::new();
    for mode in LADDER.into_iter().filter(|mode| mode.satisfies(options.require)) {
        let largest = interface.mtu.saturating_add(LINK_HEADERS);
        if !mode.multi_buffer
            && largest > shape.room()
            && options.require == Require::Any
            && mode != LADDER[5]
        {
            let reason =
                format!("frames of up to {largest} octets do not fit a buffer of {}", shape.room());
            steps.push(StepDown { from: mode, reason });
            continue;
        }
        match set_up(interface, program, queues, shape, mode) {
            Ok(sockets) => return Ok((mode, steps, sockets)),
            Err(Obstacle::Mode(reason)) => steps.push(StepDown { from: mode, reason }),
            Err(Obstacle::All(error)) => return Err(error),
        }
    }
    let reasons: Vec<String> = steps.iter().map(ToString::to_string).collect();
    let wanted = match options.require {
        Require::Any => "AF_XDP cannot be had",
        Require::Native => "no native XDP",
        Require::ZeroCopy => "no zero-copy",
    };
    Err(CaptureError::Environment(format!(
        "{}: {wanted} ({}); see `sixtap doctor {0}`, or use --packet-socket",
        interface.name,
        reasons.join("; ")
    )))
}

/// Why a mode cannot be had: for itself, or because nothing can.
enum Obstacle {
    Mode(String),
    All(CaptureError),
}

fn set_up(
    interface: &Interface,
    program: &Program,
    queues: &[u32],
    shape: Shape,
    mode: Mode,
) -> Result<Vec<Queue>, Obstacle> {
    let mut sockets = Vec::with_capacity(queues.len());
    for &queue in queues {
        let socket = bind_patiently(&interface.name, queue, shape, mode)
            .map_err(|error| bind_failed(&error, interface, queue, mode, shape))?;
        program.give(queue, socket.descriptor()).map_err(|error| {
            Obstacle::Mode(format!("queue {queue} not put into the XSKMAP: {error}"))
        })?;
        sockets.push(socket);
    }
    match program.attach(interface.index, mode.attach()) {
        Ok(()) => Ok(sockets),
        Err(error) => Err(attach_failed(&error, interface)),
    }
}

/// The kernel frees a queue some time after its last socket was closed: that of a mode tried before, or of a process that has
/// just ended. So a busy queue is asked again for a while.
fn bind_patiently(interface: &str, queue: u32, shape: Shape, mode: Mode) -> io::Result<Queue> {
    const PAUSE: Duration = Duration::from_millis(20);
    const PATIENCE: u32 = 50;
    let mut attempts = 0;
    loop {
        match Queue::bind(interface, queue, shape, mode.bind_flags()) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) && attempts < PATIENCE => {
                attempts += 1;
            }
            result => return result,
        }
        std::thread::sleep(PAUSE);
    }
}

fn bind_failed(
    error: &io::Error,
    interface: &Interface,
    queue: u32,
    mode: Mode,
    shape: Shape,
) -> Obstacle {
    let name = &interface.name;
    let reason = match error.raw_os_error() {
        Some(libc::EOPNOTSUPP) if mode.zero_copy && mode.multi_buffer => {
            "the driver has no zero-copy for frames of several buffers".to_owned()
        }
        Some(libc::EOPNOTSUPP) if mode.zero_copy => "the driver has no zero-copy".to_owned(),
        Some(libc::EINVAL) if mode.multi_buffer => {
            "the kernel (before 6.6) or the driver has no XDP_USE_SG".to_owned()
        }
        Some(libc::EBUSY) if !mode.zero_copy => {
            return Obstacle::All(CaptureError::Environment(format!(
                "queue {queue} of {name} already has an AF_XDP socket: end the other program, or leave the queue out with --queues"
            )));
        }
        Some(libc::ENOBUFS | libc::ENOMEM) if !mode.zero_copy => {
            let mebibytes = u64::from(shape.frames) * u64::from(shape.frame_size) / (1024 * 1024);
            return Obstacle::All(CaptureError::Environment(format!(
                "no {mebibytes} MiB of locked memory for queue {queue} of {name}: raise it (`ulimit -l unlimited`, systemd LimitMEMLOCK=infinity), \
                 grant CAP_IPC_LOCK, or take a smaller --ring"
            )));
        }
        Some(libc::EPERM) => return Obstacle::All(permit::not_permitted("an AF_XDP socket")),
        _ => format!("queue {queue} was not bound: {error}"),
    };
    Obstacle::Mode(reason)
}

fn attach_failed(error: &io::Error, interface: &Interface) -> Obstacle {
    match error.raw_os_error() {
        Some(libc::EBUSY | libc::EEXIST) => {
            let found = Interface::by_index(interface.index).ok().flatten();
            Obstacle::All(match found.and_then(|found| permit::no_other_program(&found).err()) {
                Some(error) => error,
                None => CaptureError::Environment(format!(
                    "{}: another XDP program came in between; try again",
                    interface.name
                )),
            })
        }
        Some(libc::EPERM) => Obstacle::All(permit::not_permitted("attaching an XDP program")),
        Some(libc::EOPNOTSUPP) => Obstacle::Mode("the driver has no native XDP".to_owned()),
        Some(libc::EINVAL | libc::ERANGE | libc::E2BIG) => Obstacle::Mode(format!(
            "the driver refused the program ({error}): often an MTU of {} or LRO is too much for it; `ip link set {} mtu 1500`, `ethtool -K {1} lro off`",
            interface.mtu, interface.name
        )),
        _ => Obstacle::Mode(format!("the driver refused the program: {error}")),
    }
}
