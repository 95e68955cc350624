//! Where messages come from: a file, a capture, a socket, standard input.
//!
//! In: a name such as `FILE.ipfix`, `FILE.pcap`, `udp://[::]:4739`, `tcp://[::]:4739` or `-`. Out: one message at a
//! time with the facts of its transport. Buffers, streams and datagrams in parts are all bounded; what is dropped is
//! counted in [`InputCounters`].

mod capture;
mod fragments;
mod frame;
mod framer;
mod socket;
mod stream;
mod tcp;

#[cfg(test)]
mod tests;

use super::event::Transport;
use crate::ipfix::Anomaly;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Why an input cannot be opened or read on.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// What was asked for cannot be meant. Exit status 2.
    #[error("{0}")]
    Usage(String),
    /// The machine does not allow it. Exit status 3.
    #[error("{0}")]
    Environment(String),
}

/// What was read, and what was passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputCounters {
    /// Messages given out.
    pub messages: u64,
    /// Their octets.
    pub octets: u64,
    /// Packets of a capture.
    pub packets: u64,
    /// Packets of a capture that carry no export message.
    pub other_packets: u64,
    /// Octets of streams that were passed over to find the next message.
    pub skipped_octets: u64,
    /// Datagrams in IP fragments that never became whole.
    pub incomplete_datagrams: u64,
    /// Octets missing from TCP streams of a capture.
    pub missing_octets: u64,
    /// TCP connections refused, or given up for others, because there were too many.
    pub refused_connections: u64,
    /// Captures that end inside a packet or are damaged.
    pub damaged: u64,
}

/// One step of an [`Input`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// One message.
    Message {
        /// How it came.
        transport: Transport,
        /// Its octets.
        octets: &'a [u8],
    },
    /// Octets that are no message; [`Anomaly::offset`] counts from where they begin.
    Noise {
        /// How they came.
        transport: Transport,
        /// What was done about it.
        anomaly: Anomaly,
    },
    /// A stream has ended: its Templates are void.
    End {
        /// The stream.
        transport: Transport,
    },
    /// Nothing came within the time given.
    Idle,
}

/// A source of messages.
#[derive(Debug)]
pub struct Input {
    source: Source,
    counters: InputCounters,
    name: String,
    /// Octets read of a file, and its size.
    read: Option<(Arc<AtomicU64>, u64)>,
}

#[derive(Debug)]
enum Source {
    Stream(Box<stream::Stream>),
    Capture(Box<capture::Capture>),
    Udp(Box<socket::Udp>),
    Tcp(Box<socket::Tcp>),
}

/// Something read that waits to be given out.
#[derive(Debug)]
enum Queued {
    Message(Transport, Vec<u8>),
    Noise(Transport, Anomaly),
    End(Transport),
}

/// What was read and not given out yet. Buffers are used again.
#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Queued>,
    current: Vec<u8>,
    spare: Vec<Vec<u8>>,
}

impl Queue {
    fn message(&mut self, transport: Transport, octets: &[u8]) {
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(octets);
        self.waiting.push_back(Queued::Message(transport, buffer));
    }

    fn noise(&mut self, transport: Transport, anomaly: Anomaly) {
        self.waiting.push_back(Queued::Noise(transport, anomaly));
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn next(&mut self) -> Option<Received<'_>> {
        Some(match self.waiting.pop_front()? {
            Queued::Message(transport, octets) => {
                self.spare.push(std::mem::replace(&mut self.current, octets));
                Received::Message { transport, octets: &self.current }
            }
            Queued::Noise(transport, anomaly) => Received::Noise { transport, anomaly },
            Queued::End(transport) => Received::End { transport },
        })
    }
}

impl Input {
    /// Opens what `name` says.
    ///
    /// # Errors
    /// The name, the file or the machine does not allow it; the text says which and what to do.
    pub fn open(name: &str) -> Result<Self, InputError> {
        let source = if let Some(address) = name.strip_prefix("udp://") {
            Source::Udp(Box::new(socket::Udp::bind(socket_address(name, address)?)?))
        } else if let Some(address) = name.strip_prefix("tcp://") {
            Source::Tcp(Box::new(socket::Tcp::bind(socket_address(name, address)?)?))
        } else if let Some((scheme, _)) = name.split_once("://") {
            return Err(InputError::Usage(format!(
                "{name}: {scheme}:// is no input; udp://, tcp://, a file name or - are"
            )));
        } else {
            let (source, read) = stream::open(name)?;
            return Ok(Self { read, ..Self::of(source, name) });
        };
        Ok(Self::of(source, name))
    }

    fn of(source: Source, name: &str) -> Self {
        Self { source, counters: InputCounters::default(), name: name.to_owned(), read: None }
    }

    /// Reads messages from octets that are not a file of the system: an IPFIX file or a capture.
    ///
    /// # Errors
    /// The octets are neither.
    pub fn from_reader(
        reader: impl std::io::Read + Send + 'static,
        name: &str,
    ) -> Result<Self, InputError> {
        let source = stream::recognise(Box::new(reader), name)?;
        Ok(Self::of(source, name))
    }

    /// The name it was opened by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address a socket listens at; a port of 0 has become the one given.
    #[must_use]
    pub fn local_address(&self) -> Option<SocketAddr> {
        match &self.source {
            Source::Udp(udp) => Some(udp.local()),
            Source::Tcp(tcp) => Some(tcp.local()),
            Source::Stream(_) | Source::Capture(_) => None,
        }
    }

    /// Whether it is a capture of packets.
    #[must_use]
    pub const fn is_capture(&self) -> bool {
        matches!(self.source, Source::Capture(_))
    }

    /// Of a file: octets read so far, and its size.
    #[must_use]
    pub fn progress(&self) -> Option<(u64, u64)> {
        let (read, size) = self.read.as_ref()?;
        Some((read.load(Ordering::Relaxed).min(*size), *size))
    }

    /// What was read so far.
    #[must_use]
    pub fn counters(&self) -> &InputCounters {
        &self.counters
    }

    /// The next step; `None` at the end, which a socket never has. A socket waits at most `wait`; a pipe may wait
    /// longer, a file never does.
    ///
    /// # Errors
    /// Reading failed.
    pub fn next(&mut self, wait: Duration) -> Result<Option<Received<'_>>, InputError> {
        let counters = &mut self.counters;
        let received = match &mut self.source {
            Source::Stream(stream) => stream.next(counters)?,
            Source::Capture(capture) => capture.next(counters)?,
            Source::Udp(udp) => Some(udp.next(wait)?),
            Source::Tcp(tcp) => Some(tcp.next(wait, counters)?),
        };
        if let Some(Received::Message { octets, .. }) = received {
            counters.messages += 1;
            counters.octets += octets.len() as u64;
        }
        Ok(received)
    }
}

fn socket_address(name: &str, address: &str) -> Result<SocketAddr, InputError> {
    // A port alone listens at every address of the machine.
    let spelled = address.strip_prefix(':').map(|port| format!("[::]:{port}"));
    spelled.as_deref().unwrap_or(address).parse().map_err(|_| {
        InputError::Usage(format!(
            "{name}: not an address to listen at; write udp://[::]:4739 or udp://192.0.2.1:4739"
        ))
    })
}

/// Nanoseconds since 1970, now.
fn now() -> Option<u64> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_nanos()).ok()
}
