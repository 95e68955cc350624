//! The way down from the best mode to one that can be had, with the reason of each step.

use std::io;
use std::time::Duration;

use super::super::CaptureError;
use super::super::interface::Interface;
use super::mode::LADDER;
use super::plan::LINK_HEADERS;
use super::program::Program;
use super::queue::{Queue, Shape};
use super::{Mode, Options, Require, StepDown, Timestamps, permit};

/// Tries the modes from the best down until all queues have a socket and the program sits.
pub(super) fn climb(
    options: &Options,
    interface: &Interface,
    program: &Program,
    queues: &[u32],
    shape: Shape,
) -> Result<(Mode, Vec<StepDown>, Vec<Queue>), CaptureError> {
    let mut steps: Vec<StepDown> = Vec::new();
    let for_one_device = matches!(options.timestamps, Timestamps::Nic(_));
    let wanted = |mode: &Mode| {
        mode.satisfies(options.require)
            && !(mode.zero_copy && options.no_zero_copy)
            // The kernel attaches a program that calls a driver's functions in that driver only.
            && (mode.native || !for_one_device)
    };
    for mode in LADDER.into_iter().filter(wanted) {
        let largest = interface.mtu.saturating_add(LINK_HEADERS);
        if !mode.multi_buffer
            && largest > shape.room()
            && (mode.zero_copy || options.require == Require::Any)
            && mode != LADDER[5]
        {
            let reason = format!(
                "frames of up to {largest} octets do not fit a buffer of {}; `ip link set {} mtu {}` where none are that long",
                shape.room(),
                interface.name,
                shape.room() - LINK_HEADERS,
            );
            steps.push(StepDown { from: mode, reason });
            continue;
        }
        match set_up(options, interface, program, queues, shape, mode) {
            Ok(sockets) => return Ok((mode, steps, sockets)),
            Err(Obstacle::Mode(reason)) => steps.push(StepDown { from: mode, reason }),
            Err(Obstacle::All(error)) => return Err(error),
        }
    }
    let reasons: Vec<String> = steps.iter().map(ToString::to_string).collect();
    let missing = match options.require {
        Require::Any => "AF_XDP cannot be had",
        Require::Native => "no native XDP",
        Require::ZeroCopy => "no zero-copy",
    };
    Err(CaptureError::Environment(format!(
        "{}: {missing} ({}); see `sixtap doctor {0}`, or use --packet-socket",
        interface.name,
        reasons.join("; ")
    )))
}

/// Opens one more queue of an interface that is captured in `mode`.
///
/// # Errors
/// Why not, in words.
pub(super) fn open_queue(
    options: &Options,
    interface: &Interface,
    program: &Program,
    queue: u32,
    shape: Shape,
    mode: Mode,
) -> Result<Queue, String> {
    match socket(options, interface, program, queue, shape, mode) {
        Ok(socket) => Ok(socket),
        Err(Obstacle::Mode(reason)) => Err(reason),
        Err(Obstacle::All(error)) => Err(error.to_string()),
    }
}

/// Why a mode cannot be had: for itself, or because nothing can.
enum Obstacle {
    Mode(String),
    All(CaptureError),
}

fn set_up(
    options: &Options,
    interface: &Interface,
    program: &Program,
    queues: &[u32],
    shape: Shape,
    mode: Mode,
) -> Result<Vec<Queue>, Obstacle> {
    let mut sockets = Vec::with_capacity(queues.len());
    for &queue in queues {
        sockets.push(socket(options, interface, program, queue, shape, mode)?);
    }
    match program.attach(interface.index, mode.attach()) {
        Ok(()) => Ok(sockets),
        Err(error) => Err(attach_failed(&error, interface)),
    }
}

/// A socket with its fill ring filled, in the XSKMAP.
fn socket(
    options: &Options,
    interface: &Interface,
    program: &Program,
    queue: u32,
    shape: Shape,
    mode: Mode,
) -> Result<Queue, Obstacle> {
    let socket = bind_patiently(&interface.name, queue, shape, mode)
        .map_err(|error| bind_failed(&error, interface, queue, mode, shape))?;
    if let Some(busy_poll) = options.busy_poll {
        socket.set_busy_poll(busy_poll).map_err(|error| {
            Obstacle::All(CaptureError::Environment(format!(
                "{}: busy polling refused ({error}): it takes Linux 5.11 and CAP_NET_ADMIN",
                interface.name
            )))
        })?;
    }
    program.give(queue, socket.descriptor()).map_err(|error| {
        Obstacle::Mode(format!("queue {queue} not put into the XSKMAP: {error}"))
    })?;
    Ok(socket)
}

/// The kernel frees a queue and its locked memory some time after the last socket was closed: that of a mode tried before, or of
/// a process that has just ended. So what is busy or short is asked for again for a while.
fn bind_patiently(interface: &str, queue: u32, shape: Shape, mode: Mode) -> io::Result<Queue> {
    const PAUSE: Duration = Duration::from_millis(20);
    let mut attempts = 0;
    loop {
        let error = match Queue::bind(interface, queue, shape, mode.bind_flags()) {
            Ok(queue) => return Ok(queue),
            Err(error) => error,
        };
        let patience = match error.raw_os_error() {
            Some(libc::EBUSY) => 50,
            Some(libc::ENOBUFS) => 15,
            _ => 0,
        };
        if attempts >= patience {
            return Err(error);
        }
        attempts += 1;
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
