//! IPFIX over a connection: TCP (RFC 7011 section 10.4), TLS, SCTP (section 10.2), a UNIX socket.
//!
//! The socket never blocks: what it does not take is held, in whole messages and bounded; beyond the bound messages are
//! refused. When the connection breaks, what was not wholly written is held for the next one, which is a new Transport
//! Session: the session gives Templates again and numbers from 0.

mod link;
mod sctp;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
mod tls;

use super::super::destination::{Network, TlsFiles};
use super::resolver::Resolver;
use super::{Burst, Outcome, PREFERRED, STREAM_MESSAGE, Tally, TransportError, resolve, route};
use crate::capture::Timestamp;
use link::Link;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Octets held for a slow or absent collector.
const QUEUE: usize = 16 << 20;

/// A connection that is not made in this time is given up.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// How long a run over a file waits for a collector that takes nothing.
const STALLED: Duration = Duration::from_secs(5);

/// How long the end waits for a connection that is just being made.
const LAST_CHANCE: Duration = Duration::from_secs(2);

/// How long a wait for a connection sleeps between looks at the handshake.
const LOOK: Duration = Duration::from_millis(20);

/// Longest pause between attempts to connect: RFC 7011 section 10.4.4 names one minute. It begins short and doubles.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Held {
    octets: Vec<u8>,
    tally: Tally,
}

#[derive(Debug)]
enum State {
    /// No connection before this time.
    Away { until: Timestamp },
    /// Being connected.
    Connecting { link: Link, until: Timestamp },
    /// Connected.
    Connected(Link),
}

/// Whom to connect to.
#[derive(Debug)]
enum Peer {
    Network(Box<Remote>),
    Local(PathBuf),
}

#[derive(Debug)]
struct Remote {
    network: Network,
    kind: Kind,
    addresses: Vec<SocketAddr>,
    resolver: Resolver,
    /// Which address is next.
    attempt: usize,
}

#[derive(Debug)]
enum Kind {
    Tcp,
    Tls(tls::Client),
    Sctp(Option<Duration>),
}

/// What to do about a collector that is away or slow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Before the second attempt to connect; doubles.
    pub(crate) pause: Duration,
    /// Whether to wait for a slow collector rather than refuse (offline runs).
    pub(crate) patient: bool,
}

#[derive(Debug)]
pub(crate) struct Connection {
    /// What to call the collector.
    name: String,
    peer: Peer,
    state: State,
    queue: VecDeque<Held>,
    queued: usize,
    /// Octets of the first message held that are written.
    begun: usize,
    first_pause: Duration,
    pause: Duration,
    /// Whether to wait for a slow collector rather than refuse (offline runs).
    patient: bool,
    /// Whether it was told that the collector is away.
    missed: bool,
    /// Since when nothing more comes.
    ending: Option<Instant>,
    pub(super) problem: Option<String>,
}

impl Connection {
    /// Over TCP. No connection is made yet by this and the following.
    pub(crate) fn tcp(network: &Network, patience: Patience) -> Result<Self, TransportError> {
        let name = format!("tcp://{}", network.host);
        Ok(Self::new(name, Peer::network(network, Kind::Tcp)?, patience))
    }

    /// Over TLS.
    pub(crate) fn tls(
        network: &Network,
        files: &TlsFiles,
        patience: Patience,
    ) -> Result<Self, TransportError> {
        let name = format!("tls://{}", network.host);
        let kind = Kind::Tls(tls::Client::load(&network.host, files)?);
        Ok(Self::new(name, Peer::network(network, kind)?, patience))
    }

    /// Over SCTP. `lifetime`: how long the kernel tries to bring a message of flow records over; `None`: until it is there.
    pub(crate) fn sctp(
        network: &Network,
        lifetime: Option<Duration>,
        patience: Patience,
    ) -> Result<Self, TransportError> {
        sctp::offered(&network.host)?;
        let name = format!("sctp://{}", network.host);
        Ok(Self::new(name, Peer::network(network, Kind::Sctp(lifetime))?, patience))
    }

    /// Over a stream socket of this machine.
    pub(crate) fn unix(path: &Path, patience: Patience) -> Self {
        Self::new(format!("unix:{}", path.display()), Peer::Local(path.to_owned()), patience)
    }

    fn new(name: String, peer: Peer, Patience { pause, patient }: Patience) -> Self {
        let first_pause = pause.max(Duration::from_millis(10));
        Self {
            name,
            peer,
            state: State::Away { until: Timestamp(0) },
            queue: VecDeque::new(),
            queued: 0,
            begun: 0,
            first_pause,
            pause: first_pause,
            patient,
            missed: false,
            ending: None,
            problem: None,
        }
    }

    /// Octets of the longest message: with SCTP's partial reliability, what one packet carries, so that one loss is one message.
    pub(super) fn message_limit(&self) -> usize {
        match &self.peer {
            Peer::Network(remote) if matches!(remote.kind, Kind::Sctp(Some(_))) => PREFERRED,
            _ => STREAM_MESSAGE,
        }
    }

