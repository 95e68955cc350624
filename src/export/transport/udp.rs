//! IPFIX over UDP (RFC 7011 section 10.3).
//!
//! A burst of messages of one length is one system call where the kernel can cut it apart (UDP segmentation offload),
//! else one `sendmmsg`. What the pace does not let go now, or the socket does not take, waits in a bounded queue. A
//! collector that is away answers with ICMP errors: they are counted, and stop nothing.

use super::super::destination::Network;
use super::pace::Pace;
use super::resolver::Resolver;
use super::{Burst, Outcome, PREFERRED, SEQUENCE, Tally, TransportError, resolve, route};
use crate::capture::Timestamp;
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg};
use rustix::io::Errno;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg, sockopt};
use socket2::{Protocol, SockAddr, Socket, Type};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// Most messages of one burst: with 1,400 octets each it is well below the 64 KiB a segmented send may have, and does not
/// overrun the receive buffer of a collector with default settings.
pub(super) const BURST: usize = 16;

/// RFC 7011 section 10.3.3: total packet size where the path MTU is not known.
const UNKNOWN_PATH: usize = 512;

/// Shortest path MTU of IPv6 (RFC 8200 section 5).
const IPV6_MINIMUM_MTU: usize = 1_280;

/// Octets held until the pace lets them go.
const QUEUE: usize = 16 << 20;

/// An offline run waits so long for a socket that takes nothing.
const STALLED: Duration = Duration::from_secs(60);

/// How long to sleep where the pace is waited for.
const SLEEP: Duration = Duration::from_millis(2);

/// A collector is back when nothing came back for so long after a datagram to it.
const TRIAL: u64 = 1_000_000_000;

/// A collector that is away is tried so often, with Templates.
const TRY_AGAIN: u64 = 5_000_000_000;

/// A collector that is away is looked up again so often.
const LOOK_UP_AGAIN: u64 = 30_000_000_000;

/// What is asked for as the socket's send buffer.
const SEND_BUFFER: usize = 1 << 20;

#[derive(Debug)]
struct Held {
    octets: Vec<u8>,
    tally: Tally,
    /// [`Udp::missed`] when the message was numbered.
    missed: u32,
}

#[derive(Debug)]
pub(crate) struct Udp {
    socket: Socket,
    network: Network,
    address: SocketAddr,
    resolver: Resolver,
    asked: Timestamp,
    limit: Option<usize>,
    segmentation: bool,
    pace: Pace,
    /// Whether to wait rather than lose (offline runs).
    patient: bool,
    queue: VecDeque<Held>,
    queued: usize,
    /// Whether messages have a sequence number of IPFIX, to be filled in anew for those that wait.
    numbered: bool,
    /// Data Records numbered and then refused, modulo 2³²: those behind them in the queue move up by so many.
    missed: u32,
    /// A burst from the queue.
    scratch: Vec<u8>,
    pub(super) problem: Option<String>,
    failing: bool,
    away: bool,
    /// Flow records wait for [`Self::hold`] to say otherwise: a collector that is away shall not get them.
    holding: bool,
    /// Since when datagrams go to a collector that was away and nothing comes back.
    trial: Option<Timestamp>,
    tried: Timestamp,
}

impl Udp {
    /// Connects to the first address of the host that a socket can be had for. `limit`: most octets of a message, if the
    /// user gave it.
    pub(crate) fn open(
        network: &Network,
        limit: Option<usize>,
        patient: bool,
    ) -> Result<Self, TransportError> {
        let host = &network.host;
        let error = |source| TransportError::Socket { host: host.clone(), source };
        let mut last = None;
        let addresses = route::reachable(network, resolve(host)?);
        if addresses.is_empty() {
            return Err(TransportError::Family { host: host.clone() });
        }
        for address in addresses {
            match connect(network, address) {
                Ok(socket) => {
                    return Ok(Self {
                        socket,
                        address,
                        resolver: Resolver::new(host),
                        asked: Timestamp(0),
                        network: network.clone(),
                        limit,
                        segmentation: true,
                        pace: Pace::new(network.rate),
                        patient,
                        queue: VecDeque::new(),
                        queued: 0,
                        numbered: true,
                        missed: 0,
                        scratch: Vec::new(),
                        problem: None,
                        failing: false,
                        away: false,
                        holding: false,
                        trial: None,
                        tried: Timestamp(0),
                    });
                }
                Err(problem) => last = Some(problem),
            }
        }
        Err(error(last.unwrap_or_else(|| std::io::ErrorKind::AddrNotAvailable.into())))
    }

