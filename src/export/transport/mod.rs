//! Messages to a collector: UDP; TCP, TLS, SCTP and UNIX connections; files.
//!
//! In: bursts of whole messages. Out: octets on the wire or in the file, and an account of each message: sent, held,
//! refused. Invariants: no message is ever sent in part and then followed by another in the same stream; no call waits
//! longer than the transport's own bound; every queue is bounded.

mod background;
mod connection;
mod file;
mod output;
mod pace;
mod recovery;
mod resolver;
mod route;
mod udp;

pub(super) use background::{Background, Units};
pub(super) use connection::{Connection, Patience};
pub(super) use file::IpfixFile;
pub(super) use recovery::Unit;
pub(super) use udp::Udp;

use super::destination::Host;
use crate::capture::Timestamp;
use crate::meter::flow::FinishedFlow;
use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::AddAssign;
use std::time::Duration;

/// Why a collector cannot be opened. Exit status 3.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The host's name does not resolve.
    #[error("collector {host}: {problem}; check the name or write an address")]
    Resolve {
        /// The host.
        host: Host,
        /// What the resolver said.
        problem: String,
    },
    /// No socket to the collector.
    #[error("collector {host}: {source}")]
    Socket {
        /// The host.
        host: Host,
        /// What the system said.
        source: std::io::Error,
    },
    /// A configuration read again asks for what cannot change.
    #[error("{0}")]
    Change(&'static str),
    /// None of its addresses is of the family of the source address.
    #[error("collector {host}: it has no address of the family of source=ADDRESS")]
    Family {
        /// The host.
        host: Host,
    },
    /// The kernel has no SCTP.
    #[error(
        "collector sctp://{host}: this kernel has no SCTP; load its module (modprobe sctp), or use tcp"
    )]
    NoSctp {
        /// The host.
        host: Host,
    },
    /// Certificates or keys cannot be used, or there is no TLS here.
    #[error("collector tls://{host}: {problem}")]
    Tls {
        /// The host.
        host: Host,
        /// What is wrong with which.
        problem: String,
    },
    /// A topic or a directory cannot be used as it is written.
    #[error("collector {name}: {problem}")]
    Sink {
        /// The topic or directory.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// This build lacks what the collector needs.
    #[error(
        "collector {scheme}: this sixtap was built without it: build it with the feature \"{scheme}\" (cargo build --release --features {scheme})"
    )]
    NotBuilt {
        /// The scheme, and the cargo feature.
        scheme: &'static str,
    },
    /// The file cannot be written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What one message holds, or several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Flow records.
    pub(super) flows: u64,
    /// Options records.
    pub(super) options: u64,
    /// Packets of the flow records.
    pub(super) packets: u64,
    /// IP octets of the flow records.
    pub(super) octets: u64,
}

impl Tally {
    /// Of one flow record.
    pub(super) const fn of(flow: &FinishedFlow<'_>) -> Self {
        Self { flows: 1, options: 0, packets: flow.record.packets, octets: flow.record.octets }
    }

    /// Data Records: what the sequence number counts.
    pub(super) const fn records(&self) -> u64 {
        self.flows + self.options
    }

    /// Takes away what has been settled of it.
    pub(super) const fn take_away(&mut self, settled: Self) {
        self.flows = self.flows.saturating_sub(settled.flows);
        self.options = self.options.saturating_sub(settled.options);
        self.packets = self.packets.wrapping_sub(settled.packets);
        self.octets = self.octets.wrapping_sub(settled.octets);
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.flows += other.flows;
        self.options += other.options;
        self.packets = self.packets.wrapping_add(other.packets);
        self.octets = self.octets.wrapping_add(other.octets);
    }
}

/// A number of messages, their octets and what they hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    /// Messages.
    pub(super) messages: u64,
    /// Octets of the messages.
    pub(super) length: u64,
    /// What they hold.
    pub(super) tally: Tally,
}

impl AddAssign for Account {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.length += other.length;
        self.tally += other.tally;
    }
}

impl Account {
    pub(super) fn add(&mut self, length: usize, tally: Tally) {
        self.messages += 1;
        self.length += length as u64;
        self.tally += tally;
    }
}

/// Messages back to back: each `segment` octets long, but the last may be shorter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Burst<'a> {
    pub(super) octets: &'a [u8],
    pub(super) segment: usize,
    /// What each message holds.
    pub(super) tallies: &'a [Tally],
}

impl<'a> Burst<'a> {
    fn messages(&self) -> impl Iterator<Item = (&'a [u8], Tally)> + use<'a> {
        self.octets.chunks(self.segment).zip(self.tallies.iter().copied())
    }
}

/// What happened to messages since the last call; also to some that were held before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outcome {
    /// Taken by the network, the connection or the file.
    pub(super) sent: Account,
    /// Not taken: the queue is full.
    pub(super) queue_full: Account,
    /// Not taken: the transport failed.
    pub(super) refused: Account,
    /// Of those not taken, the Data Records that were numbered last: the session numbers the next ones in their place.
    pub(super) unnumbered: u64,
}

/// A way to a collector.
#[derive(Debug)]
pub(super) enum Transport {
    Udp(Box<Udp>),
    Connection(Box<Connection>),
    File(Box<IpfixFile>),
}

