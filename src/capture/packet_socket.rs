//! Packet socket (AF_PACKET with a TPACKET_V3 ring, packet(7)) as a source.
//!
//! In: an interface. Out: copies of its frames, while the kernel goes on to have them too. For hosts whose own traffic is to be
//! metered, and for kernels without AF_XDP.
//!
//! Invariants: every frame the kernel put into the ring is lent; every frame it had no room for is in
//! `kernel_dropped`. A VLAN tag that the NIC took out is back in its place when the frame is lent.

mod fanout;
pub(crate) mod option;
pub(crate) mod promiscuous;
mod ring;

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::time::Timespec;

use super::interface::Interface;
use super::interface::baseline::{Baseline, Loss};
use super::{
    BATCH, CaptureError, Description, Frame, LinkType, Poll, Source, SourceCounters, Timestamp,
};
use promiscuous::Promiscuous;
use ring::{Place, Ring, Size};

const PACKET_STATISTICS: i32 = 6;

/// What to capture.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the interface.
    pub interface: String,
    /// Sockets, and so workers, that share its packets by their addresses: 1 to 64.
    pub sockets: u32,
    /// See frames for other hosts too, while running.
    pub promiscuous: bool,
    /// Octets of the ring of each socket.
    pub ring: u32,
}

impl Options {
    /// The defaults: one socket, promiscuous, 32 MiB.
    #[must_use]
    pub fn new(interface: impl Into<String>) -> Self {
        Self { interface: interface.into(), sockets: 1, promiscuous: true, ring: 32 << 20 }
    }
}

/// Frames of one packet socket.
#[derive(Debug)]
pub struct PacketSocket {
    interface: Interface,
    link: LinkType,
    ring: Ring,
    socket: OwnedFd,
    promiscuous: Option<Promiscuous>,
    baseline: Option<Baseline>,
    counters: SourceCounters,
    /// Of these only the interface's own: as they were when it went away.
    before: SourceCounters,
    /// The interface went away; when to look for it again.
    away: Option<Instant>,
}

/// Octets of a block. It has to take the largest frame (64 KiB and headers).
const BLOCK: u32 = 256 * 1024;
/// A frame waits at most this long in a block that is not full, in milliseconds.
const RETIRE: u32 = 20;
/// How often an interface that went away is looked for.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Opens the sockets.
///
/// # Errors
/// [`CaptureError::Environment`] with one line that says what stands in the way and what helps;
/// [`CaptureError::Usage`] for options that cannot be meant.
pub fn open(options: &Options) -> Result<Vec<PacketSocket>, CaptureError> {
    if !(1..=64).contains(&options.sockets) {
        return Err(CaptureError::Usage(format!(
            "{} packet sockets: 1 to 64 are possible",
            options.sockets
        )));
    }
    if options.ring < 2 * BLOCK {
        return Err(CaptureError::Usage(format!(
            "a ring of {} octets: it takes at least {}",
            options.ring,
            2 * BLOCK
        )));
    }
    let interface = Interface::named(&options.interface)?;
    if !interface.up {
        return Err(CaptureError::Environment(format!(
            "{0} is down: `ip link set {0} up`",
            interface.name
        )));
    }
    let mut sources: Vec<PacketSocket> = (0..options.sockets)
        .map(|_| PacketSocket::open(options, &interface))
        .collect::<Result<_, _>>()?;
    if let [first, others @ ..] = &sources[..]
        && !others.is_empty()
    {
        let joined = fanout::found(first.socket.as_fd()).and_then(|id| {
            others.iter().try_for_each(|source| fanout::join(source.socket.as_fd(), id))
        });
        joined.map_err(|error| {
            CaptureError::Environment(format!(
                "{}: packets cannot be shared between sockets ({error}): use one",
                interface.name
            ))
        })?;
    }
    if let Some(first) = sources.first_mut() {
        first.baseline = Some(Baseline::of(&interface));
        if options.promiscuous {
            let held = Promiscuous::hold(interface.index).map_err(|error| {
                CaptureError::Environment(format!(
                    "{}: promiscuous mode refused: {error}",
                    interface.name
                ))
            })?;
            first.promiscuous = Some(held);
        }
    }
    for source in &sources {
        source.start().map_err(|error| source.failed(error))?;
    }
    Ok(sources)
}

