//! TCP streams of a capture: segments in order of their sequence numbers, then messages.
//!
//! A stream is followed if it begins with an IPFIX header or goes to or from the IPFIX port. Segments that are ahead
//! wait, bounded; when one never comes, the reader goes on behind the gap at the next message.

use super::framer::{Framer, Piece};
use super::{InputCounters, Queue, Queued};
use crate::collect::event::Transport;
use crate::ipfix::{Anomaly, Kind, MessageHeader, be16, be32};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

/// IPFIX ports (RFC 7011 section 10.3.4 and following).
const PORTS: [u16; 2] = [4739, 4740];
/// Streams at a time.
const STREAMS: usize = 64;
/// Segments that wait in one stream, and their octets.
const AHEAD: usize = 256;
const AHEAD_OCTETS: usize = 1 << 20;

/// Flags of the TCP header.
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;

/// One direction of one connection.
#[derive(Debug)]
struct Half {
    next: Option<u32>,
    ahead: BTreeMap<u32, Vec<u8>>,
    ahead_octets: usize,
    framer: Framer,
    /// `None` until the first octets decide whether it is an export stream.
    followed: Option<bool>,
    /// A sequence number relative to the first, so that `ahead` stays in order over the wrap.
    origin: u32,
    age: u64,
}

/// All streams of a capture.
#[derive(Debug, Default)]
pub(super) struct Streams {
    halves: HashMap<(SocketAddr, SocketAddr), Half>,
    age: u64,
}

impl Streams {
    /// Takes a TCP segment. `transport` has its addresses, time and position. Says whether the stream is followed.
    pub(super) fn segment(
        &mut self,
        transport: Transport,
        segment: &[u8],
        counters: &mut InputCounters,
        queue: &mut Queue,
    ) -> Option<bool> {
        let (exporter, collector) = (transport.exporter?, transport.collector?);
        let sequence = be32(segment, 4)?;
        let header = usize::from(segment.get(12)? >> 4) * 4;
        let flags = *segment.get(13)?;
        let data = segment.get(header.max(20)..).unwrap_or(&[]);
        let key = (exporter, collector);
        self.age += 1;
        self.make_room(&key, counters);
        let half = self.halves.entry(key).or_insert_with(|| Half::new(self.age));
        half.age = self.age;
        if flags & SYN != 0 {
            *half = Half::new(self.age);
            half.start(sequence.wrapping_add(1));
            return Some(false);
        }
        half.add(sequence, data, exporter.port(), collector.port(), counters);
        let followed = half.followed == Some(true);
        let ended = flags & (FIN | RST) != 0;
        if followed {
            half.messages(transport, ended, counters, queue);
        }
        if ended {
            self.halves.remove(&key);
            if followed {
                queue.waiting.push_back(Queued::End(transport));
            }
        }
        Some(followed)
    }

    /// The capture has ended: what waits in the streams is given out.
    pub(super) fn end(&mut self, counters: &mut InputCounters, queue: &mut Queue) {
        let mut halves: Vec<_> = self.halves.drain().collect();
        halves.sort_by_key(|(_, half)| half.age);
        for ((exporter, collector), mut half) in halves {
            if half.followed == Some(true) {
                let mut transport = Transport::file(0, 0);
                transport.protocol = crate::collect::Protocol::Tcp;
                (transport.exporter, transport.collector) = (Some(exporter), Some(collector));
                half.skip_gaps(counters);
                half.messages(transport, true, counters, queue);
            }
        }
    }

    fn make_room(&mut self, key: &(SocketAddr, SocketAddr), counters: &mut InputCounters) {
        if self.halves.len() >= STREAMS && !self.halves.contains_key(key) {
            // Streams that carry no export go first.
            let oldest = self
                .halves
                .iter()
                .min_by_key(|(_, half)| (half.followed == Some(true), half.age))
                .map(|(&key, half)| (key, half.followed == Some(true)));
            if let Some((oldest, followed)) = oldest {
                self.halves.remove(&oldest);
                counters.refused_connections += u64::from(followed);
            }
        }
    }
}

impl Half {
    fn new(age: u64) -> Self {
        Self {
            next: None,
            ahead: BTreeMap::new(),
            ahead_octets: 0,
            framer: Framer::default(),
            followed: None,
            origin: 0,
            age,
        }
    }

    fn start(&mut self, sequence: u32) {
        self.next = Some(sequence);
        self.origin = sequence;
    }

    fn add(
        &mut self,
        sequence: u32,
        data: &[u8],
        from: u16,
        to: u16,
        counters: &mut InputCounters,
    ) {
        if data.is_empty() || self.followed == Some(false) {
            return;
        }
        let next = match self.next {
            Some(next) => next,
            None => {
                self.start(sequence);
                sequence
            }
        };
        let distance = sequence.wrapping_sub(next) as i32;
        if distance > 0 {
            if self.ahead.len() >= AHEAD || self.ahead_octets + data.len() > AHEAD_OCTETS {
                self.skip_gaps(counters);
            }
            self.ahead_octets += data.len();
            let place = sequence.wrapping_sub(self.origin);
            if let Some(old) = self.ahead.insert(place, data.to_vec()) {
                self.ahead_octets -= old.len();
            }
            return;
        }
        let seen = distance.unsigned_abs() as usize;
        let Some(fresh) = data.get(seen..).filter(|fresh| !fresh.is_empty()) else { return };
        if self.followed.is_none() {
            let header = be16(fresh, 0) == Some(MessageHeader::VERSION)
                && be16(fresh, 2).is_some_and(|length| usize::from(length) >= 16);
            self.followed = Some(header || PORTS.contains(&from) || PORTS.contains(&to));
            if self.followed == Some(false) {
                self.ahead.clear();
                return;
            }
        }
        self.framer.push(fresh);
        self.next = Some(next.wrapping_add(fresh.len() as u32));
        self.join();
    }

    /// Takes the segments that wait for exactly the octets that have come.
    fn join(&mut self) {
        while let (Some(next), Some(first)) = (self.next, self.ahead.first_entry()) {
            let place = next.wrapping_sub(self.origin);
            let distance = first.key().wrapping_sub(place) as i32;
            if distance > 0 {
                break;
            }
            let data = first.remove();
            self.ahead_octets -= data.len();
            let fresh = data.get(distance.unsigned_abs() as usize..).unwrap_or(&[]);
            self.framer.push(fresh);
            self.next = Some(next.wrapping_add(fresh.len() as u32));
        }
    }

    /// Gives up waiting: goes on behind every gap.
    fn skip_gaps(&mut self, counters: &mut InputCounters) {
        while let (Some(next), Some((&place, _))) = (self.next, self.ahead.first_key_value()) {
            let start = self.origin.wrapping_add(place);
            let gap = start.wrapping_sub(next);
            if (gap as i32) > 0 {
                counters.missing_octets += u64::from(gap);
            }
            self.next = Some(start);
            self.join();
        }
    }

    fn messages(
        &mut self,
        transport: Transport,
        ended: bool,
        counters: &mut InputCounters,
        queue: &mut Queue,
    ) {
        while let Some(piece) = self.framer.next(ended) {
            let mut transport = transport;
            match piece {
                Piece::Message(length) => {
                    transport.length = length;
                    queue.message(transport, self.framer.take(length));
                }
                Piece::Noise(skipped) => {
                    self.framer.take(skipped);
                    counters.skipped_octets += skipped as u64;
                    let kind = Kind::Resynchronised { skipped };
                    queue.noise(transport, Anomaly { offset: 0, kind });
                }
            }
        }
    }
}