impl Transport {
    /// Most octets of a message, as far as is known now.
    pub(super) fn message_limit(&self) -> usize {
        match self {
            Self::Udp(udp) => udp.message_limit(),
            Self::Connection(connection) => connection.message_limit(),
            Self::File(_) => STREAM_MESSAGE,
        }
    }

    /// Most messages of a burst.
    pub(super) fn burst(&self) -> usize {
        match self {
            Self::Udp(_) => udp::BURST,
            Self::Connection(_) | Self::File(_) => 1,
        }
    }

    /// Whether Templates must be sent again and again (RFC 7011 section 8.4).
    pub(super) fn unreliable(&self) -> bool {
        matches!(self, Self::Udp(_))
    }

    /// Gives messages to the transport.
    pub(super) fn send(&mut self, burst: Burst<'_>, now: Timestamp, outcome: &mut Outcome) {
        match self {
            Self::Udp(udp) => udp.send(burst, now, outcome),
            Self::Connection(connection) => connection.send(burst, outcome),
            Self::File(file) => file.send(burst, outcome),
        }
    }

    /// Whether a file is over, and [`Self::progress`] will begin another.
    pub(super) fn ends(&self, now: Timestamp) -> bool {
        matches!(self, Self::File(file) if file.ends(now))
    }

    /// Goes on with what is held: connects, writes what can be written. True if a connection has just been made or
    /// another file begun: a new Transport Session begins, and the session numbers anew what [`Connection::take_held`] gives it.
    pub(super) fn progress(&mut self, now: Timestamp, outcome: &mut Outcome) -> bool {
        match self {
            Self::Udp(udp) => udp.progress(now, outcome),
            Self::Connection(connection) => connection.progress(now, outcome),
            Self::File(file) => file.progress(now, outcome),
        }
    }

    /// Sends what waits, for `patience` at most; whether something still waits that may go.
    pub(super) fn empty(
        &mut self,
        now: Timestamp,
        patience: Duration,
        outcome: &mut Outcome,
    ) -> bool {
        match self {
            Self::Udp(udp) => udp.empty(now, patience, outcome),
            Self::Connection(connection) => connection.empty(patience, outcome),
            Self::File(file) => file.empty(patience, outcome),
        }
    }

    /// The end: waits, at most `patience`, for what is held, and gives up the rest.
    pub(super) fn finish(&mut self, now: Timestamp, patience: Duration, outcome: &mut Outcome) {
        match self {
            Self::Udp(udp) => udp.finish(now, patience, outcome),
            Self::Connection(connection) => connection.finish(patience, outcome),
            Self::File(file) => file.finish(patience, outcome),
        }
    }

    /// Whether messages wait for the pace: they are to be looked at soon.
    pub(super) fn waits(&self) -> bool {
        matches!(self, Self::Udp(udp) if udp.waits())
    }

    /// Whether the collector is there, as far as can be known.
    pub(super) fn is_there(&self) -> bool {
        match self {
            Self::Udp(udp) => udp.is_there(),
            Self::Connection(connection) => connection.is_connected(),
            Self::File(_) => true,
        }
    }

    /// [`Self::message_limit`] has changed and is kept to from now on.
    pub(super) fn path_changed(&mut self) {
        if let Self::Udp(udp) = self {
            udp.path_changed();
        }
    }

    /// Whether flow records are to be held rather than sent to a collector that is away. A connection does so by itself.
    pub(super) fn hold(&mut self, holding: bool) {
        if let Self::Udp(udp) = self {
            udp.hold(holding);
        }
    }

    /// Whether the collector is to be given something to find out whether it is back.
    pub(super) fn wants_trial(&mut self, now: Timestamp) -> bool {
        match self {
            Self::Udp(udp) => udp.wants_trial(now),
            Self::Connection(_) | Self::File(_) => false,
        }
    }

    /// What is held, for a new session or another collector to number anew.
    pub(super) fn take_held(&mut self, outcome: &mut Outcome) -> Vec<(Vec<u8>, Tally)> {
        match self {
            Self::Udp(udp) => udp.take_held(outcome),
            Self::Connection(connection) => connection.take_held(),
            Self::File(_) => Vec::new(),
        }
    }

    /// The last thing that went wrong, for the log; each is told once.
    pub(super) fn take_problem(&mut self) -> Option<String> {
        match self {
            Self::Udp(udp) => udp.problem.take(),
            Self::Connection(connection) => connection.problem.take(),
            Self::File(file) => file.take_problem(),
        }
    }
}

/// Where the sequence number stands in a message (RFC 7011 section 3.1).
pub(super) const SEQUENCE: std::ops::Range<usize> = 8..12;

/// Octets of a message where the path allows it: leaves room for tunnels within an MTU of 1,500.
const PREFERRED: usize = 1_400;

/// Message length over connections and in files: long enough that headers do not matter, short enough to be held whole.
const STREAM_MESSAGE: usize = 16_384;

/// All addresses of a host.
fn resolve(host: &Host) -> Result<Vec<SocketAddr>, TransportError> {
    let error = |problem: String| TransportError::Resolve { host: host.clone(), problem };
    let addresses: Vec<SocketAddr> = (host.name.as_str(), host.port)
        .to_socket_addrs()
        .map_err(|problem| error(problem.to_string()))?
        .collect();
    if addresses.is_empty() { Err(error("it has no address".to_owned())) } else { Ok(addresses) }
}