impl PacketSocket {
    fn open(options: &Options, interface: &Interface) -> Result<Self, CaptureError> {
        let name = &interface.name;
        let link = link_type(interface)?;
        let socket =
            socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None)
                .map_err(|error| not_opened(error, name))?;
        let size = Size { block: BLOCK, blocks: options.ring / BLOCK, retire: RETIRE };
        let ring = Ring::map(socket.as_fd(), size).map_err(|error| {
            CaptureError::Environment(format!(
                "{name}: no ring of {} MiB for a packet socket ({error}): take a smaller one",
                options.ring >> 20
            ))
        })?;
        let source = Self {
            interface: interface.clone(),
            link,
            ring,
            socket,
            promiscuous: None,
            baseline: None,
            counters: SourceCounters::default(),
            before: SourceCounters::default(),
            away: None,
        };
        // Bound but shut: sockets that share packets all start when the last of them has joined.
        source
            .shut()
            .and_then(|()| option::bind_packet(source.socket.as_fd(), interface.index))
            .map_err(|error| CaptureError::Environment(format!("{name}: not bound: {error}")))?;
        Ok(source)
    }

    /// The interface as it was when it was opened, or found again.
    #[must_use]
    pub const fn interface(&self) -> &Interface {
        &self.interface
    }

    /// Takes no packet from now on: a filter that passes none. A packet socket cannot be unbound.
    fn shut(&self) -> std::io::Result<()> {
        let socket = self.socket.as_fd();
        option::set_program(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &[fanout::NOTHING])
    }

    /// Takes packets after [`Self::shut`].
    fn start(&self) -> std::io::Result<()> {
        option::set(self.socket.as_fd(), libc::SOL_SOCKET, libc::SO_DETACH_FILTER, &[0; 4])
    }

    /// What its frames begin with.
    #[must_use]
    pub const fn link_type(&self) -> LinkType {
        self.link
    }

    /// Adds the drops since the last call: reading resets the kernel's counters.
    fn statistics(&mut self) -> std::io::Result<()> {
        // struct tpacket_stats_v3: packets (with drops), drops, freezes of the ring.
        let octets: [u8; 12] =
            option::read(self.socket.as_fd(), libc::SOL_PACKET, PACKET_STATISTICS)?;
        let drops = u32::from_ne_bytes([octets[4], octets[5], octets[6], octets[7]]);
        self.counters.kernel_dropped += u64::from(drops);
        Ok(())
    }

    /// Waits for a block. `false`: none came.
    fn wait(&mut self, timeout: Duration) -> Result<bool, CaptureError> {
        if self.away.is_some_and(|since| since.elapsed() >= LOOK_AGAIN) {
            self.look_again();
        }
        let timeout = Timespec::try_from(timeout).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        let mut sockets = [PollFd::new(&self.socket, PollFlags::IN | PollFlags::ERR)];
        match poll(&mut sockets, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(self.failed(error.into())),
        }
        if sockets[0].revents().contains(PollFlags::ERR)
            && let Ok(Err(error)) = rustix::net::sockopt::socket_error(&self.socket)
        {
            // The interface went down or away. The socket stays: it receives again when the interface is up, or bound again.
            tracing::warn!(interface = %self.interface.name, "the interface is not there: {error}; waiting for it");
            self.away = Some(Instant::now());
        }
        Ok(self.ring.is_ready())
    }

    /// Binds again when the interface is back under its name.
    fn look_again(&mut self) {
        self.away = Some(Instant::now());
        let Ok(Some(found)) = Interface::by_name(&self.interface.name) else { return };
        if !found.up {
            return;
        }
        if found.index != self.interface.index {
            if let Err(error) = option::bind_packet(self.socket.as_fd(), found.index) {
                tracing::warn!(interface = %found.name, "not bound again: {error}");
                return;
            }
            // This may run without the privilege that another packet socket would take.
            if let Some(promiscuous) = &self.promiscuous
                && let Err(error) = promiscuous.also(found.index)
            {
                tracing::warn!(interface = %found.name, "promiscuous mode refused: {error}");
            }
            if self.baseline.is_some() {
                self.before = self.counters();
                Loss::default().write(&mut self.counters);
                self.baseline = Some(Baseline::of(&found));
            }
            self.interface = found;
        }
        self.away = None;
        tracing::info!(interface = %self.interface.name, "the interface is back");
    }

    fn failed(&self, error: std::io::Error) -> CaptureError {
        CaptureError::Environment(format!(
            "{}: the packet socket failed: {error}",
            self.interface.name
        ))
    }
}

