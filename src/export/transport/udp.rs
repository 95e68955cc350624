//! IPFIX over UDP (RFC 7011 section 10.3).
//!
//! A burst of messages of one length is one system call where the kernel can cut it apart (UDP segmentation offload),
//! else one `sendmmsg`. A collector that is away answers with ICMP errors: they are counted, and stop nothing.

use super::super::destination::Network;
use super::resolver::Resolver;
use super::{Burst, Outcome, PREFERRED, TransportError, resolve, route};
use crate::capture::Timestamp;
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg};
use rustix::io::Errno;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg, sockopt};
use socket2::{Protocol, SockAddr, Socket, Type};
use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Most messages of one burst: with 1,400 octets each it is well below the 64 KiB a segmented send may have, and does not
/// overrun the receive buffer of a collector with default settings.
pub(super) const BURST: usize = 16;

/// RFC 7011 section 10.3.3: total packet size where the path MTU is not known.
const UNKNOWN_PATH: usize = 512;

/// Shortest path MTU of IPv6 (RFC 8200 section 5).
const IPV6_MINIMUM_MTU: usize = 1_280;

/// A send waits this long for room in the socket's buffer, then the message is lost.
const PATIENCE: Duration = Duration::from_millis(200);

/// A collector that is away is looked up again so often.
const LOOK_UP_AGAIN: u64 = 30_000_000_000;

/// What is asked for as the socket's send buffer.
const SEND_BUFFER: usize = 1 << 20;

#[derive(Debug)]
pub(crate) struct Udp {
    socket: Socket,
    network: Network,
    address: SocketAddr,
    resolver: Resolver,
    asked: Timestamp,
    limit: Option<usize>,
    segmentation: bool,
    pub(super) problem: Option<String>,
    failing: bool,
}

impl Udp {
    /// Connects to the first address of `host` that a socket can be had for. `limit`: most octets of a message, if the
    /// user gave it.
    pub(crate) fn open(network: &Network, limit: Option<usize>) -> Result<Self, TransportError> {
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
                    let network = network.clone();
                    let (problem, failing, segmentation) = (None, false, true);
                    return Ok(Self {
                        socket,
                        address,
                        resolver: Resolver::new(&network.host),
                        asked: Timestamp(0),
                        network,
                        limit,
                        segmentation,
                        problem,
                        failing,
                    });
                }
                Err(problem) => last = Some(problem),
            }
        }
        Err(error(last.unwrap_or_else(|| std::io::ErrorKind::AddrNotAvailable.into())))
    }

    /// Looks up the name of a collector that is away. True if it has moved, and there is a socket to where it is now:
    /// that is a new Transport Session.
    pub(super) fn progress(&mut self, now: Timestamp) -> bool {
        if self.failing && now.since(self.asked) >= LOOK_UP_AGAIN {
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
                self.failing = false;
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

    pub(super) fn send(&mut self, burst: Burst<'_>, outcome: &mut Outcome) {
        let count = burst.tallies.len();
        let mut taken = 0;
        if count > 1 && self.segmentation {
            match self.retrying(|udp| udp.send_segmented(burst)) {
                Ok(()) => taken = count,
                // Not offered by this kernel, device or path: never ask again.
                Err(
                    Errno::INVAL
                    | Errno::IO
                    | Errno::OPNOTSUPP
                    | Errno::NOPROTOOPT
                    | Errno::MSGSIZE,
                ) => self.segmentation = false,
                Err(errno) => return self.refuse(burst, 0, errno, outcome),
            }
        }
        while taken < count {
            match self.retrying(|udp| udp.send_several(burst, taken)) {
                Ok(0) => return self.refuse(burst, taken, Errno::AGAIN, outcome),
                Ok(more) => taken += more,
                Err(errno) => return self.refuse(burst, taken, errno, outcome),
            }
        }
        self.failing = false;
        for (message, tally) in burst.messages() {
            outcome.sent.add(message.len(), tally);
        }
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

    /// Counts the messages from number `taken` on as refused.
    fn refuse(&mut self, burst: Burst<'_>, taken: usize, errno: Errno, outcome: &mut Outcome) {
        self.complain(errno, "records are lost");
        for (number, (message, tally)) in burst.messages().enumerate() {
            if number < taken {
                outcome.sent.add(message.len(), tally);
            } else {
                outcome.refused.add(message.len(), tally);
                outcome.unnumbered += tally.records();
            }
        }
    }

    fn complain(&mut self, errno: Errno, consequence: &str) {
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
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.connect(&SockAddr::from(address))?;
    Ok(socket)
}