    pub(super) fn send(&mut self, burst: Burst<'_>, outcome: &mut Outcome) {
        for (octets, tally) in burst.messages() {
            if self.queued + octets.len() > QUEUE {
                self.write(outcome);
                if self.patient {
                    self.wait_for_room(octets.len(), outcome);
                }
            }
            if self.queued + octets.len() > QUEUE {
                outcome.queue_full.add(octets.len(), tally);
                outcome.unnumbered += tally.records();
                continue;
            }
            self.queued += octets.len();
            self.queue.push_back(Held { octets: octets.to_vec(), tally });
        }
        self.write(outcome);
    }

    /// Waits, as long as the collector takes something now and then.
    fn wait_for_room(&mut self, length: usize, outcome: &mut Outcome) {
        while self.queued + length > QUEUE {
            let before = self.queued;
            self.wait_writable(STALLED);
            self.write(outcome);
            if self.queued == before {
                return;
            }
        }
    }

    fn wait_writable(&self, patience: Duration) {
        let State::Connected(link) = &self.state else { return };
        wait_for(link, PollFlags::OUT, patience);
    }

    /// Connects, notices a broken connection, writes. True when a connection has just been made.
    pub(crate) fn progress(&mut self, now: Timestamp, outcome: &mut Outcome) -> bool {
        match &self.state {
            State::Away { until } if now >= *until => self.connect(now),
            State::Away { .. } => {}
            State::Connecting { .. } => return self.connected(now),
            State::Connected(_) => {
                self.listen(now);
                self.write(outcome);
            }
        }
        // A collector on the same machine is there at once.
        matches!(self.state, State::Connecting { .. }) && self.connected(now)
    }

    fn connect(&mut self, now: Timestamp) {
        match self.peer.begin() {
            Ok(link) => {
                let until = after(now, CONNECT_PATIENCE);
                self.state = State::Connecting { link, until };
            }
            Err(error) => self.away(now, &error),
        }
    }

    fn connected(&mut self, now: Timestamp) -> bool {
        let state = std::mem::replace(&mut self.state, State::Away { until: now });
        let State::Connecting { mut link, until } = state else {
            self.state = state;
            return false;
        };
        match link.establish() {
            Ok(true) => {
                self.state = State::Connected(link);
                self.pause = self.first_pause;
                self.begun = 0;
                self.peer.answered();
                if std::mem::take(&mut self.missed) {
                    // Whoever read that it is away waits for this.
                    self.problem = Some(format!("collector {}: there again", self.name));
                }
                true
            }
            Ok(false) if now < until => {
                self.state = State::Connecting { link, until };
                false
            }
            Ok(false) => {
                self.away(now, &ErrorKind::TimedOut.into());
                false
            }
            Err(error) => {
                self.away(now, &error);
                false
            }
        }
    }

    fn away(&mut self, now: Timestamp, error: &io::Error) {
        let pause = self.pause.as_secs_f32();
        self.problem = Some(format!(
            "collector {}: {error}; records are held, next attempt in {pause} s",
            self.name
        ));
        self.missed = true;
        self.state = State::Away { until: after(now, self.pause) };
        self.peer.failed();
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.begun = 0;
    }

    fn listen(&mut self, now: Timestamp) {
        let State::Connected(link) = &mut self.state else { return };
        if let Err(error) = link.listen() {
            self.away(now, &error);
        }
    }

    fn write(&mut self, outcome: &mut Outcome) {
        let State::Connected(link) = &mut self.state else { return };
        while let Some(held) = self.queue.front() {
            match link.write(&held.octets, self.begun, held.tally.flows > 0) {
                Ok(octets) => self.begun += octets,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => {
                    // The next attempt is made at once; the pause begins with its failure.
                    self.away(Timestamp(0), &error);
                    return;
                }
            }
            if self.begun >= held.octets.len() {
                outcome.sent.add(held.octets.len(), held.tally);
                self.queued -= held.octets.len();
                self.begun = 0;
                self.queue.pop_front();
            }
        }
    }

    /// What is held, for a new Transport Session to number anew.
    pub(crate) fn take_held(&mut self) -> Vec<(Vec<u8>, Tally)> {
        self.queued = 0;
        self.begun = 0;
        self.queue.drain(..).map(|held| (held.octets, held.tally)).collect()
    }

    /// Writes what is held, for `patience` at most; whether some still waits for a collector that is there, or about to be.
    pub(super) fn empty(&mut self, patience: Duration, outcome: &mut Outcome) -> bool {
        let begin = Instant::now();
        while !self.queue.is_empty() && matches!(self.state, State::Connected(_)) {
            let Some(left) = patience.checked_sub(begin.elapsed()) else { break };
            self.wait_writable(left);
            self.write(outcome);
        }
        let ending = *self.ending.get_or_insert(begin);
        let hope = match self.state {
            State::Connected(_) => true,
            State::Connecting { .. } => ending.elapsed() < LAST_CHANCE,
            State::Away { .. } => false,
        };
        hope && !self.queue.is_empty()
    }