impl Source for PacketSocket {
    fn poll(
        &mut self,
        timeout: Duration,
        sink: &mut dyn FnMut(&[Frame<'_>]),
    ) -> Result<Poll, CaptureError> {
        loop {
            if !self.ring.is_ready() && !self.wait(timeout)? {
                return Ok(Poll::Idle);
            }
            let mut places = ArrayVec::<Place, BATCH>::new();
            while !places.is_full()
                && let Some(place) = self.ring.next()
            {
                places.push(place);
            }
            let lent = places.len();
            if lent == 0 {
                self.ring.give_back();
                continue;
            }
            let frames: ArrayVec<Frame<'_>, BATCH> = places
                .iter()
                .map(|place| Frame {
                    data: self.ring.octets(place),
                    wire_length: place.wire_length,
                    interface: self.interface.index,
                    link: self.link,
                    time: Timestamp::new(u64::from(place.seconds), place.nanoseconds),
                })
                .collect();
            sink(&frames);
            self.counters.delivered += lent as u64;
            return Ok(Poll::Frames(lent));
        }
    }

    fn stop(&mut self) -> bool {
        // The block in the making is handed over after RETIRE.
        self.shut().is_ok()
    }

    fn counters(&mut self) -> SourceCounters {
        let _ = self.statistics();
        if let Some(loss) = self.baseline.as_ref().and_then(Baseline::since) {
            loss.write(&mut self.counters);
        }
        let (mut counters, before) = (self.counters, &self.before);
        counters.nic_received += before.nic_received;
        counters.nic_missed += before.nic_missed;
        counters.nic_fifo += before.nic_fifo;
        counters.nic_over += before.nic_over;
        counters.nic_dropped += before.nic_dropped;
        counters
    }

    fn progress(&self) -> Option<(u64, u64)> {
        None
    }

    fn describe(&mut self) -> Option<Description> {
        Some(Description {
            interface: self.interface.name.clone(),
            driver: self.interface.driver().unwrap_or_default(),
            mode: "packet-socket",
            details: "packet socket, TPACKET_V3".to_owned(),
            statistics: self.baseline.as_ref().map(Baseline::statistics).unwrap_or_default(),
            ..Description::default()
        })
    }
}

/// What the frames of an interface begin with, by its ARPHRD_ type.
fn link_type(interface: &Interface) -> Result<LinkType, CaptureError> {
    const ARPHRD_RAWIP: u16 = 519;
    const WITHOUT_HEADER: [u16; 6] = [
        libc::ARPHRD_NONE,
        ARPHRD_RAWIP,
        libc::ARPHRD_TUNNEL,
        libc::ARPHRD_TUNNEL6,
        libc::ARPHRD_SIT,
        libc::ARPHRD_PPP,
    ];
    match interface.hardware_type {
        libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => Ok(LinkType::Ethernet),
        other if WITHOUT_HEADER.contains(&other) => Ok(LinkType::Raw),
        other => Err(CaptureError::Environment(format!(
            "{}: frames of hardware type {other} are not understood; capture the interface below it, or a file of `tcpdump -i any -w -`",
            interface.name
        ))),
    }
}

fn not_opened(error: Errno, interface: &str) -> CaptureError {
    CaptureError::Environment(match error {
        Errno::PERM | Errno::ACCESS => format!(
            "{interface}: a packet socket needs CAP_NET_RAW: run as root, or grant it (systemd AmbientCapabilities=CAP_NET_RAW)"
        ),
        error => format!("{interface}: no packet socket: {error}"),
    })
}