    /// For messages that are not IPFIX: their octets are left as they are.
    pub(crate) fn without_numbers(self) -> Self {
        Self { numbered: false, ..self }
    }

    /// Looks up the name of a collector that is away. True if it has moved, and there is a socket to where it is now:
    /// that is a new Transport Session.
    pub(super) fn progress(&mut self, now: Timestamp, outcome: &mut Outcome) -> bool {
        if let Ok(Some(error)) = self.socket.take_error() {
            let errno = error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error);
            self.complain(errno, "nobody listens there");
        }
        if self.trial.is_some_and(|since| now.since(since) >= TRIAL) {
            (self.away, self.failing, self.trial) = (false, false, None);
        }
        self.drain(now, outcome);
        if self.away && now.since(self.asked) >= LOOK_UP_AGAIN {
            self.asked = now;
            self.resolver.ask();
        }
        let Some(addresses) = self.resolver.answer() else { return false };
        if addresses.contains(&self.address) {
            return false;
        }
        for address in route::reachable(&self.network, addresses) {
            if let Ok(socket) = connect(&self.network, address) {
                self.socket = socket;
                self.address = address;
                self.segmentation = true;
                (self.away, self.failing, self.trial) = (false, false, None);
                return true;
            }
        }
        false
    }

    /// Octets of the longest message that the path carries in one packet.
    pub(super) fn message_limit(&self) -> usize {
        if let Some(limit) = self.limit {
            return limit;
        }
        let (mtu, headers, unknown) = match self.address.ip() {
            IpAddr::V4(_) => (sockopt::ip_mtu(&self.socket), 20 + 8, UNKNOWN_PATH),
            IpAddr::V6(_) => (sockopt::ipv6_mtu(&self.socket), 40 + 8, IPV6_MINIMUM_MTU),
        };
        let packet = mtu.map_or(unknown, |mtu| mtu as usize);
        PREFERRED.min(packet.saturating_sub(headers))
    }

    /// Sends what the pace lets go; the rest waits.
    pub(super) fn send(&mut self, burst: Burst<'_>, now: Timestamp, outcome: &mut Outcome) {
        let missed = self.missed;
        self.drain(now, outcome);
        let mut taken = 0;
        let held_back = self.holding && burst.tallies.iter().any(|tally| tally.flows > 0);
        if self.holding && !held_back {
            // Templates find out whether the collector is back; they are not counted in sequence numbers.
            taken = self.transmit(burst, now, outcome);
        } else if !held_back
            && self.queue.is_empty()
            && self.missed == missed
            && self.pace.open(0, now)
        {
            taken = self.transmit(burst, now, outcome);
        }
        let mut dropped = 0;
        for (octets, tally) in burst.messages().skip(taken) {
            if self.queued + octets.len() > QUEUE {
                self.make_room(octets.len(), now, outcome);
            }
            if self.queued + octets.len() > QUEUE {
                // Those ahead of it keep their numbers, those behind it move up.
                outcome.queue_full.add(octets.len(), tally);
                outcome.unnumbered += tally.records();
                dropped += tally.records() as u32;
                continue;
            }
            self.queued += octets.len();
            let missed = missed.wrapping_sub(dropped);
            self.queue.push_back(Held { octets: octets.to_vec(), tally, missed });
        }
    }

    /// The queue is full: a rate of our own choice gives way, and an offline run waits.
    fn make_room(&mut self, length: usize, now: Timestamp, outcome: &mut Outcome) {
        if self.holding {
            return;
        }
        if !self.pace.strict() {
            // One burst may be one short message, and make less room than is needed.
            while self.queued + length > QUEUE && self.send_queued(now, outcome) {}
        }
        if self.patient {
            self.wait_for_room(QUEUE - length.min(QUEUE), now, outcome);
        }
    }

    /// Waits until at most `most` octets are held, or nothing has gone for [`STALLED`].
    fn wait_for_room(&mut self, most: usize, now: Timestamp, outcome: &mut Outcome) {
        let begin = Instant::now();
        while self.queued > most {
            let before = self.queued;
            let passed = later(now, begin.elapsed());
            self.wait_until(most, STALLED, passed, outcome);
            if self.queued == before {
                return;
            }
        }
    }

    /// Waits until at most `most` octets are held, for `patience` at most.
    fn wait_until(
        &mut self,
        most: usize,
        patience: Duration,
        now: Timestamp,
        outcome: &mut Outcome,
    ) {
        let begin = Instant::now();
        while self.queued > most {
            self.drain(later(now, begin.elapsed()), outcome);
            if self.queued <= most || begin.elapsed() >= patience {
                return;
            }
            std::thread::sleep(SLEEP);
        }
    }

    /// Sends from the queue what the pace lets go.
    fn drain(&mut self, now: Timestamp, outcome: &mut Outcome) {
        while !self.holding && !self.queue.is_empty() && self.pace.open(self.queued, now) {
            if !self.send_queued(now, outcome) {
                return;
            }
        }
    }

    /// Sends a burst from the front of the queue; whether the socket took any of it.
    fn send_queued(&mut self, now: Timestamp, outcome: &mut Outcome) -> bool {
        let Some(segment) = self.queue.front().map(|held| held.octets.len()) else { return false };
        let mut octets = std::mem::take(&mut self.scratch);
        let mut tallies = [Tally::default(); BURST];
        let mut count = 0;
        octets.clear();
        for (held, tally) in self.queue.iter().zip(&mut tallies) {
            if held.octets.len() > segment {
                break;
            }
            let start = octets.len();
            octets.extend_from_slice(&held.octets);
            // What was refused in the meantime was never sent: the numbers close up.
            if let Some(number) = octets
                .get_mut(start + SEQUENCE.start..start + SEQUENCE.end)
                .filter(|_| self.numbered)
            {
                let said = number.iter().fold(0, |sum: u32, octet| sum << 8 | u32::from(*octet));
                let moved = said.wrapping_sub(self.missed.wrapping_sub(held.missed));
                number.copy_from_slice(&moved.to_be_bytes());
            }
            *tally = held.tally;
            count += 1;
            if held.octets.len() < segment {
                break;
            }
        }
        let tallies = tallies.get(..count).unwrap_or_default();
        let done = self.transmit(Burst { octets: &octets, segment, tallies }, now, outcome);
        for held in self.queue.drain(..done.min(self.queue.len())) {
            self.queued -= held.octets.len();
        }
        self.scratch = octets;
        done > 0
    }

    /// Gives a burst to the socket. How many of its messages are done with: sent, or refused and counted. The rest found
    /// no room.
    fn transmit(&mut self, burst: Burst<'_>, now: Timestamp, outcome: &mut Outcome) -> usize {
        let count = burst.tallies.len();
        let mut taken = 0;
        let mut error = None;
        if count > 1 && self.segmentation {
            match self.retrying(|udp| udp.send_segmented(burst)) {
                Ok(()) => taken = count,
                // Not offered by this kernel, device or path: not asked again.
                Err(
                    Errno::INVAL
                    | Errno::IO
                    | Errno::OPNOTSUPP
                    | Errno::NOPROTOOPT
                    | Errno::MSGSIZE,
                ) => self.segmentation = false,
                Err(errno) => error = Some(errno),
            }
        }
        while taken < count && error.is_none() {
            match self.retrying(|udp| udp.send_several(burst, taken)) {
                Ok(0) => error = Some(Errno::AGAIN),
                Ok(more) => taken += more,
                Err(errno) => error = Some(errno),
            }
        }
        for (message, tally) in burst.messages().take(taken) {
            self.pace.take(message.len());
            outcome.sent.add(message.len(), tally);
        }
        if taken > 0 {
            self.failing &= self.away;
            if self.away {
                self.trial.get_or_insert(now);
            }
        }
        match error {
            None | Some(Errno::AGAIN | Errno::NOBUFS) => return taken,
            Some(errno) => self.complain(errno, "records are lost"),
        }
        for (message, tally) in burst.messages().skip(taken) {
            outcome.refused.add(message.len(), tally);
            self.miss(tally, outcome);
        }
        count
    }

    /// The records of a message were numbered and are not sent.
    fn miss(&mut self, tally: Tally, outcome: &mut Outcome) {
        outcome.unnumbered += tally.records();
        self.missed = self.missed.wrapping_add(tally.records() as u32);
    }

    /// Whether messages wait that could go before long.
    pub(super) fn waits(&self) -> bool {
        !self.holding && !self.queue.is_empty()
    }

    /// Messages have another length from now on: segmentation, which a path too narrow refuses, is worth a try again.
    pub(super) fn path_changed(&mut self) {
        self.segmentation = true;
    }

    /// Whether flow records are to be held rather than sent.
    pub(super) fn hold(&mut self, holding: bool) {
        self.holding = holding;
    }

    /// Whether nothing speaks against the collector being there.
    pub(super) fn is_there(&self) -> bool {
        !self.away
    }

    /// Whether a collector that is away is to be given something, to find out whether it is back.
    pub(super) fn wants_trial(&mut self, now: Timestamp) -> bool {
        let wants = self.away && self.trial.is_none() && now.since(self.tried) >= TRY_AGAIN;
        if wants {
            self.tried = now;
        }
        wants
    }

    /// What is held, for another collector.
    pub(super) fn take_held(&mut self, outcome: &mut Outcome) -> Vec<(Vec<u8>, Tally)> {
        self.queued = 0;
        let held: Vec<Held> = self.queue.drain(..).collect();
        held.into_iter()
            .map(|held| {
                self.miss(held.tally, outcome);
                (held.octets, held.tally)
            })
            .collect()
    }

    /// Sends what waits at its pace, for `patience` at most; whether some still waits.
    pub(super) fn empty(
        &mut self,
        now: Timestamp,
        patience: Duration,
        outcome: &mut Outcome,
    ) -> bool {
        self.holding = false;
        self.wait_until(0, patience, now, outcome);
        !self.queue.is_empty()
    }

    /// The end of the session: what is still held after `patience` is given up.
    pub(super) fn finish(&mut self, now: Timestamp, patience: Duration, outcome: &mut Outcome) {
        self.empty(now, patience, outcome);
        for held in std::mem::take(&mut self.queue) {
            outcome.queue_full.add(held.octets.len(), held.tally);
            self.miss(held.tally, outcome);
        }
        self.queued = 0;
    }

    /// The error of an earlier datagram (ICMP: port unreachable) is told on a later send, which then has not happened:
    /// it is tried once more.
    fn retrying<T>(&mut self, send: impl Fn(&Self) -> Result<T, Errno>) -> Result<T, Errno> {
        match send(self) {
            Err(Errno::CONNREFUSED) => {
                self.complain(Errno::CONNREFUSED, "nobody listens there");
                send(self)
            }
            Err(Errno::INTR) => send(self),
            other => other,
        }
    }

    fn send_segmented(&self, burst: Burst<'_>) -> Result<(), Errno> {
        let segment = u16::try_from(burst.segment).map_err(|_| Errno::MSGSIZE)?;
        let octets = [IoSlice::new(burst.octets)];
        let control = [ControlMessage::UdpGsoSegments(&segment)];
        sendmsg::<SockaddrStorage>(
            self.socket.as_raw_fd(),
            &octets,
            &control,
            MsgFlags::empty(),
            None,
        )
        .map(|_| ())
        .map_err(|errno| Errno::from_raw_os_error(errno as i32))
    }

    fn send_several(&self, burst: Burst<'_>, from: usize) -> Result<usize, Errno> {
        let octets: Vec<[IoSlice<'_>; 1]> =
            burst.messages().skip(from).map(|(message, _)| [IoSlice::new(message)]).collect();
        if let [[only]] = octets.as_slice() {
            return rustix::net::send(&self.socket, only, SendFlags::empty()).map(|_| 1);
        }
        let mut control: Vec<_> = octets.iter().map(|_| SendAncillaryBuffer::default()).collect();
        let mut messages: Vec<MMsgHdr<'_>> = octets
            .iter()
            .zip(&mut control)
            .map(|(octets, control)| MMsgHdr::new(octets, control))
            .collect();
        sendmmsg(&self.socket, &mut messages, SendFlags::empty())
    }

    fn complain(&mut self, errno: Errno, consequence: &str) {
        self.away = true;
        self.trial = None;
        if !self.failing {
            self.failing = true;
            self.problem =
                Some(format!("collector udp://{}: {errno}; {consequence}", self.network.host));
        }
    }
}

fn connect(network: &Network, address: SocketAddr) -> std::io::Result<Socket> {
    let socket = route::socket(network, address, Type::DGRAM, Protocol::UDP)?;
    // A wish: the kernel bounds it, and the default works.
    let _ = socket.set_send_buffer_size(SEND_BUFFER);
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::from(address))?;
    Ok(socket)
}

fn later(now: Timestamp, passed: Duration) -> Timestamp {
    Timestamp(now.0.saturating_add(u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX)))
}
