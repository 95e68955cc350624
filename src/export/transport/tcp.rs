//! IPFIX over TCP (RFC 7011 section 10.4).
//!
//! The socket never blocks: what it does not take is held, in whole messages and bounded; beyond the bound messages are
//! refused. When the connection breaks, what was not wholly written is held for the next one, which is a new Transport
//! Session: the session gives Templates again and numbers from 0.

use super::super::destination::Host;
use super::resolver::Resolver;
use super::{Burst, Outcome, Tally, TransportError, resolve};
use crate::capture::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Octets held for a slow or absent collector.
const QUEUE: usize = 16 << 20;

/// A connection that is not made in this time is given up.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// How long the end waits for what is held.
const FINISH_PATIENCE: Duration = Duration::from_secs(5);

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
    Connecting { socket: Socket, until: Timestamp },
    /// Connected.
    Connected(Socket),
}

#[derive(Debug)]
pub(crate) struct Tcp {
    host: Host,
    addresses: Vec<SocketAddr>,
    resolver: Resolver,
    /// Which address is next.
    attempt: usize,
    state: State,
    queue: VecDeque<Held>,
    queued: usize,
    /// Octets of the first message held that are written.
    begun: usize,
    first_pause: Duration,
    pause: Duration,
    /// Whether to wait for a slow collector rather than refuse (offline runs).
    patient: bool,
    pub(super) problem: Option<String>,
}

impl Tcp {
    /// For `host`; no connection is made yet. `pause`: before the second attempt to connect.
    pub(crate) fn open(
        host: &Host,
        pause: Duration,
        patient: bool,
    ) -> Result<Self, TransportError> {
        let first_pause = pause.max(Duration::from_millis(10));
        Ok(Self {
            host: host.clone(),
            addresses: resolve(host)?,
            resolver: Resolver::new(host),
            attempt: 0,
            state: State::Away { until: Timestamp(0) },
            queue: VecDeque::new(),
            queued: 0,
            begun: 0,
            first_pause,
            pause: first_pause,
            patient,
            problem: None,
        })
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
            self.wait_writable(FINISH_PATIENCE);
            self.write(outcome);
            if self.queued == before {
                return;
            }
        }
    }

    fn wait_writable(&self, patience: Duration) {
        let State::Connected(socket) = &self.state else { return };
        let timeout = Timespec::try_from(patience).ok();
        // Whatever it says, the next write finds out.
        let _ = poll(&mut [PollFd::new(socket, PollFlags::OUT)], timeout.as_ref());
    }

    /// Connects, notices a broken connection, writes. True when a connection has just been made.
    pub(crate) fn progress(&mut self, now: Timestamp, outcome: &mut Outcome) -> bool {
        match &self.state {
            State::Away { until } if now >= *until => self.connect(now),
            State::Away { .. } => {}
            State::Connecting { .. } => return self.connected(now),
            State::Connected(_) => {
                self.notice_end(now);
                self.write(outcome);
            }
        }
        // A collector on the same machine is there at once.
        matches!(self.state, State::Connecting { .. }) && self.connected(now)
    }

    fn connect(&mut self, now: Timestamp) {
        if let Some(addresses) = self.resolver.answer() {
            self.addresses = addresses;
            self.attempt = 0;
        }
        let address = self.addresses[self.attempt % self.addresses.len()];
        self.attempt += 1;
        match begin(address) {
            Ok(socket) => {
                let until = after(now, CONNECT_PATIENCE);
                self.state = State::Connecting { socket, until };
            }
            Err(error) => self.away(now, &error),
        }
    }

    fn connected(&mut self, now: Timestamp) -> bool {
        let state = std::mem::replace(&mut self.state, State::Away { until: now });
        let State::Connecting { socket, until } = state else {
            self.state = state;
            return false;
        };
        match (socket.take_error(), socket.peer_addr()) {
            (Ok(None), Ok(_)) => {
                self.state = State::Connected(socket);
                self.pause = self.first_pause;
                self.begun = 0;
                true
            }
            (Ok(None), Err(_)) if now < until => {
                self.state = State::Connecting { socket, until };
                false
            }
            (Ok(None), Err(_)) => {
                self.away(now, &ErrorKind::TimedOut.into());
                false
            }
            (Ok(Some(error)) | Err(error), _) => {
                self.away(now, &error);
                false
            }
        }
    }

    fn away(&mut self, now: Timestamp, error: &std::io::Error) {
        let pause = self.pause.as_secs_f32();
        self.problem = Some(format!(
            "collector tcp://{}: {error}; records are held, next attempt in {pause} s",
            self.host
        ));
        self.state = State::Away { until: after(now, self.pause) };
        if self.attempt >= self.addresses.len() {
            // None of the addresses answered: perhaps the collector has moved. The answer is for the next attempt.
            self.resolver.ask();
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.begun = 0;
    }

    /// A collector sends nothing: what can be read is the end of the connection.
    fn notice_end(&mut self, now: Timestamp) {
        let State::Connected(socket) = &mut self.state else { return };
        let mut octets = [0; 64];
        match socket.read(&mut octets) {
            Ok(0) => self.away(now, &ErrorKind::ConnectionAborted.into()),
            Err(error) if !waits(&error) => self.away(now, &error),
            _ => {}
        }
    }

    fn write(&mut self, outcome: &mut Outcome) {
        let State::Connected(socket) = &mut self.state else { return };
        while let Some(held) = self.queue.front() {
            match socket.write(&held.octets[self.begun..]) {
                Ok(octets) => self.begun += octets,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if waits(&error) => return,
                Err(error) => {
                    // The next attempt is made at once; the pause begins with its failure.
                    self.away(Timestamp(0), &error);
                    return;
                }
            }
            if self.begun == held.octets.len() {
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

    pub(super) fn finish(&mut self, outcome: &mut Outcome) {
        let begin = Instant::now();
        while !self.queue.is_empty() && matches!(self.state, State::Connected(_)) {
            let Some(left) = FINISH_PATIENCE.checked_sub(begin.elapsed()) else { break };
            self.wait_writable(left);
            self.write(outcome);
        }
        for held in self.queue.drain(..) {
            outcome.queue_full.add(held.octets.len(), held.tally);
            outcome.unnumbered += held.tally.records();
        }
        self.queued = 0;
        if let State::Connected(socket) = &self.state {
            // The peer learns the end from the closing anyway.
            let _ = socket.shutdown(std::net::Shutdown::Write);
        }
    }

    /// Whether there is a connection.
    pub(crate) fn is_connected(&self) -> bool {
        matches!(self.state, State::Connected(_))
    }

    /// Waits until a connection that is being made is there or has failed, at most `patience`.
    pub(crate) fn wait_connected(&self, patience: Duration) {
        let State::Connecting { socket, .. } = &self.state else { return };
        let timeout = Timespec::try_from(patience).ok();
        let _ = poll(&mut [PollFd::new(socket, PollFlags::OUT)], timeout.as_ref());
    }
}

fn begin(address: SocketAddr) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // Finds out about a collector that vanished without a word; the defaults of the kernel say when.
    let _ = socket.set_tcp_keepalive(&TcpKeepalive::new());
    match socket.connect(&SockAddr::from(address)) {
        Ok(()) => Ok(socket),
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(socket),
        Err(error) => Err(error),
    }
}

fn waits(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::WouldBlock
}

fn after(now: Timestamp, pause: Duration) -> Timestamp {
    Timestamp(now.0.saturating_add(u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX)))
}