    /// The end of the session: what is still held after `patience` is given up.
    pub(super) fn finish(&mut self, patience: Duration, outcome: &mut Outcome) {
        self.empty(patience, outcome);
        for held in self.queue.drain(..) {
            outcome.queue_full.add(held.octets.len(), held.tally);
            outcome.unnumbered += held.tally.records();
        }
        self.queued = 0;
        if let State::Connected(link) = &mut self.state {
            link.close();
        }
    }

    /// Whether there is a connection.
    pub(crate) fn is_connected(&self) -> bool {
        matches!(self.state, State::Connected(_))
    }

    /// Waits until a connection that is being made is there or has failed, at most `patience`. True if it is there: a new
    /// Transport Session begins.
    pub(crate) fn wait_connected(&mut self, now: Timestamp, patience: Duration) -> bool {
        let begin = Instant::now();
        while begin.elapsed() < patience {
            let State::Connecting { link, .. } = &self.state else { return false };
            let flags = if link.waits_to_read() { PollFlags::IN } else { PollFlags::OUT };
            let sleep = wait_for(link, flags, LOOK.min(patience));
            if self.connected(now) {
                return true;
            }
            if !sleep && matches!(self.state, State::Connecting { .. }) {
                // Ready and yet not done: a handshake that waits for time to pass.
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        false
    }
}

impl Peer {
    fn network(network: &Network, kind: Kind) -> Result<Self, TransportError> {
        let addresses = route::reachable(network, resolve(&network.host)?);
        if addresses.is_empty() {
            return Err(TransportError::Family { host: network.host.clone() });
        }
        let (network, resolver) = (network.clone(), Resolver::new(&network.host));
        Ok(Self::Network(Box::new(Remote { network, kind, addresses, resolver, attempt: 0 })))
    }

    /// Begins to connect.
    fn begin(&mut self) -> io::Result<Link> {
        match self {
            Self::Local(path) => {
                let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
                connect(&socket, &SockAddr::unix(path)?).map(|()| Link::Stream(socket))
            }
            Self::Network(remote) => remote.begin(),
        }
    }

    fn answered(&mut self) {
        // The address that answered is the first to be tried again.
        if let Self::Network(remote) = self {
            remote.attempt = remote.attempt.saturating_sub(1);
        }
    }

    fn failed(&mut self) {
        if let Self::Network(remote) = self
            && remote.attempt >= remote.addresses.len()
        {
            // None of the addresses answered: perhaps the collector has moved. The answer is for the next attempt.
            remote.resolver.ask();
        }
    }
}

impl Remote {
    /// Begins to connect to the next address.
    fn begin(&mut self) -> io::Result<Link> {
        let found = self.resolver.answer().map(|found| route::reachable(&self.network, found));
        if let Some(found) = found.filter(|found| !found.is_empty()) {
            self.addresses = found;
            self.attempt = 0;
        }
        let place = self.attempt % self.addresses.len().max(1);
        let address = self.addresses.get(place).copied().ok_or(ErrorKind::AddrNotAvailable)?;
        self.attempt += 1;
        let over_sctp = matches!(self.kind, Kind::Sctp(_));
        let protocol = if over_sctp { Protocol::SCTP } else { Protocol::TCP };
        let socket = route::socket(&self.network, address, Type::STREAM, protocol)?;
        if !over_sctp {
            // Finds out about a collector that vanished without a word; the defaults of the kernel say when. SCTP's
            // heartbeats do that by themselves.
            let _ = socket.set_tcp_keepalive(&TcpKeepalive::new());
        }
        connect(&socket, &SockAddr::from(address))?;
        Ok(match &mut self.kind {
            Kind::Tcp => Link::Stream(socket),
            Kind::Sctp(lifetime) => Link::Messages(sctp::Messages::new(socket, *lifetime)),
            Kind::Tls(client) => {
                client.reload();
                Link::Tls(Box::new(client.begin(socket)?))
            }
        })
    }
}

/// Begins to connect.
fn connect(socket: &Socket, address: &SockAddr) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    match socket.connect(address) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(()),
    }
}

/// Waits for the socket; whether it is not ready within `patience`.
fn wait_for(link: &Link, flags: PollFlags, patience: Duration) -> bool {
    let timeout = Timespec::try_from(patience).ok();
    // Whatever it says, the next call finds out.
    poll(&mut [PollFd::new(link.socket(), flags)], timeout.as_ref()) == Ok(0)
}

fn after(now: Timestamp, pause: Duration) -> Timestamp {
    Timestamp(now.0.saturating_add(u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX)))
}
